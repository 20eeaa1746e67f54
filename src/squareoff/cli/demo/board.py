"""What the demo shows while it runs: a living table on a terminal, plain lines elsewhere."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from squareoff.cli.demo.scenario import POSITIONS, DemoPosition
from squareoff.cli.output import profit_of

WIDTH = 100
NEWS_SHOWN = 7
PLAIN_INTERVAL_SECONDS = 5.0
"""Without a terminal a line of numbers this often, and one for each piece of news."""

STATUS_STYLES = {"ACTIVE": "default", "EXITING": "bold yellow", "EXITED": "green"}


@dataclass(slots=True)
class Board:
    """Everything on the screen. `trackers` are the engine's answers by position name."""

    trackers: dict[str, dict[str, Any]] = field(default_factory=dict)
    news: list[tuple[float, str]] = field(default_factory=list)
    market: str = "--:--:--"
    engine: str = "starting"

    @property
    def exited_count(self) -> int:
        """How many positions are closed and confirmed."""
        return sum(1 for each in self.trackers.values() if each["status"] == "EXITED")


class Screen:
    """Shows a board. Use as a context; `refresh` after every change."""

    def __init__(self, console: Console, board: Board) -> None:
        self._console = console
        self._board = board
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._printed_news = 0
        self._printed_seconds = 0.0

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def refresh(self, seconds: float) -> None:
        """Show the board as it is `seconds` after the demo's start."""
        if self._console.is_terminal:
            self._live.update(_picture(self._board), refresh=True)
            return
        for at, text in self._board.news[self._printed_news :]:
            self._console.print(Text(f"{at:6.1f} s  {text}"), no_wrap=True, overflow="ellipsis")
        self._printed_news = len(self._board.news)
        if seconds - self._printed_seconds >= PLAIN_INTERVAL_SECONDS and self._board.trackers:
            self._printed_seconds = seconds
            self._console.print(Text(f"{seconds:6.1f} s  {_summary(self._board)}"))


def _summary(board: Board) -> str:
    last = {
        position.holding.label: board.trackers[position.name]["last_traded_price"] or "-"
        for position in POSITIONS
        if position.name in board.trackers
    }
    prices = ", ".join(f"{label} {price}" for label, price in last.items())
    return f"[market {board.market}: {prices}; {board.exited_count} of {len(POSITIONS)} exited]"


def _picture(board: Board) -> Group:
    news = [Text(f"{at:6.1f} s  {text}"[:WIDTH]) for at, text in board.news[-NEWS_SHOWN:]]
    style = "bold red" if board.engine.startswith("killed") else "bold"
    header = Text.assemble(
        ("recorded market ", "dim"), (board.market, "bold"), ("   engine ", "dim"),
        (board.engine, style), ("   exited ", "dim"),
        (f"{board.exited_count} of {len(POSITIONS)}", "bold"),
    )  # fmt: skip
    return Group(header, _table(board), *news)


def _table(board: Board) -> Table:
    table = Table(box=None, padding=(0, 1), width=WIDTH, pad_edge=False, header_style="dim")
    for name in ("position", "product", "rule", "level"):
        table.add_column(name, no_wrap=True)
    for name in ("last", "state", "exit price", "P&L"):
        table.add_column(name, no_wrap=True, justify="left" if name == "state" else "right")
    for position in POSITIONS:
        tracker = board.trackers.get(position.name)
        if tracker is not None:
            table.add_row(*_cells(position, tracker))
    return table


def _cells(position: DemoPosition, tracker: dict[str, Any]) -> list[Text | str]:
    status = tracker["status"]
    state = status
    if status == "EXITING":
        state = f"EXITING {tracker['exited_quantity']}/{tracker['quantity']}"
    price = tracker["exit_price"]
    profit = profit_of(tracker)
    return [
        f"{position.holding.label} {position.side.lower()} {position.quantity}",
        position.holding.product_type,
        position.rule,
        _level(position, tracker),
        tracker["last_traded_price"] or "-",
        Text(state, style=STATUS_STYLES.get(status, "default")),
        "-" if price is None else f"{Decimal(price):.2f}",
        "-" if profit is None else Text(profit, style="red" if profit[0] == "-" else "green"),
    ]


def _level(position: DemoPosition, tracker: dict[str, Any]) -> str:
    """Return where the position's own rule fires now; a trailing stop moves."""
    match position.rule:
        case "target":
            return str(tracker["rules"]["target"]["price"])
        case "square_off_at":
            return str(tracker["rules"]["square_off_at"])
        case "manual":
            return "-"
        case _:
            return str(tracker["stop_level"] or "-")

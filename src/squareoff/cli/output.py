"""Print answers: JSON for scripts, tables for people."""

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from squareoff.adapters.system import SystemClock
from squareoff.domain.states import PositionStatus
from squareoff.web.fact_sentences import sentence_of

WIDTH_OF_A_FILE = 400
"""Wide enough for every row on one line, so that other programs can read them."""

LEAST_FIRST = (
    "broker order id", "product", "type", "raised", "acknowledged", "at (IST)", "stop", "entry",
    "average", "limit", "exit", "last", "for", "order", "reason", "position",
)  # fmt: skip
"""Columns that a narrow screen does without, the least first."""

TEXTS = frozenset({"message", "why", "reason", "note", "waits for", "what", "symbol"})
TEXT_WIDTH_MIN = 16
"""Columns of words may be broken into lines of this width."""

TEXT_WIDTH_LEAST = 6
"""And into lines of this one rather than that there is no table."""

_NAME_WIDTH = 12
"""Of a column that is shown line by line: on 40 columns the longest id fits beside it."""

FRAME_WIDTH = 3
"""The room beside a column's text."""

FINAL_STATUSES = frozenset(status.value for status in PositionStatus if status.is_final)

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], object]]


class JsonShown:
    """Whether this command has printed its answer as JSON already."""

    is_any = False


json_shown = JsonShown()


def print_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    json_shown.is_any = True
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table_of(title: str, columns: Sequence[Column], rows: Iterable[Row]) -> Table:
    """Return a table; what the broker or a caller wrote is shown as it is, never as markup.

    On a screen that is too narrow, columns that matter less are left out and named below it; where
    the others do not fit either, each value has a line of its own: a number must not be cut.
    """
    width = console().width
    cells = [[_cell(show(row)) for _, show in columns] for row in rows]
    headings = [heading for heading, _ in columns]
    left_out = _left_out(headings, cells, width)
    if not _can_be_shown(
        [each for each in headings if each not in left_out], headings, cells, width
    ):
        return _stacked(title, headings, cells)
    table = Table(
        title=title, title_justify="left", header_style="bold", caption_justify="left",
        box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    named = [heading for heading in left_out if _has_content(headings.index(heading), cells)]
    if named:
        table.caption = f"no room for: {', '.join(named)}; --json shows all"
    for heading in headings:
        if heading not in left_out:
            table.add_column(heading, overflow="fold", no_wrap=heading not in TEXTS)
    for row_cells in cells:
        shown = zip(headings, row_cells, strict=True)
        table.add_row(*(cell for heading, cell in shown if heading not in left_out))
    return table


def _stacked(title: str, headings: Sequence[str], cells: Sequence[Sequence[str]]) -> Table:
    table = Table(
        title=title, title_justify="left", show_header=False, box=box.SIMPLE, pad_edge=False
    )
    table.add_column(max_width=_NAME_WIDTH)
    table.add_column(overflow="fold")
    for row_cells in cells:
        for heading, cell in zip(headings, row_cells, strict=True):
            if cell:
                table.add_row(heading, cell)
        table.add_section()
    return table


def print_table(table: Table) -> None:
    """Print a table to standard output, as wide as it needs where that is no terminal."""
    console().print(table)


class _Console(Console):
    """Leaves it to `main` what a reader who went away means; rich by itself ends with 1."""

    def on_broken_pipe(self) -> None:
        """Pass the error on, which is being handled here."""
        self.quiet = True
        raise  # rich calls this in its handler


def console() -> Console:
    """Return where answers go: as wide as every row needs where that is no terminal."""
    found = _Console(highlight=False)
    if not found.is_terminal:
        found.width = WIDTH_OF_A_FILE
    return found


def _left_out(headings: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the columns to leave out, so that the others fit; texts may be broken into lines."""
    needed = {
        heading: min(
            max(cell_len(text) for text in (heading, *(row[place] for row in cells))),
            TEXT_WIDTH_MIN if heading in TEXTS else width,
        )
        for place, heading in enumerate(headings)
    }
    left_out: list[str] = []
    empty = [each for place, each in enumerate(headings) if not _has_content(place, cells)]
    for heading in (*empty, *LEAST_FIRST):
        if sum(needed.values()) + FRAME_WIDTH * len(needed) < width:
            break
        if needed.pop(heading, None) is not None:
            left_out.append(heading)
    return left_out


def _can_be_shown(
    shown: Sequence[str], headings: Sequence[str], cells: Sequence[Sequence[str]], width: int
) -> bool:
    """Say whether these columns fit with no value cut; words may be broken into short lines."""
    needed = FRAME_WIDTH * len(shown) - 1
    for heading in shown:
        place = headings.index(heading)
        widest = max(cell_len(text) for text in (heading, *(row[place] for row in cells)))
        needed += min(widest, TEXT_WIDTH_LEAST) if heading in TEXTS else widest
    return needed <= width


def _has_content(place: int, cells: Sequence[Sequence[str]]) -> bool:
    return any(row[place] for row in cells)


def print_hanging(head: str, text: str) -> None:
    """Print a line; at a terminal too narrow for it, the text goes on under its beginning."""
    width = max(console().width, len(head) + TEXT_WIDTH_MIN)
    lines = textwrap.wrap(_printable(text), width - len(head)) or [""]
    print(head + f"\n{' ' * len(head)}".join(lines), flush=True)


def print_pairs(row: Row) -> None:
    """Print one object as name and value, one line each."""
    width = max((len(name) for name in row), default=0)
    for name, value in row.items():
        shown = json.dumps(value) if isinstance(value, dict | list) else value
        print(f"{name:<{width}}  {'' if shown is None else _printable(str(shown))}")


def print_position(position: Row, *, as_json: bool) -> None:
    """Print one position as its command answers: as JSON, or as a table of one row."""
    if as_json:
        print_json(position)
    else:
        print_table(table_of("position", POSITION_COLUMNS, [position]))


def _cell(value: object) -> str:
    return "" if value is None else escape(_printable(str(value)))


def _printable(text: str) -> str:
    """Return text without control characters: a broker's remark must not move the cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


def profit_of(row: Row) -> str | None:
    """Return a position's P&L as text, realised and open together; None where a part is unknown."""
    realized: str | None = row["realized_pnl"]
    unrealized: str | None = row["unrealized_pnl"]
    if row["status"] in FINAL_STATUSES:
        return realized
    if unrealized is None or not row["exited_quantity"]:
        return unrealized
    return None if realized is None else str(Decimal(realized) + Decimal(unrealized))


def _clock_or_day(written: str | None) -> str:
    """Return the time of the day, of another day than today its date: it says nothing of now."""
    day, _, clock = (written or "")[:19].partition("T")
    return clock if day == SystemClock().now().ist().date().isoformat() else day


def _waits_for(intent: Row) -> object:
    if intent.get("status") == "NEEDS_HUMAN":
        return f"A PERSON: {intent.get('note', '')}"
    return intent.get("block_reason")


POSITION_COLUMNS: Sequence[Column] = (
    ("id", lambda row: row["id"]),
    ("status", lambda row: row["status"]),
    ("symbol", lambda row: row["trading_symbol"]),
    ("product", lambda row: row["product_type"]),
    ("side", lambda row: row["side"]),
    ("open", lambda row: f"{row['quantity'] - row['exited_quantity']}/{row['quantity']}"),
    ("entry", lambda row: row["entry_price"]),
    ("last", lambda row: row["last_traded_price"]),
    ("at (IST)", lambda row: _clock_or_day(row["last_price_at"])),
    ("stop", lambda row: row["stop_level"]),
    ("exit", lambda row: row["exit_price"]),
    ("P&L", profit_of),
    ("reason", lambda row: row["exit_reason"] or (row["intent"] or {}).get("reason")),
    ("waits for", lambda row: _waits_for(row["intent"] or {})),
)
ORDER_COLUMNS: Sequence[Column] = (
    ("client order id", lambda row: row["client_order_id"]),
    ("broker order id", lambda row: ", ".join(row["broker_order_ids"])),
    ("position", lambda row: row["tracker_id"]),
    ("for", lambda row: row["role"]),
    ("side", lambda row: row["side"]),
    ("status", lambda row: row["status"]),
    ("type", lambda row: row["order_type"]),
    ("limit", lambda row: row["limit_price"]),
    ("filled", lambda row: f"{row['cumulative_quantity']}/{row['order_quantity']}"),
    ("average", lambda row: row["average_price"]),
    ("reason", lambda row: row["reason"]),
)
JOURNAL_COLUMNS: Sequence[Column] = (
    ("seq", lambda row: row["seq"]),
    ("time (IST)", lambda row: row["time"][:23].replace("T", " ")),
    ("order", lambda row: row["client_order_id"]),
    ("what", lambda row: sentence_of(row["kind"], row["data"])),
)
ALARM_COLUMNS: Sequence[Column] = (
    ("id", lambda row: row["id"]),
    ("severity", lambda row: row["severity"]),
    ("code", lambda row: row["code"]),
    ("message", lambda row: row["message"]),
    ("raised", lambda row: row["raised_at"]),
    ("times", lambda row: row["repeats"] + 1),
    ("acknowledged", lambda row: row["acknowledged_at"]),
    ("over", lambda row: _clock_or_day(row["cleared_at"])),
)
REMAINING_COLUMNS: Sequence[Column] = (
    ("position", lambda row: row["tracker_id"]),
    ("symbol", lambda row: row["trading_symbol"]),
    ("side", lambda row: row["side"]),
    ("status", lambda row: row["status"]),
    ("open", lambda row: row["open_quantity"]),
    ("why", lambda row: row["why"]),
)
UNKNOWN_COLUMNS: Sequence[Column] = (
    ("symbol", lambda row: row["trading_symbol"]),
    ("segment", lambda row: row["exchange_segment"]),
    ("security id", lambda row: row["security_id"]),
    ("product", lambda row: row["product_type"]),
    ("net", lambda row: row["net_quantity"]),
)
RESULT_COLUMNS: Sequence[Column] = (
    ("position", lambda row: row["tracker_id"]),
    ("result", lambda row: row["code"]),
    ("closed", lambda row: row["exited_quantity"]),
    ("price", lambda row: row["exit_price"]),
    ("note", lambda row: row["error"]),
)

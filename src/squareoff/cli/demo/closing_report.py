"""What the demo shows in the end: the compared table, what was shown, and one exit's story."""

from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from squareoff.cli.demo.audit import Audit, PositionAudit, name_of
from squareoff.cli.demo.scenario import DemoPosition
from squareoff.cli.demo.timeline import Story

TELLER_STYLES = {"engine": "cyan", "broker": "magenta", "market": "dim", "demo": "bold red"}


def print_report(console: Console, audit: Audit, position: DemoPosition, story: Story) -> None:
    """Print all of it, within 100 columns."""
    console.print(_table(audit))
    console.print()
    for claim in audit.claims if not audit.differences else ():
        console.print(Text.assemble((" ✓ ", "bold green"), claim))
    for difference in audit.differences:
        console.print(Text.assemble((" ✗ ", "bold red"), difference))
    console.print()
    console.print(Text(f"The exit of {name_of(position)}, from the journal", style="bold"))
    for moment in story.moments:
        console.print(
            Text.assemble(
                (f"{story.seconds(moment):+8.3f} s  ", "dim"),
                (f"{moment.teller:<6}  ", TELLER_STYLES[moment.teller]),
                moment.text,
            ),
            no_wrap=True,
            overflow="ellipsis",
        )


def report_as_json(audit: Audit) -> dict[str, Any]:
    """Return the comparison for scripts; prices and money as text, None where a side has none."""
    return {
        "ok": not audit.differences,
        "positions": [
            {
                "symbol": name_of(each.position),
                "rule": each.position.rule,
                "status": each.status,
                "fired_at": _text(each.fired_at),
                "engine_price": _text(each.engine_price),
                "ledger_price": _text(each.ledger_price),
                "profit": _text(each.profit),
            }
            for each in audit.positions
        ],
        "claims": list(audit.claims),
        "differences": list(audit.differences),
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _table(audit: Audit) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("position", "rule"):
        table.add_column(name, no_wrap=True)
    for name in ("fired at", "engine: exited", "broker's books", "P&L", ""):
        table.add_column(name, no_wrap=True, justify="right")
    for each in audit.positions:
        table.add_row(*_cells(each))
    total = sum((each.profit for each in audit.positions), Decimal(0))
    table.add_row("", "", "", "", "together", _money(total), "")
    return table


def _cells(each: PositionAudit) -> list[Text | str]:
    position, is_equal = each.position, not each.differences
    return [
        name_of(position),
        position.rule,
        "-" if each.fired_at is None else str(each.fired_at),
        "-" if each.engine_price is None else f"{each.engine_price:.8f}",
        "-" if each.ledger_price is None else f"{each.ledger_price:.8f}",
        _money(each.profit),
        Text("✓" if is_equal else "✗", style="bold green" if is_equal else "bold red"),
    ]


def _money(amount: Decimal) -> Text:
    return Text(f"{amount:,.2f}", style="red" if amount < 0 else "green")

"""Print answers: JSON for scripts, tables for people."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from squareoff.cli.fact_sentences import sentence_of

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], object]]


def print_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table_of(title: str, columns: Sequence[Column], rows: Iterable[Row]) -> Table:
    """Return a table; what the broker or a caller wrote is shown as it is, never as markup."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for heading, _ in columns:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(_cell(show(row)) for _, show in columns))
    return table


def print_table(table: Table) -> None:
    """Print a table to standard output, as wide as it needs where that is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 400
    console.print(table)


def print_pairs(row: Row) -> None:
    """Print one object as name and value, one line each."""
    width = max((len(name) for name in row), default=0)
    for name, value in row.items():
        shown = json.dumps(value) if isinstance(value, dict | list) else value
        print(f"{name:<{width}}  {'' if shown is None else _printable(str(shown))}")


def _cell(value: object) -> str:
    return "" if value is None else escape(_printable(str(value)))


def _printable(text: str) -> str:
    """Return text without control characters: a broker's remark must not move the cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


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
    ("stop", lambda row: row["stop_level"]),
    ("exit", lambda row: row["exit_price"]),
    ("P&L", lambda row: row["realized_pnl"] or row["unrealized_pnl"]),
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
    ("time (IST)", lambda row: row["time"][11:23]),
    ("order", lambda row: row["client_order_id"]),
    ("what", lambda row: sentence_of(row["kind"], row["data"])),
)
ALARM_COLUMNS: Sequence[Column] = (
    ("id", lambda row: row["id"]),
    ("severity", lambda row: row["severity"]),
    ("code", lambda row: row["code"]),
    ("message", lambda row: row["message"]),
    ("raised", lambda row: row["raised_at"]),
    ("acknowledged", lambda row: row["acknowledged_at"]),
)
RESULT_COLUMNS: Sequence[Column] = (
    ("position", lambda row: row["tracker_id"]),
    ("result", lambda row: row["code"]),
    ("closed", lambda row: row["exited_quantity"]),
    ("price", lambda row: row["exit_price"]),
    ("note", lambda row: row["error"]),
)

"""Tables show what was written elsewhere as it is, without control characters or markup."""

import io
import os
import re
from collections.abc import Sequence

import pytest

from squareoff.adapters.system import SystemClock
from squareoff.cli.output import (
    ALARM_COLUMNS,
    JOURNAL_COLUMNS,
    ORDER_COLUMNS,
    POSITION_COLUMNS,
    Column,
    print_pairs,
    print_table,
    profit_of,
    table_of,
)


def test_cells_are_neither_markup_nor_control(capsys: pytest.CaptureFixture[str]) -> None:
    """A broker's remark cannot colour, move or break the table."""
    rows = [{"text": "[red]x[/red]\x1b[2J\ny"}, {"text": None}]
    print_table(table_of("title", (("text", lambda row: row["text"]),), rows))
    shown = capsys.readouterr().out

    assert "[red]x[/red] [2J y" in shown
    assert "\x1b" not in shown


def test_a_time_of_another_day_has_its_day() -> None:
    """A story may last for days, and a price of Friday looks like one of now on Monday."""
    today = SystemClock().now().ist().date().isoformat()
    at, over = dict(POSITION_COLUMNS)["at (IST)"], dict(ALARM_COLUMNS)["over"]
    friday = "2026-09-11T15:29:59.123456+05:30"

    assert dict(JOURNAL_COLUMNS)["time (IST)"]({"time": friday}) == "2026-09-11 15:29:59.123"
    assert at({"last_price_at": friday}) == over({"cleared_at": friday}) == "2026-09-11"
    assert at({"last_price_at": f"{today}T09:15:00.123456+05:30"}) == "09:15:00"
    assert at({"last_price_at": None}) == ""


def test_pairs_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Every value has its name and its line; none is empty."""
    print_pairs({"a": 1, "long": None, "list": ["x\n"]})

    assert capsys.readouterr().out == 'a     1\nlong  \nlist  ["x\\n"]\n'


class _Narrow(io.StringIO):
    """A terminal of 80 columns."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


@pytest.mark.parametrize("columns", [POSITION_COLUMNS, ORDER_COLUMNS, ALARM_COLUMNS])
def test_a_table_fits_a_screen_of_80_columns(
    columns: Sequence[Column], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there is no room for is left out and named; nothing is cut in silence."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    screen = _Narrow()
    monkeypatch.setattr("sys.stdout", screen)
    print_table(table_of("wide", columns, [_Row(), _Row()]))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()

    assert max(map(len, lines)) <= 80
    said = " ".join(line.strip() for line in lines)
    assert "no room for:" in said
    assert "--json shows all" in said
    assert _Row()["id"] in said or _Row()["client_order_id"] in said


@pytest.mark.parametrize("width", [40, 60, 79])
@pytest.mark.parametrize("columns", [POSITION_COLUMNS, ORDER_COLUMNS, ALARM_COLUMNS])
def test_no_value_is_cut_on_a_phone(
    columns: Sequence[Column], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss of 1500.00 is not shown as one of 15: what no table fits stands line by line."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    screen = _Narrow()
    monkeypatch.setattr("sys.stdout", screen)
    row = _Row(unrealized_pnl="-1500.00", status="ACTIVE")
    if columns is POSITION_COLUMNS:
        row["id"] = "trk-b615b48352f0c666391f"
    print_table(table_of("narrow", columns, [row, row]))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    said = {word for line in lines for word in line.split()}

    assert max(map(len, lines)) <= width
    for heading, show in columns:
        if heading in _NEVER_CUT:
            assert str(show(row)) in said


_NEVER_CUT = {"id", "client order id", "status", "side", "open", "filled", "P&L", "code"}


class _Row(dict[str, object]):
    """A row as wide as they come."""

    def __missing__(self, name: str) -> object:
        """Return a value of the usual length for this name."""
        known: dict[str, object] = {
            "id": "trk-mmv7n1k8ax0h", "client_order_id": "sqx-o5p9yh473nui-001-01",
            "broker_order_ids": ["552611210000045"], "intent": None, "repeats": 3,
            "quantity": 75, "exited_quantity": 0, "order_quantity": 75, "cumulative_quantity": 75,
            "status": "PART_FILLED", "message": "a long message " * 9, "reason": "too far " * 9,
            "trading_symbol": "NIFTY-Sep2026-25000-CE", "tracker_id": "trk-mmv7n1k8ax0h",
            "raised_at": "2026-09-15T09:15:00.000000+05:30", "cleared_at": None,
        }  # fmt: skip
        return known.get(name, "25974.90")


@pytest.mark.parametrize(
    ("status", "exited", "realized", "unrealized", "shown"),
    [
        ("ACTIVE", 0, None, "-25.00", "-25.00"),
        ("ACTIVE", 0, None, None, None),
        ("EXITING", 40, "60.00", "150.00", "210.00"),
        ("EXITING", 40, "60.00", "-60.00", "0.00"),
        ("EXITING", 40, "60.00", None, None),
        ("EXITING", 40, None, "150.00", None),
        ("EXITED", 100, "0.00", None, "0.00"),
        ("UNTRACKED", 40, "60.00", None, "60.00"),
        ("CANCELLED", 0, None, None, None),
    ],
)
def test_profit_is_all_of_it_or_nothing(
    status: str, exited: int, realized: str | None, unrealized: str | None, shown: str | None
) -> None:
    """A part-filled exit shows both parts together; a part that is unknown is never left out."""
    row = {
        "status": status, "exited_quantity": exited, "realized_pnl": realized,
        "unrealized_pnl": unrealized,
    }  # fmt: skip

    assert profit_of(row) == shown


def test_a_table_for_a_reader_who_went_away_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error of the system passes on to `main`, which knows what it means."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as gone:
        monkeypatch.setattr("sys.stdout", gone)
        with pytest.raises(BrokenPipeError):
            print_table(table_of("t", (("id", lambda row: row["id"]),), [{"id": "x" * 100_000}]))
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)

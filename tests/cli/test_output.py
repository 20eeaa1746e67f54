"""Tables show what was written elsewhere as it is, without control characters or markup."""

import pytest

from squareoff.cli.output import print_pairs, print_table, table_of


def test_cells_are_neither_markup_nor_control(capsys: pytest.CaptureFixture[str]) -> None:
    """A broker's remark cannot colour, move or break the table."""
    rows = [{"text": "[red]x[/red]\x1b[2J\ny"}, {"text": None}]
    print_table(table_of("title", (("text", lambda row: row["text"]),), rows))
    shown = capsys.readouterr().out

    assert "[red]x[/red] [2J y" in shown
    assert "\x1b" not in shown


def test_pairs_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Every value has its name and its line; none is empty."""
    print_pairs({"a": 1, "long": None, "list": ["x\n"]})

    assert capsys.readouterr().out == 'a     1\nlong  \nlist  ["x\\n"]\n'

"""A book that is read again and again: only new rows are read, and nothing is taken for another."""

import pytest

from squareoff.adapters.broker.dhan.json_values import Unreadable
from squareoff.adapters.broker.dhan.row_memory import RowMemory
from squareoff.adapters.broker.dhan.wire import RowReader


def _memory(seen):
    def read(row):
        seen.append(row["id"])
        if row.get("bad"):
            raise Unreadable("bad")
        return (row["id"], row.get("filled", 0))

    return RowMemory(RowReader(read, lambda row, _error: row["bad"] == "stranger"))


def test_only_rows_that_changed_are_read_again():
    """The same bytes are the same row; one changed digit is another."""
    seen = []
    memory = _memory(seen)

    assert memory.read(b'[{"id":1},{"id":2,"filled":5}]').rows == ((1, 0), (2, 5))
    assert memory.read(b'[{"id":1},{"id":2,"filled":6}]').rows == ((1, 0), (2, 6))
    assert seen == [1, 2, 2]


def test_a_row_that_is_gone_is_forgotten():
    """The memory is no larger than the newest answer, and an empty book is empty."""
    seen = []
    memory = _memory(seen)
    memory.read(b'[{"id":1}]')

    assert memory.read(b"[]").rows == ()
    assert memory.read(b'[{"id":1}]').rows == ((1, 0),)
    assert seen == [1, 1]


def test_a_row_that_comes_twice_is_given_twice():
    """Rows are not merged: that is for whoever knows what they mean."""
    assert _memory([]).read(b'[{"id":1},{"id":1}]').rows == ((1, 0), (1, 0))


def test_a_strangers_unreadable_row_is_skipped_each_time():
    """Remembering does not hide that a row was skipped."""
    memory = _memory([])

    for _ in range(2):
        found = memory.read(b'[{"id":1,"bad":"stranger"},{"id":2}]')
        assert found.rows == ((2, 0),)
        assert found.skipped == ("bad",)


def test_an_unreadable_row_of_ours_fails_every_time():
    """A failed answer leaves no trace in the memory."""
    memory = _memory([])

    for _ in range(2):
        with pytest.raises(Unreadable):
            memory.read(b'[{"id":2},{"id":1,"bad":"ours"}]')


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"<html>", b'[{"id":1}', b'{"errorCode":1}'])
def test_what_is_no_array_is_none(body):
    """No answer is never an empty book."""
    assert _memory([]).read(body) is None


@pytest.mark.parametrize("body", [b"[1]", b"[null]", b'["x"]', b"[[]]"])
def test_a_row_that_is_no_object_fails_the_read(body):
    """Nobody can tell whose it was."""
    with pytest.raises(Unreadable):
        _memory([]).read(body)


def test_a_whole_answer_that_comes_again_gives_the_same_rows():
    """The same body is the same object at once, and an equal one after another came between."""
    seen = []
    memory = _memory(seen)
    body = b'[{"id":1},{"id":2,"filled":5}]'

    first = memory.read(body)

    assert memory.read(bytes(bytearray(body))) is first
    assert memory.read(b"[]").rows == ()
    assert memory.read(body) == first
    assert seen == [1, 2, 1, 2]


def test_an_answer_that_cannot_be_read_is_refused_each_time():
    """A refused answer never stands for the one before it."""
    memory = _memory([])
    memory.read(b'[{"id":1}]')

    for _ in range(2):
        with pytest.raises(Unreadable):
            memory.read(b'[{"id":1},{"id":2,"bad":"ours"}]')
    assert memory.read(b'[{"id":1}]').rows == ((1, 0),)

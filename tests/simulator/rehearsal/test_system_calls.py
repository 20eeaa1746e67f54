"""Recorded system calls: what the reader makes of each, and that it skips nothing in silence."""

from pathlib import Path

import pytest

from squareoff.simulator.rehearsal.system_calls import (
    Created,
    OrderLeft,
    Removed,
    Resized,
    Synced,
    Wrote,
    read_events,
)

DATABASE = Path("/d/engine.db")
WAL = "/d/engine.db-wal"


def _hex(text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    return "".join(f"\\x{byte:02x}" for byte in content)


def _read(folder: Path, *lines: str) -> list[object]:
    log = folder / "calls.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    return list(read_events(log, DATABASE))


def test_calls_on_the_database_become_events_in_order(tmp_path: Path) -> None:
    """Created, written, resized, synced and removed; other files are of no interest."""
    events = _read(
        tmp_path,
        f'7 1.1 openat(AT_FDCWD<{_hex("/d")}>, "{_hex(WAL)}", O_RDWR|O_CREAT, 0600) = 9<x>',
        f'7 1.2 pwrite64(9<{_hex(WAL)}>, "{_hex(b"ab")}", 2, 4096) = 2',
        f'7 1.3 pwrite64(8<{_hex("/d/other")}>, "{_hex(b"no")}", 2, 0) = 2',
        f"7 1.4 fdatasync(9<{_hex(WAL)}>) = 0",
        f"7 1.5 fdatasync(5<{_hex('/d')}>) = 0",
        f"7 1.6 ftruncate(9<{_hex(WAL)}>, 100) = 0",
        f'7 1.7 unlink("{_hex(WAL)}") = 0',
    )

    assert events == [
        Created(WAL), Wrote(WAL, 4096, b"ab"), Synced(WAL), Synced("/d"), Resized(WAL, 100),
        Removed(WAL),
    ]  # fmt: skip


def test_a_sync_counts_from_its_return_and_a_write_from_its_call(tmp_path: Path) -> None:
    """Where threads interrupt each other, the order errs on the side of loss."""
    events = _read(
        tmp_path,
        f"7 1.1 fdatasync(9<{_hex(WAL)}> <unfinished ...>",
        f'8 1.2 pwrite64(9<{_hex(WAL)}>, "{_hex(b"z")}", 1, 0 <unfinished ...>',
        "7 1.3 <... fdatasync resumed>) = 0",
        "8 1.4 <... pwrite64 resumed>) = 1",
    )

    assert events == [Wrote(WAL, 0, b"z"), Synced(WAL)]


def test_an_order_leaves_with_its_first_byte_and_a_read_does_not_count(tmp_path: Path) -> None:
    """Placements are told from look-ups of the same id."""
    body = 'POST /v2/orders HTTP/1.1\r\n\r\n{"transactionType":"SELL","correlationId":"sqx-1"}'
    events = _read(
        tmp_path,
        f'7 1.1 write(5<{_hex("socket:[12]")}>, "{_hex("GET /v2/orders/external/sqx-1")}", 9) = 9',
        f'7 1.2 write(5<{_hex("socket:[12]")}>, "{_hex(body)}", 80) = 80',
    )

    assert events == [OrderLeft("sqx-1")]


def test_an_unknown_call_on_the_database_is_refused(tmp_path: Path) -> None:
    """A kind of write that the reader does not know must not vanish from the images."""
    with pytest.raises(ValueError, match="pwritev"):
        _read(tmp_path, f"7 1.1 pwritev(9<{_hex(WAL)}>, [], 1, 0) = 2")

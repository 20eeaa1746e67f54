"""The doctor finds every fault in one go, says what to do, and changes nothing."""

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from squareoff.adapters.broker.dhan.instrument_source import InstrumentSettings
from squareoff.adapters.broker.dhan.transport import NotSent
from squareoff.adapters.system import SystemClock
from squareoff.bootstrap import CACHE_FOLDER
from squareoff.cli import examination
from squareoff.domain.errors import BrokerRejected, BrokerUnreachable, FeedDisconnected

MASTER = (
    "EXCH_ID,SEGMENT,SECURITY_ID,INSTRUMENT,SYMBOL_NAME,LOT_SIZE,TICK_SIZE\n"
    "NSE,D,49081,OPTIDX,NIFTY,75.0,5.0\n"
)


def _found(run: Any) -> dict[str, dict[str, Any]]:
    items = json.loads(run("doctor", "--json").out)["items"]
    return {found["name"]: found for found in items}


def test_a_missing_folder_of_the_database_is_a_fault(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named with what to do, the other checks run, and nothing is made."""
    monkeypatch.setenv("SQUAREOFF_DATABASE_URL", "sqlite:///nowhere/deep/a.db")
    found = _found(run)

    assert list(found) == [
        "settings", "files", "disk", "alarms", "database", "instruments", "paper prices",
    ]  # fmt: skip
    assert found["disk"]["ok"]
    assert not found["database"]["ok"]
    assert found["database"]["text"].startswith("the folder nowhere/deep is not there: make it")
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_is_a_fault_of_that_check(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error of the system ends the doctor."""

    def refused(_: object) -> tuple[bool, str]:
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setattr(examination.local_checks, "alerts", refused)
    found = _found(run)

    assert found["alarms"]["text"].startswith("/some/file: Permission denied: ")
    assert "paper prices" in found


def test_a_folder_is_no_database_and_needs_no_other_mode(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database_url that names a folder is told as that, by the doctor and at the start."""
    tmp_path.chmod(0o755)
    monkeypatch.setenv("SQUAREOFF_DATABASE_URL", f"sqlite:///{tmp_path}")
    found, refused = _found(run), run("run")

    assert found["files"]["ok"]
    assert found["database"]["text"].endswith("cannot be opened: Is a directory")
    assert "chmod" not in refused.err


def test_the_cache_of_instruments_is_read_and_left_alone(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the engine would fall back to counts, and neither file nor folder comes of it."""
    source = "http://127.0.0.1:1/x.csv"
    monkeypatch.setenv("SQUAREOFF_INSTRUMENTS", source)
    without = _found(run)["instruments"]
    left = os.listdir(tmp_path)
    kept = tmp_path / InstrumentSettings(source, CACHE_FOLDER).folder
    kept.mkdir(parents=True)
    yesterday = SystemClock().now().ist().date() - timedelta(days=1)
    (kept / f"instruments-{yesterday.isoformat()}.csv").write_text(MASTER)
    with_it = _found(run)["instruments"]

    assert (without["ok"], left) == (False, [])
    assert with_it["ok"], with_it
    assert "of an earlier day" in with_it["text"]
    assert [path.name for path in tmp_path.rglob("*.csv")] == [
        f"instruments-{yesterday.isoformat()}.csv"
    ]


def test_a_slow_line_may_take_as_long_for_the_instruments_as_the_engine_gives_it(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 50 MB is no call: a limit for calls would find a fault where none is."""

    async def load_slowly(*_: object) -> tuple[object, ...]:
        await asyncio.sleep(0.01)
        return _Loaded(("one",))

    monkeypatch.setenv("SQUAREOFF_INSTRUMENTS", "http://127.0.0.1:1/x.csv")
    monkeypatch.setattr(examination, "CALL_SECONDS_MAX", 0.0)
    monkeypatch.setattr(examination, "load_instruments", load_slowly)

    assert _found(run)["instruments"]["text"] == "1 instruments of today"


class _Loaded(tuple[object, ...]):
    is_today = True


UNREACHED = "check this machine's network, and the broker's addresses in [dhan]"


@pytest.mark.parametrize(
    ("error", "is_told"),
    [
        (NotSent("GET /profile: ClientConnectorDNSError (errno -2)"), True),
        (BrokerUnreachable("read profile: nothing was sent"), True),
        (FeedDisconnected("market feed: could not connect"), True),
        (FeedDisconnected("market feed: 808 authentication failed", 808), False),
        (BrokerRejected("read profile: DH-901"), False),
    ],
    ids=lambda value: str(value),
)
def test_a_broker_that_is_not_reached_is_told_with_what_to_do(
    error: Exception, is_told: bool
) -> None:
    """A reason that the broker gave stands alone."""

    async def check() -> tuple[bool, str]:
        raise error

    finding = asyncio.run(examination._finding("clock", check(), 10.0))

    assert not finding.ok
    assert finding.text.startswith(str(error))
    assert finding.text.endswith(UNREACHED) is is_told

"""A soak's judge: what counts as lost, as false, and as a book that differs."""

from typing import Any

from squareoff.simulator.soak.driving import Fired
from squareoff.simulator.soak.judging import crossings_by_tracker, ledger_faults, lost_and_false

FIRED = [Fired(910_001, "t1", 1.0), Fired(910_002, "t2", 2.0), Fired(910_001, "t3", 3.0)]


def crossed(security_id: int, price: float = 95.9) -> dict[str, Any]:
    return {"crossed": security_id, "price": price, "sent_ns": 1}


def claim(tracker_id: str, price: int = 959_000) -> dict[str, Any]:
    return {"tracker_id": tracker_id, "trigger_price": price}


def trade(security_id: int, side: str, quantity: int = 10) -> dict[str, Any]:
    name = {"exchange_segment": "NSE_EQ", "security_id": str(security_id)}
    return name | {"side": side, "quantity": quantity}


def tracker(security_id: int, status: str) -> dict[str, Any]:
    name = {"exchange_segment": "NSE_EQ", "security_id": str(security_id)}
    return name | {"status": status, "quantity": 10}


def test_crossings_belong_to_the_position_that_was_there() -> None:
    """The second print of an instrument is of the position that followed the first."""
    notes = [{"port": 1}, crossed(910_001), {"second": 1.0}, crossed(910_002), crossed(910_001)]

    found = crossings_by_tracker(FIRED, notes)

    assert list(found) == ["t1", "t2", "t3"]


def test_a_crossing_without_a_claim_is_lost() -> None:
    """Each crossing needs its claim; one that was told and never sent needs none."""
    crossings = crossings_by_tracker(FIRED, [crossed(910_001), crossed(910_002)])

    assert lost_and_false(crossings, [claim("t1"), claim("t2")]) == []
    (lost,) = lost_and_false(crossings, [claim("t1")])
    assert lost.startswith("lost: t2")


def test_a_claim_at_another_price_or_without_a_crossing_is_told() -> None:
    """An exit fires by the print that crossed, and by nothing else."""
    crossings = crossings_by_tracker(FIRED, [crossed(910_001)])
    other, false = lost_and_false(crossings, [claim("t1", 960_000), claim("t9")])

    assert "fired at 960000, not at 959000" in other
    assert false.startswith("false: t9")


def test_the_ledger_is_the_book() -> None:
    """What the broker holds is what is under watch, and never less than nothing."""
    bought = [trade(1, "BUY"), trade(2, "BUY"), trade(2, "SELL")]
    book = [tracker(1, "ACTIVE"), tracker(2, "EXITED")]

    assert ledger_faults(bought, book) == []
    assert len(ledger_faults([*bought, trade(2, "SELL")], book)) == 2
    assert ledger_faults(bought, [*book, tracker(2, "ACTIVE")]) == [
        "NSE_EQ:2: the broker holds 0, the engine 10"
    ]

"""The last gate: nothing leaves that the position's own record does not bear out."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exit_story.committed import (
    EXIT,
    claimed,
    grown,
    request_of,
    with_modifies,
    with_order,
)
from exit_story.values import INSTRUMENT, TRACKER, held, new_position
from service_world.virtual import run_virtual
from service_world.world import running_world
from squareoff.core.entries.opening import open_position
from squareoff.core.exits import sending
from squareoff.core.state.facts import (
    ClosedExternally,
    OrderAccepted,
    OrderOutcomeLost,
    OrderReported,
    OrderSent,
    OrderSettled,
)
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import InvariantBroken
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import PositionKey, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderModification,
    OrderRequest,
    OrderType,
    PositionSide,
    ReportSource,
    Side,
)
from squareoff.domain.results import ExitCode
from squareoff.services.exits.exit_results import Wait
from squareoff.services.orders.order_gate import OrderGate, most_that_may_close
from squareoff.services.positions.position_book import PositionBook

OTHER = ClientOrderId("sqx-2")
PRICE = Decimal("151.50")


def gate_of(tracker: PositionTracker) -> OrderGate:
    """Return the gate of an account with this one position."""
    book = PositionBook()
    book.add(tracker)
    return OrderGate(book)


def judge(tracker: PositionTracker, request: OrderRequest, *, overtaken: bool = False) -> str:
    """Return what the gate says of an exit: `passes`, `held back` or `refused`."""
    version = tracker.version - 1 if overtaken else tracker.version
    try:
        text = gate_of(tracker).overtaken_exit(request, decided_version=version)
    except InvariantBroken:
        return "refused"
    return "passes" if text is None else "held back"


def filled(
    tracker: PositionTracker, quantity: int, status: BrokerOrderStatus, name: ClientOrderId = OTHER
) -> PositionTracker:
    """Return the tracker after this order was accepted and its fills were reported."""
    at_broker = BrokerOrderId(f"B-{name}")
    report = OrderReported(
        TRACKER, name, at_broker, status, quantity, PRICE, "", ReportSource.STREAM
    )
    return grown(tracker, OrderAccepted(TRACKER, name, 1, at_broker), report)


SENDING = with_order(claimed())
LONG_NAME = ClientOrderId("sqx-" + "x" * 22)
SHORT = with_order(claimed(side=PositionSide.SHORT))
NOTHING = with_order(claimed(), quantity=0)
ONE = with_order(claimed(quantity=1, instrument=replace(INSTRUMENT, lot_size=1)), quantity=1)
FROZEN = with_order(claimed(quantity=3600), quantity=1825)
ODD_LAST = with_order(with_order(claimed(quantity=175), quantity=75), name=OTHER, quantity=90)
ODD_TWICE = with_order(with_order(claimed(quantity=175), quantity=85), name=OTHER, quantity=90)
OTHER_KEY = PositionKey(AccountId("1"), INSTRUMENT.instrument_id, ProductType.INTRADAY)

CASES: dict[str, tuple[PositionTracker, OrderRequest, str]] = {
    "as committed": (SENDING, request_of(SENDING), "passes"),
    "market": (
        SENDING,
        request_of(SENDING, order_type=OrderType.MARKET, limit_price=None),
        "passes",
    ),
    "a short closes by buying": (SHORT, request_of(SHORT), "passes"),
    "wrong side": (SENDING, request_of(SENDING, side=Side.BUY), "refused"),
    "wrong side, short": (SHORT, request_of(SHORT, side=Side.SELL), "refused"),
    "wrong side, committed so": (
        with_order(claimed(), side=Side.BUY),
        request_of(SENDING, side=Side.BUY),
        "refused",
    ),
    "more than committed": (SENDING, request_of(SENDING, order_quantity=125), "refused"),
    "less than committed": (SENDING, request_of(SENDING, order_quantity=75), "refused"),
    "nothing": (NOTHING, request_of(NOTHING), "refused"),
    "one unit": (ONE, request_of(ONE), "passes"),
    "over freeze": (FROZEN, request_of(FROZEN), "refused"),
    "what is left below a lot": (ODD_LAST, request_of(ODD_LAST, OTHER), "passes"),
    "whole lots beside it": (ODD_LAST, request_of(ODD_LAST), "passes"),
    "a second odd slice": (ODD_TWICE, request_of(ODD_TWICE, OTHER), "refused"),
    "off tick": (SENDING, request_of(SENDING, limit_price=Decimal("151.52")), "refused"),
    "no price at all": (SENDING, request_of(SENDING, limit_price=Decimal(0)), "refused"),
    "another key": (SENDING, request_of(SENDING, key=OTHER_KEY), "refused"),
    "an id too long": (
        with_order(claimed(), LONG_NAME),
        request_of(with_order(claimed(), LONG_NAME), LONG_NAME),
        "refused",
    ),
    "nobody's order": (SENDING, request_of(SENDING, client_order_id=OTHER), "refused"),
    "not committed": (
        with_order(claimed(), is_sent=False),
        request_of(with_order(claimed(), is_sent=False)),
        "refused",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_gate_judges_each_placement(name: str) -> None:
    """Only what was committed, on the right side and in a shape the exchange takes, passes."""
    tracker, request, verdict = CASES[name]

    assert judge(tracker, request) == verdict


OVER: dict[str, PositionTracker] = {
    "another exit rests": with_order(with_order(claimed(), OTHER, 25)),
    "another exit has filled": filled(
        with_order(with_order(claimed(), OTHER, 25)), 25, BrokerOrderStatus.TRADED
    ),
    "another ended with fills": filled(
        with_order(with_order(claimed(), OTHER, 50)), 25, BrokerOrderStatus.CANCELLED
    ),
    "somebody else has closed": grown(SENDING, ClosedExternally(TRACKER, 1, PRICE)),
    "another's outcome is unknown": grown(
        with_order(with_order(claimed(), OTHER, 25)), OrderOutcomeLost(TRACKER, OTHER, 1, "lost")
    ),
}


@pytest.mark.parametrize("name", OVER)
def test_an_exit_beyond_what_is_held_never_passes(name: str) -> None:
    """Decided on such a record it is a defect; overtaken since, it is held back."""
    tracker = OVER[name]

    assert judge(tracker, request_of(tracker)) == "refused"
    assert judge(tracker, request_of(tracker), overtaken=True) == "held back"


def test_an_exit_that_fits_beside_the_others_passes() -> None:
    """Slices of one position may be out together, and ended ones make room."""
    sliced = with_order(with_order(claimed(), OTHER, 50), quantity=50)
    freed = filled(with_order(with_order(claimed(), OTHER)), 0, BrokerOrderStatus.REJECTED)

    assert judge(sliced, request_of(sliced)) == judge(freed, request_of(freed)) == "passes"


def test_a_resend_while_an_earlier_send_is_unknown_never_passes() -> None:
    """The same id may stand for two orders then; one proved absent counts no more."""
    lost = grown(SENDING, OrderOutcomeLost(TRACKER, EXIT, 1, "lost"))
    order = lost.order(EXIT)
    assert order is not None
    unknown_twice = replace(lost, orders=(replace(order, sends=order.sends * 2),))
    absent = grown(lost, OrderSettled(TRACKER, EXIT, 3, 10.0))

    assert judge(unknown_twice, request_of(lost)) == "refused"
    assert judge(absent, request_of(absent)) == "passes"


def modify_of(**changes: Any) -> OrderModification:
    """Return the modify of the default exit."""
    target = OrderModification(BrokerOrderId("B1"), EXIT, OrderType.LIMIT, 100, PRICE)
    return replace(target, **changes)


@pytest.mark.parametrize(
    ("count", "changes", "passes"),
    [
        pytest.param(1, {}, True, id="first"),
        pytest.param(25, {}, True, id="last"),
        pytest.param(26, {}, False, id="one too many"),
        pytest.param(0, {}, False, id="not committed"),
        pytest.param(1, {"limit_price": Decimal("151.51")}, False, id="off tick"),
        pytest.param(1, {"order_quantity": 75}, False, id="another quantity"),
        pytest.param(1, {"broker_order_id": BrokerOrderId("B2")}, False, id="another's order"),
        pytest.param(1, {"client_order_id": OTHER}, False, id="nobody's"),
    ],
)
def test_the_gate_judges_each_modify(count: int, changes: dict[str, Any], passes: bool) -> None:
    """At most 25 modifies of an order that is ours, on the grid, of the same quantity."""
    gate = gate_of(with_modifies(SENDING, count))

    if passes:
        gate.check_modification(modify_of(**changes))
    else:
        with pytest.raises(InvariantBroken):
            gate.check_modification(modify_of(**changes))


def test_an_entry_passes_as_committed_and_never_as_an_exit() -> None:
    """An entry has its own side, and no order passes in the other's role."""
    tracker, _ = open_position(new_position(entry_order_type=OrderType.LIMIT), 0)
    entry = tracker.orders[0].client_order_id
    sent = grown(tracker, OrderSent(TRACKER, entry, 1, OrderType.LIMIT, Decimal(150), "owner"))
    gate, request = gate_of(sent), request_of(sent, entry)
    gate.check_entry(request)

    for wrong in (replace(request, side=Side.SELL), replace(request, order_quantity=1)):
        with pytest.raises(InvariantBroken):
            gate.check_entry(wrong)
    with pytest.raises(InvariantBroken):
        gate.overtaken_exit(request, decided_version=sent.version)
    with pytest.raises(InvariantBroken):
        gate_of(SENDING).check_entry(request_of(SENDING))


ORDERS = st.lists(
    st.tuples(
        st.integers(1, 40),
        st.sampled_from(["open", "filled", "part", "cancelled", "unknown", "planned"]),
    ),
    max_size=5,
)


@given(held_quantity=st.integers(1, 120), others=ORDERS, external=st.integers(0, 40))
def test_what_passes_can_never_close_more_than_is_held(
    held_quantity: int, others: list[tuple[int, str]], external: int
) -> None:
    """Whatever else is out, filled or closed by others: if it passes, the worst case fits."""
    tracker = claimed(quantity=held_quantity)
    worst = 10 + external
    for number, (quantity, fate) in enumerate(others):
        name = ClientOrderId(f"sqx-o{number}")
        tracker = with_order(tracker, name, quantity, is_sent=fate != "planned")
        if fate == "unknown":
            tracker = grown(tracker, OrderOutcomeLost(TRACKER, name, 1, "lost"))
        done = {"filled": quantity, "part": quantity // 2, "cancelled": quantity // 2}.get(fate)
        if done is not None:
            status = {
                "filled": BrokerOrderStatus.TRADED,
                "part": BrokerOrderStatus.PENDING,
                "cancelled": BrokerOrderStatus.CANCELLED,
            }[fate]
            tracker = filled(tracker, done, status, name)
        worst += {"planned": 0, "cancelled": quantity // 2}.get(fate, quantity)
    if external:
        tracker = grown(tracker, ClosedExternally(TRACKER, external, PRICE))
    tracker = with_order(tracker, quantity=10, attempt=2)
    order = tracker.order(EXIT)
    assert order is not None

    assert most_that_may_close(tracker, order) == worst
    assert (judge(tracker, request_of(tracker)) == "passes") == (worst <= held_quantity)


def test_the_gate_looks_at_the_newest_record() -> None:
    """A position that changes between two tries is judged as it stands then."""
    book = PositionBook()
    actor = book.add(held())
    gate = OrderGate(book)
    book.replace(actor, SENDING, 0)
    assert gate.overtaken_exit(request_of(SENDING), decided_version=SENDING.version) is None
    book.replace(actor, OVER["somebody else has closed"], 0)

    assert gate.overtaken_exit(request_of(SENDING), decided_version=SENDING.version)


def test_a_defect_of_a_decision_halts_the_position_and_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A price off the grid is caught before the first byte: halted, alarmed, nothing sent."""
    monkeypatch.setattr(sending, "protected_limit", lambda *_, **__: Decimal("151.52"))

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.tick("152.00")
            result = await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)

            assert result.code is ExitCode.HALTED
            assert world.gateway.requests == []
            assert world.alarms.codes == ["position_halted"]

    run_virtual(body())

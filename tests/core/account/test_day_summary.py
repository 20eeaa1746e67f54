"""A day in words: what ended, what is left, what is in doubt, and who was not heard."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from exit_story.values import OPENED_AT_NS, asked, held
from squareoff.core.account.day_summary import OPEN_SHOWN_MAX, DayAlarm, summary_of
from squareoff.core.state.facts import Severity
from squareoff.core.state.tracker import (
    ExitIntent,
    PositionTracker,
    Send,
    SendOutcome,
    TrackedOrder,
)
from squareoff.domain.ids import ClientOrderId, TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import OrderOrigin, OrderRole, Side
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus
from squareoff.domain.time import ist_date

TODAY = ist_date(OPENED_AT_NS)
DAY_NS = 86_400 * 10**9


def _exited(profit: str, *, at_ns: int = OPENED_AT_NS, by_rule: bool = True) -> PositionTracker:
    intent = _intent(IntentStatus.DONE) if by_rule else None
    return replace(
        held(),
        status=PositionStatus.EXITED,
        intent=intent,
        externally_closed_quantity=100,
        realized_pnl=Decimal(profit),
        exited_at_ns=at_ns,
    )


def _intent(status: IntentStatus, reason: BlockReason | None = None) -> ExitIntent:
    wish = asked()
    return ExitIntent(
        wish.intent_id, status, wish.reason, wish.trigger, OPENED_AT_NS, block_reason=reason
    )


def test_what_ended_today_is_summed_by_rule() -> None:
    """Other days do not count; what others closed is named so."""
    yesterday = _exited("999", at_ns=OPENED_AT_NS - DAY_NS)
    text = summary_of(
        TODAY, [_exited("-150.5"), _exited("100"), _exited("1", by_rule=False), yesterday], []
    )

    assert "Exits: 3 (closed by others 1, stop_loss 2). Their P&L: -49.50 rupees." in text
    assert "Still open: nothing." in text


def test_what_the_broker_closed_on_an_earlier_day_is_told_apart() -> None:
    """An intraday position of yesterday was closed yesterday, whenever that is booked: as in the
    account's P&L its loss is none of today. One that was carried ends today."""
    booked = replace(_exited("-1850", by_rule=False), created_at_ns=OPENED_AT_NS - DAY_NS)
    carried = replace(booked, product_type=ProductType.MARGIN, realized_pnl=Decimal(40))

    text = summary_of(TODAY, [booked], [])
    assert "Exits: none.\nClosed on an earlier day and booked today: 1. Their P&L: -1850.00" in text
    text = summary_of(TODAY, [booked, carried], [])
    assert "Exits: 1 (closed by others 1). Their P&L: +40.00 rupees." in text
    assert "earlier day" not in summary_of(TODAY, [carried], [])


def test_an_exit_under_way_says_what_it_waits_for() -> None:
    """A person reads it as what is left to do."""
    waiting = replace(
        held(),
        status=PositionStatus.EXITING,
        intent=_intent(IntentStatus.BLOCKED, BlockReason.TOKEN_DEAD),
    )
    text = summary_of(TODAY, [waiting], [])

    assert "STILL OPEN: 1." in text
    assert "LONG 100 (its exit is under way: BLOCKED, token_dead)" in text


def test_a_long_list_is_cut_and_counted() -> None:
    """The message stays readable."""
    many = [replace(held(), tracker_id=TrackerId(f"trk-{n}")) for n in range(OPEN_SHOWN_MAX + 3)]
    text = summary_of(TODAY, many, [])

    assert text.count("LONG 100") == OPEN_SHOWN_MAX
    assert "and 3 more" in text


def test_alarms_are_counted_and_the_unseen_are_named() -> None:
    """Each code once."""
    alarms = [
        DayAlarm(Severity.CRITICAL, "over_exit", True),
        DayAlarm(Severity.WARNING, "position_mismatch", True),
        DayAlarm(Severity.WARNING, "position_mismatch", True),
        DayAlarm(Severity.WARNING, "clock_jumped", False),
    ]

    assert summary_of(TODAY, [], alarms).endswith(
        "Alarms: 1 critical, 3 warnings. Unseen: over_exit, position_mismatch."
    )


def test_orders_of_unknown_outcome_are_told() -> None:
    """Those of today, still unknown or proved absent."""
    sends = tuple(
        Send(number, outcome, OPENED_AT_NS - age_ns)
        for number, (outcome, age_ns) in enumerate(
            [
                (SendOutcome.ABSENT, 0),
                (SendOutcome.UNKNOWN, 0),
                (SendOutcome.ACCEPTED, 0),
                (SendOutcome.UNKNOWN, DAY_NS),
            ],
            start=1,
        )
    )
    order = TrackedOrder(
        ClientOrderId("sqx"), OrderRole.EXIT, OrderOrigin.PLACED, 1, 1, Side.SELL, 100,
        OrderState.OUTCOME_UNKNOWN, sends=sends,
    )  # fmt: skip
    text = summary_of(TODAY, [replace(held(), orders=(order,))], [])

    assert "Orders of unknown outcome: 1; proved never to have arrived: 1." in text


def test_the_day_is_that_of_india() -> None:
    """Half past six in the evening in London is the next day there."""
    evening = 1_789_497_000 * 10**9  # 2026-09-15 18:30 UTC

    assert ist_date(evening) == date(2026, 9, 16)

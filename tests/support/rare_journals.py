"""Journals with the facts that simulated runs seldom have: each is a story that can happen."""

from decimal import Decimal as D

from exit_story.values import new_position
from squareoff.core.entries.opening import open_position
from squareoff.core.state import facts as f
from squareoff.core.state.facts import JournalEntry
from squareoff.domain.account_rules import AccountRuleName
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, IntentId, TrackerId
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderOrigin,
    OrderRole,
    OrderType,
    ReportSource,
    Side,
)
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import PriceRule, RuleName, RuleSet, TrailingRule, Trigger

ID, ORDER, ENTRY_ORDER = TrackerId("trk-1"), ClientOrderId("sqx-1"), ClientOrderId("sqx-e")
BROKER, ENTRY_BROKER = BrokerOrderId("B1"), BrokerOrderId("B0")
RULES = RuleSet(stop_loss=PriceRule(points=D(10)), trailing=TrailingRule(points=D(5)))
_TRACKER, OPENED = open_position(new_position(rules=RULES), 0)
_CLAIM = f.ExitClaimed(
    ID,
    IntentId("exit-1"),
    "the stop fired",
    Trigger(RuleName.TRAILING, PriceUnits(1_550_000), PriceUnits(1_549_500), 5, 6),
)
_SENDING: tuple[f.Fact, ...] = (
    f.ExitSized(ID, 1, 100, 100, 0),
    f.OrderPlanned(
        ID, ORDER, OrderRole.EXIT, OrderOrigin.PLACED, 1, 1, Side.SELL, 100, OrderType.LIMIT, None
    ),
    f.OrderSent(ID, ORDER, 1, OrderType.LIMIT, D("150.10"), "memory"),
)

_VANISHED_AND_SENT_AGAIN = (
    *OPENED,
    _CLAIM,
    *_SENDING,
    f.OrderAccepted(ID, ORDER, 1, BROKER),
    f.OrderVanished(ID, ORDER, BROKER, BrokerOrderStatus.MISSING, 3, 12.5),
    f.ExitEscalated(ID, "the order is in none of the books"),
    f.ExitResumed(ID),
    f.OrderReplanned(ID, ORDER),
    f.OrderSent(ID, ORDER, 2, OrderType.LIMIT, D("150.20"), "memory"),
)


def _told(
    status: BrokerOrderStatus, filled: int, average: str | None, order: ClientOrderId = ORDER
) -> f.OrderReported:
    broker = BROKER if order == ORDER else ENTRY_BROKER
    price = None if average is None else D(average)
    return f.OrderReported(ID, order, broker, status, filled, price, "", ReportSource.STREAM)


ALARMS_RAISED_AGAIN = "alarms raised again"

STORIES: dict[str, tuple[f.Fact, ...]] = {
    ALARMS_RAISED_AGAIN: (
        f.AlarmRaised(f.Severity.WARNING, "feed_refused", "429"),
        f.AlarmRaised(f.Severity.CRITICAL, "feed_refused", "429"),
        f.AlarmRaised(f.Severity.WARNING, "feed_refused", "another text"),
        f.AlarmRaised(f.Severity.CRITICAL, "needs_human", "first words", ID),
        f.AlarmRaised(f.Severity.WARNING, "needs_human", "other words", ID),
        f.AlarmRepeated(1, 4),
        f.AlarmCleared(1, "connected"),
        f.AlarmRaised(f.Severity.WARNING, "feed_refused", "429"),
        f.AlarmAcknowledged(4),
        f.AlarmRaised(f.Severity.CRITICAL, "needs_human", "anew", ID),
    ),
    "taken back": (
        *OPENED,
        f.RulesChanged(ID, RULES),
        f.StopMoved(ID, PriceUnits(1_600_000), PriceUnits(1_550_000), "trailing"),
        f.BestPriceNoted(ID, PriceUnits(1_602_500)),
        _CLAIM,
        *_SENDING,
        f.OrderAccepted(ID, ORDER, 1, BROKER),
        f.ExitWithdrawalAsked(ID, "changed my mind", "owner"),
        f.OrderCancelSent(ID, ORDER, BROKER),
        _told(BrokerOrderStatus.CANCELLED, 0, None),
        f.ExitWithdrawn(ID, "changed my mind"),
        f.PositionUntracked(ID, "mine again", "owner"),
    ),
    "never left, then vanished": (
        *OPENED,
        _CLAIM,
        *_SENDING,
        f.OrderNotSent(ID, ORDER, 1, "connection refused"),
        f.OrderReplanned(ID, ORDER),
        f.OrderSent(ID, ORDER, 2, OrderType.LIMIT, D("150.20"), "memory"),
        f.OrderAccepted(ID, ORDER, 2, BROKER),
        f.OrderVanished(ID, ORDER, BROKER, BrokerOrderStatus.MISSING, 3, 12.5),
        f.ExitEscalated(ID, "the order is in none of the books"),
        f.ExitResumed(ID),
    ),
    "vanished, and named again": (
        *_VANISHED_AND_SENT_AGAIN,
        f.OrderAccepted(ID, ORDER, 2, BROKER),
    ),
    "vanished, and refused when sent again": (
        *_VANISHED_AND_SENT_AGAIN,
        f.OrderRefused(ID, ORDER, 2, "DH-906", "not now"),
    ),
    "rejected before its answer was lost": (
        *OPENED,
        _CLAIM,
        *_SENDING,
        _told(BrokerOrderStatus.REJECTED, 0, None),
        f.OrderOutcomeLost(ID, ORDER, 1, "no answer within 3 s"),
    ),
    "closed too much": (
        *OPENED,
        _CLAIM,
        *_SENDING,
        f.OrderAccepted(ID, ORDER, 1, None),
        f.ClosedExternally(ID, 30, D("151.3333")),
        _told(BrokerOrderStatus.TRADED, 100, "150.123456789"),
        f.OverExitDetected(ID, 30),
        f.ExitEscalated(ID, "over-exit"),
        f.OverExitResolved(ID, "bought back by hand", "owner"),
        f.FillsConfirmed(ID, ORDER, BROKER, 100, D("150.12")),
        f.PositionExited(ID, D("150.12"), D("12.00"), "the stop fired"),
    ),
    "an entry that fills in parts": (
        f.TrackerOpened(
            ID,
            _TRACKER.account_id,
            _TRACKER.instrument,
            _TRACKER.product_type,
            _TRACKER.side,
            0,
            D(0),
            RULES,
            awaits_entry=True,
        ),
        f.EntryWatched(ID, ENTRY_ORDER, ENTRY_BROKER, Side.BUY, 75),
        _told(BrokerOrderStatus.PART_TRADED, 25, None, ENTRY_ORDER),
        _told(BrokerOrderStatus.PART_TRADED, 25, "149.95", ENTRY_ORDER),
        _told(BrokerOrderStatus.TRADED, 75, "150.01666666666666", ENTRY_ORDER),
    ),
    "an entry that fills after its end": (
        f.TrackerOpened(
            ID,
            _TRACKER.account_id,
            _TRACKER.instrument,
            _TRACKER.product_type,
            _TRACKER.side,
            0,
            D(0),
            RULES,
            awaits_entry=True,
        ),
        f.EntryWatched(ID, ENTRY_ORDER, ENTRY_BROKER, Side.BUY, 75),
        _told(BrokerOrderStatus.CANCELLED, 0, None, ENTRY_ORDER),
        f.PositionCancelled(ID, "entry ended unfilled: CANCELLED"),
        _told(BrokerOrderStatus.CANCELLED, 50, "150.00", ENTRY_ORDER),
    ),
    "the account": (
        f.AccountTaken(1, "free", "host", 7, "1.0", "abc", ""),
        f.EngineStarted("1.0", "paper", 0),
        f.AlarmRaised(f.Severity.CRITICAL, "rehearsal", "look here"),
        f.AlarmRepeated(3, 2),
        f.AlarmCleared(3, "it is over"),
        f.AlarmAcknowledged(3),
        f.TokenReplaced("renewal", None),
        f.BooksReconciled("start", 0, ()),
        f.KillSwitchSet(True, "new", "test"),
        f.ExitAllAsked("all-1", "end of day", True),
        f.AccountPeakReached("2025-12-29", D("1250.5")),
        f.AccountRuleFired(
            "2025-12-29", AccountRuleName.TARGET, "target reached", (AccountRuleName.TARGET,), True
        ),
        f.BrokerLockSent("all-1"),
        f.BrokerLockAnswered("all-1", "refused", "there is a position"),
        f.ExitAllEnded("all-1", "closed", "nothing is open"),
        f.DayRangeNoted(ID, 20_711, PriceUnits(1_600_000), PriceUnits(1_400_000)),
        f.CallerSeen("admin", "127.0.0.1"),
        f.CommandAsked("cmd-1", "POST /api/v1/kill-switch", "", "admin", "127.0.0.1", "key-1"),
        f.CommandAnswered("cmd-1", 200, ""),
        f.CallsRefused("unauthorized", "127.0.0.1", 3),
    ),
}


def journal_of_story(name: str) -> tuple[JournalEntry, ...]:
    """Return a story as journal entries, a millisecond apart."""
    first_ns = 1_789_440_000_000_000_000
    return tuple(
        JournalEntry(seq, first_ns + seq * 1_000_000, fact, "")
        for seq, fact in enumerate(STORIES[name], start=1)
    )

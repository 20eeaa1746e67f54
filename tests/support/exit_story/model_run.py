"""Run the exit protocol against a model broker that misbehaves by seed, and then heals.

The story checks the core's own laws after every decision; here the broker's true books are asked.
`run(seed, kind)` replays a seed.
"""

import random
from dataclasses import dataclass, field
from decimal import Decimal

from exit_story.model_broker import ModelBroker
from exit_story.story import Story
from exit_story.values import asked, held
from squareoff.core.state.inputs import (
    ExitAsked,
    ExitHindered,
    ExitOversized,
    Input,
    PeakReached,
    PermitGranted,
    RepriceReady,
    RulesSet,
    SendAnswered,
    SendLost,
    SendRefused,
    WithdrawAsked,
    Woke,
)
from squareoff.core.state.policy import ExitPolicy
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import OrderType, PositionSide
from squareoff.domain.prices import PriceUnits
from squareoff.domain.rules import RuleSet
from squareoff.domain.states import BlockReason, IntentStatus, PositionStatus

CHAOS_STEPS = 140
HEAL_ROUNDS_MAX = 400
INPUTS_AT_ONE_INSTANT_MAX = 120
"""Far above what any decision needs; a protocol that asks the same at once for ever passes it."""


@dataclass(frozen=True)
class Kind:
    """What a run may hold."""

    outlaw: bool = False
    by_hand: bool = False
    with_entry: bool = False
    taken_back: bool = False
    quantity: int = 100
    policy: ExitPolicy = field(default_factory=ExitPolicy)


class Run:
    """One seeded run: chaos, then healing."""

    def __init__(self, seed: int, kind: Kind, crash_after: frozenset[int] = frozenset()) -> None:
        self.rng = random.Random(seed)
        self.crash_after = crash_after
        self.inputs = 0
        self.kind = kind
        side = self.rng.choice(list(PositionSide))
        entry = self.rng.choice([OrderType.LIMIT, OrderType.MARKET]) if kind.with_entry else None
        tracker = held(side=side, quantity=kind.quantity, entry_order_type=entry)
        self.story = Story(tracker, kind.policy)
        already_held = 0 if kind.with_entry else kind.quantity
        self.broker = ModelBroker(self.story, self.rng, held=already_held, outlaw=kind.outlaw)
        self.was_asked = False

    @property
    def tracker(self) -> PositionTracker:
        """The tracker as it stands."""
        return self.story.tracker

    def feed(self, event: Input) -> None:
        """Feed one input, start what it wants, and ask the broker's true books."""
        self.broker.start(self.story.feed(event).commands)
        self.check()
        self.inputs += 1
        if self.inputs in self.crash_after:
            self.die()

    def check(self) -> None:
        """Nothing of ours at the broker exceeds what is held, and no fill is taken back."""
        if not self.kind.outlaw:
            assert self.broker.closing <= self.broker.bought, "more at the broker than is held"
        known = sum(order.cumulative_quantity for order in self.tracker.exit_orders)
        assert known <= sum(order.filled for order in self.broker.exits), "fills were invented"
        if self.tracker.status is PositionStatus.EXITED and not self.kind.outlaw:
            assert sum(order.leaves for order in self.broker.exits) == 0

    def chaos(self) -> None:
        """Let everything happen that may."""
        self.feed(Woke())
        self.finish()
        for _ in range(CHAOS_STEPS):
            is_wanted = not self.was_asked or self.kind.taken_back
            if is_wanted and self.tracker.status is PositionStatus.ACTIVE:
                self.was_asked = True
                self.feed(asked())
            self.rng.choice(_DOINGS)(self)
            self.broker.arrive()

    def pass_time(self) -> None:
        """Let time pass; the tracker is woken when it asked to be."""
        self.story.later(self.rng.choice([0.01, 0.3, 1.0, 2.5, 6.0, 12.0]))
        self.broker.arrive()
        self.feed(Woke())

    def finish(self) -> None:
        """End a command under way."""
        if self.broker.in_flight:
            for event in self.broker.finish_one():
                self.feed(event)

    def tell(self) -> None:
        """Deliver something on the order stream."""
        for event in self.broker.tell():
            self.feed(event)

    def move(self) -> None:
        """Let the market or the broker act."""
        self.broker.move_market()
        if self.kind.by_hand and self.rng.random() < 0.05:
            self.broker.close_by_hand()

    def crash(self) -> None:
        """Now and then kill the process."""
        if self.rng.random() < 0.3:
            self.die()

    def die(self) -> None:
        """Kill the process and load the tracker again."""
        self.broker.forget_in_flight()
        self.broker.start(self.story.restart().commands)
        self.check()

    def disturb(self) -> None:
        """Feed something late, repeated or out of place."""
        orders = self.tracker.orders
        some = self.rng.choice(orders).client_order_id if orders else None
        events: list[Input] = [
            RulesSet(RuleSet()),
            PeakReached(PriceUnits(1_600_000)),
            ExitHindered(self.rng.choice(list(BlockReason)), "disturbed", 2.0),
        ]
        if self.was_asked and self.tracker.status is PositionStatus.EXITING:
            events.append(asked("exit-again"))
        if self.kind.taken_back:
            events += [WithdrawAsked("a slip of the hand", "a person")] * 3
        if some is not None:
            events += [
                RepriceReady(some, BrokerOrderId("B0"), None),
                ExitOversized(some),
                SendAnswered(some, 99, SendLost("out of place")),
                SendAnswered(some, 0, SendRefused("DH-905", "out of place")),
                PermitGranted(some, None),
            ]
        self.feed(self.rng.choice(events))

    def heal(self) -> None:
        """End all faults; the exit must come to its end by itself within the bound."""
        self.broker.is_healed = True
        for _ in range(HEAL_ROUNDS_MAX):
            self._ask_if_needed()
            self._run_all_commands()
            self.broker.move_market()
            self._deliver_all()
            if self._is_settled():
                return
            wake_at = self.story.last.wake_at_ns if self.story.last else None
            self.story.monotonic_ns = max(
                self.story.monotonic_ns + 1_000_000,
                min(wake_at or 0, self.story.monotonic_ns + 30_000_000_000),
            )
            self.broker.arrive()
            self.feed(Woke())
        raise AssertionError(f"stuck: {self.tracker.status} {self.tracker.intent}")

    def _ask_if_needed(self) -> None:
        """A person asks for what is still held, and lets go on what was handed over."""
        intent = self.tracker.intent
        handed_over = intent is not None and intent.status is IntentStatus.NEEDS_HUMAN
        if self.tracker.status is PositionStatus.ACTIVE or handed_over:
            self.feed(ExitAsked(asked().intent_id, "a person", asked().trigger))

    def _run_all_commands(self) -> None:
        for _ in range(INPUTS_AT_ONE_INSTANT_MAX):
            if not self.broker.in_flight:
                return
            self.finish()
        raise AssertionError(f"a busy loop: {list(self.broker.in_flight)}")

    def _deliver_all(self) -> None:
        for event in self.broker.tell():
            self.feed(event)

    def _is_settled(self) -> bool:
        self._run_all_commands()
        if any(not order.status.is_terminal for order in self.broker.orders):
            return False
        return self.tracker.status.is_final or self.tracker.over_exited_quantity > 0


_DOINGS = [
    Run.finish,
    Run.finish,
    Run.finish,
    Run.finish,
    Run.tell,
    Run.tell,
    Run.move,
    Run.move,
    Run.pass_time,
    Run.pass_time,
    Run.crash,
    Run.disturb,
]


def run(seed: int, kind: Kind) -> Run:
    """Play one seed to its end and judge the end by the broker's true books."""
    play = Run(seed, kind)
    play.chaos()
    play.heal()
    judge(play)
    return play


def judge(play: Run) -> None:
    """The end is the truth: all closed once, at the true average, or the excess is told."""
    tracker, broker = play.tracker, play.broker
    closed = sum(order.filled for order in broker.exits)
    by_hand = sum(trade.quantity for trade in broker.foreign)
    if closed > broker.bought:
        assert play.kind.outlaw, "only a request beyond all bounds may over-exit"
        assert tracker.over_exited_quantity == closed - broker.bought
        assert "over_exit" in play.story.alarm_codes()
        return
    if tracker.status is PositionStatus.CANCELLED:
        assert broker.bought == 0
        return
    assert tracker.status is PositionStatus.EXITED, tracker.status
    assert tracker.open_quantity == 0
    if by_hand == 0:
        assert closed == broker.bought
        notional = sum((order.notional for order in broker.exits), Decimal(0))
        assert tracker.exit_price is not None
        assert abs(tracker.exit_price - notional / closed) < Decimal("0.0000001")

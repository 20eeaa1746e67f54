"""Tell a tracker's story input by input, and check the laws of the core after every decision.

The laws: the facts fold to the decided tracker; nothing changes without a fact; every order that
leaves has its `OrderSent` in the same decision, once per (id, send number); modifies and cancels
have their facts; nothing new leaves that could close more than is held.
"""

from dataclasses import replace

from exit_story.values import OPENED_AT_NS, PRICE, asked, held, net, report, trade
from squareoff.core.exits.exit_protocol import decide
from squareoff.core.state.commands import (
    Command,
    LookUpOrder,
    RequestPermit,
    RequestReprice,
    TransmitCancel,
    TransmitModify,
    TransmitOrder,
)
from squareoff.core.state.evolve import evolve
from squareoff.core.state.facts import (
    AlarmRaised,
    OrderCancelSent,
    OrderModifySent,
    OrderSent,
    TrackerFact,
)
from squareoff.core.state.inputs import (
    BooksRead,
    Input,
    OrderSeen,
    PermitGranted,
    PositionsRead,
    PriceView,
    Recovered,
    RepriceReady,
    SendAccepted,
    SendAnswer,
    SendAnswered,
    SendLost,
    SettleRead,
    Woke,
)
from squareoff.core.state.pacing import Pacing
from squareoff.core.state.policy import ExitPolicy
from squareoff.core.state.step import Decision
from squareoff.core.state.tracker import PositionTracker, TrackedOrder
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import BrokerOrderStatus, ReportSource, TradeReport
from squareoff.domain.states import OrderState
from squareoff.domain.time import Now, seconds_to_ns

_START_NS = 1_000_000_000_000


class Story:
    """One tracker, its pacing, its clock, and everything that was decided so far."""

    def __init__(
        self, tracker: PositionTracker | None = None, policy: ExitPolicy | None = None
    ) -> None:
        self.tracker = tracker if tracker is not None else held()
        self.policy = policy if policy is not None else ExitPolicy()
        self.pacing = Pacing()
        self.monotonic_ns = _START_NS
        self.restarts_always = False
        self.facts: list[TrackerFact] = []
        self.alarms: list[AlarmRaised] = []
        self.sent: list[TransmitOrder] = []
        self.last: Decision | None = None

    @property
    def now(self) -> Now:
        """The present instant."""
        return Now(OPENED_AT_NS + self.monotonic_ns, self.monotonic_ns)

    @property
    def commands(self) -> tuple[Command, ...]:
        """What the last decision wants done."""
        assert self.last is not None, "nothing was decided yet"
        return self.last.commands

    @property
    def orders(self) -> tuple[TrackedOrder, ...]:
        """The exit orders so far, oldest first."""
        return self.tracker.exit_orders

    @property
    def states(self) -> list[OrderState]:
        """The states of the exit orders, oldest first."""
        return [order.state for order in self.orders]

    def alarm_codes(self) -> list[str]:
        """Return the codes of all alarms so far."""
        return [alarm.code for alarm in self.alarms]

    def wants(self, kind: type[Command]) -> bool:
        """Say whether the last decision has a command of this kind."""
        return any(isinstance(command, kind) for command in self.commands)

    def feed(self, event: Input) -> Decision:
        """Decide on one input, check the laws, and take the decision over."""
        decision = self._decide(event)
        if self.restarts_always and not isinstance(event, Recovered):
            self.restart()
        return decision

    def _decide(self, event: Input) -> Decision:
        before = self.tracker
        decision = decide(before, self.pacing, event, self.now, self.policy)
        self._check(before, decision)
        self.tracker, self.pacing, self.last = decision.tracker, decision.pacing, decision
        self.facts.extend(decision.facts)
        self.alarms.extend(decision.alarms)
        return decision

    def _check(self, before: PositionTracker, decision: Decision) -> None:
        folded = before
        for fact in decision.facts:
            folded = evolve(folded, fact, self.now.wall_ns)
        assert folded == decision.tracker, "the facts do not fold to the decided tracker"
        assert decision.facts or decision.tracker is before, "changed without a fact"
        assert decision.tracker.version == before.version + len(decision.facts)
        sent = {(f.client_order_id, f.send_number) for f in decision.facts if type(f) is OrderSent}
        modified = {f.broker_order_id for f in decision.facts if type(f) is OrderModifySent}
        cancelled = {f.broker_order_id for f in decision.facts if type(f) is OrderCancelSent}
        known = {(c.request.client_order_id, c.send_number) for c in self.sent}
        for command in decision.commands:
            match command:
                case TransmitOrder(number, request):
                    name = (request.client_order_id, number)
                    assert name in sent, f"{name} would leave without its fact"
                    assert name not in known, f"{name} would leave twice"
                    self.sent.append(command)
                    self._check_not_more_than_held(decision.tracker)
                case TransmitModify(modification):
                    assert modification.broker_order_id in modified
                case TransmitCancel(_, broker_order_id):
                    assert broker_order_id in cancelled
                case _:
                    pass
        assert len(sent) == sum(isinstance(c, TransmitOrder) for c in decision.commands)

    @staticmethod
    def _check_not_more_than_held(tracker: PositionTracker) -> None:
        assert tracker.exit_leaves_quantity <= tracker.open_quantity, "more leaves than is held"

    def restart(self) -> Decision:
        """Let the process die and load the tracker again: all pacing is gone.

        As every start does, it reads the order book before anything is sent.
        """
        self.pacing = Pacing()
        decision = self._decide(Recovered())
        for order in self.tracker.orders:
            for record in order.broker_orders:
                if record.status.is_terminal:
                    seen = report(
                        record.status,
                        record.cumulative_quantity,
                        broker_order_id=record.broker_order_id,
                        order_quantity=order.order_quantity,
                        average_price=None,
                    )
                    decision = self._decide(OrderSeen(order.client_order_id, seen))
        return decision

    def later(self, seconds: float) -> "Story":
        """Let time pass without waking the tracker."""
        self.monotonic_ns += seconds_to_ns(seconds)
        return self

    def wake(self) -> Decision:
        """Let time pass to the instant the last decision asked for, and wake the tracker."""
        assert self.last is not None, "nothing was decided yet"
        assert self.last.wake_at_ns is not None, "the last decision asked for no wake-up"
        self.monotonic_ns = max(self.monotonic_ns, self.last.wake_at_ns)
        return self.feed(Woke())

    def wait(self, seconds: float) -> Decision:
        """Let time pass and wake the tracker."""
        self.later(seconds)
        return self.feed(Woke())

    # Short ways to say what a story is made of.

    def claim(self, positions: PositionsRead | None = None) -> "Story":
        """Ask for the exit and answer the reading of positions."""
        self.feed(asked())
        self.feed(positions if positions is not None else net(self.tracker.quantity))
        return self

    def order(self, number: int = -1) -> TrackedOrder:
        """Return one exit order by its place, the newest by default."""
        return self.orders[number]

    def permit(self, number: int = -1, price: PriceView | None = PRICE) -> Decision:
        """Grant the permit of one exit order."""
        return self.feed(PermitGranted(self.order(number).client_order_id, price))

    def permit_all(self) -> "Story":
        """Grant every permit that the last decision asks for."""
        for command in self.commands:
            if isinstance(command, RequestPermit):
                self.feed(PermitGranted(command.client_order_id, PRICE))
        return self

    def answer(self, answer: SendAnswer, number: int = -1, send: int | None = None) -> Decision:
        """Answer one send of one exit order, the newest send by default."""
        order = self.order(number)
        send_number = len(order.sends) if send is None else send
        return self.feed(SendAnswered(order.client_order_id, send_number, answer))

    def accept(self, broker_order_id: str = "B1", number: int = -1) -> Decision:
        """Let the broker accept the newest send of one exit order."""
        return self.answer(SendAccepted(BrokerOrderId(broker_order_id)), number)

    def lose(self, number: int = -1) -> Decision:
        """Lose the answer to the newest send of one exit order."""
        return self.answer(SendLost("no answer within 3 s"), number)

    def see(
        self,
        status: BrokerOrderStatus,
        cumulative_quantity: int = 0,
        *,
        number: int = -1,
        broker_order_id: str = "B1",
        average_price: str | None = "151.50",
        reason: str = "",
        limit_price: str | None = None,
        order_quantity: int | None = None,
        source: ReportSource = ReportSource.ORDER_BOOK,
    ) -> Decision:
        """Report on one exit order, as the broker's own books tell it unless said otherwise."""
        order = self.order(number)
        seen = report(
            status,
            cumulative_quantity,
            broker_order_id=broker_order_id,
            order_quantity=order_quantity or order.order_quantity,
            average_price=average_price,
            reason=reason,
            limit_price=limit_price,
            source=source,
        )
        return self.feed(OrderSeen(order.client_order_id, seen))

    def reprice(self, price: PriceView | None, number: int = -1) -> Decision:
        """Grant a new price to the order that the last decision wants repriced."""
        order = self.order(number)
        target = order.live_broker_orders[0].broker_order_id
        return self.feed(RepriceReady(order.client_order_id, target, price))

    def books(self, *trades: TradeReport, own: tuple[str, ...] = ("B1",)) -> Decision:
        """Answer the reading of the trade book."""
        return self.feed(BooksRead(trades, frozenset(BrokerOrderId(name) for name in own)))

    def settle_reading(
        self,
        *,
        complete: bool = True,
        lacking: bool = True,
        net_quantity: int | None = 100,
        number: int = -1,
    ) -> Decision:
        """End one round of asking for an unknown order."""
        order_id = self.order(number).client_order_id
        return self.feed(SettleRead(order_id, complete, lacking, net_quantity))

    def prove_absent(self, number: int = -1) -> "Story":
        """Answer every look-up with nothing until the order is settled."""
        for _ in range(20):
            if not self.order(number).has_unresolved_send:
                return self
            if not self.wants(LookUpOrder):
                self.wake()
            self.settle_reading(number=number)
        raise AssertionError("the order was not settled")

    def work(self, broker_order_id: str = "B1") -> "Story":
        """Claim, send and let the newest exit order work at the exchange."""
        self.claim()
        self.permit()
        self.accept(broker_order_id)
        self.see(BrokerOrderStatus.PENDING, broker_order_id=broker_order_id)
        return self

    def fill_and_confirm(self, broker_order_id: str = "B1", price: str = "151.50") -> "Story":
        """Fill the newest exit order and confirm it by the trade book."""
        order = self.order()
        quantity = order.order_quantity
        self.see(BrokerOrderStatus.TRADED, quantity, broker_order_id=broker_order_id)
        self.books(trade(quantity, price, broker_order_id=broker_order_id))
        return self

    def reprices_wanted(self) -> list[ClientOrderId]:
        """Return the orders that the last decision wants to move toward the market."""
        return [c.client_order_id for c in self.commands if isinstance(c, RequestReprice)]

    def copy(self) -> "Story":
        """Return a story that goes on from here on its own."""
        other = Story(self.tracker, self.policy)
        other.__dict__.update(self.__dict__)
        other.facts, other.alarms = list(self.facts), list(self.alarms)
        other.sent = list(self.sent)
        return other


def with_policy(story: Story, **changes: object) -> Story:
    """Change fields of a story's policy."""
    story.policy = replace(story.policy, **changes)  # type: ignore[arg-type]
    return story

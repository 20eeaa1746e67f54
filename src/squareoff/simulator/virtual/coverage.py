"""Which faults struck while some exit was in which state.

A cell is a pair of a state and a fault class. It is counted once for each strike of the class while
at least one open tracker is in the state. States are read from what was committed, so a cell says
where the durable truth stood when the fault came. This measures the runs; it judges nothing.

Invariants:
1. `strike` is the only place where faults are counted.
2. Every state that can be counted is in `STATES`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from squareoff.core.state.change import Change
from squareoff.core.state.facts import OrderCancelSent, OrderModifySent, OrderReported
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.orders import OrderRole
from squareoff.domain.states import BlockReason, IntentStatus, OrderState, PositionStatus

UNDER_WAY_NS = 2_000_000_000
"""How long a modify or cancel counts as under way where no report ends it sooner."""

_EXIT_ORDER_STATES = (
    OrderState.PLANNED,
    OrderState.SENT,
    OrderState.ACCEPTED,
    OrderState.WORKING,
    OrderState.PART_FILLED,
    OrderState.OUTCOME_UNKNOWN,
    OrderState.ABSENT,
    OrderState.REFUSED,
    OrderState.REJECTED,
    OrderState.CANCELLED,
)
MODIFYING, CANCELLING = "modify under way", "cancel under way"
UNCONFIRMED, ENGINE_DOWN, RECOVERING = "fills unconfirmed", "engine down", "recovering"
ENTRY_LIVE = "entry live"

OUTLAWS_ALONE = BlockReason.UNKNOWN_ORDER
"""No lawful fault brings it about: only an old backup, or a second engine on the account."""

STATES: tuple[str, ...] = (
    *(f"position {s.value}" for s in PositionStatus if not s.is_final),
    *(f"intent {s.value}" for s in (IntentStatus.OPEN, IntentStatus.NEEDS_HUMAN)),
    *(f"blocked {reason.value}" for reason in BlockReason if reason is not OUTLAWS_ALONE),
    *(f"exit {state.value}" for state in _EXIT_ORDER_STATES),
    ENTRY_LIVE,
    MODIFYING,
    CANCELLING,
    UNCONFIRMED,
    ENGINE_DOWN,
    RECOVERING,
)

TRACKER_STATES: tuple[str, ...] = STATES[: STATES.index(ENTRY_LIVE) + 1]
"""States that a commit brings about, so that an event can wait for them."""


class Coverage:
    """Counts one run. `cells` is keyed by (state, fault class), `struck` by fault class."""

    def __init__(self) -> None:
        self.cells: Counter[tuple[str, str]] = Counter()
        self.struck: Counter[str] = Counter()
        self.engine_state: Callable[[], str] = str
        """Says `ENGINE_DOWN`, `RECOVERING`, or nothing; the run tells."""
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._watching: dict[str, list[Callable[[], None]]] = {}
        self._by_tracker: dict[str, tuple[str, ...]] = {}
        self._states: Counter[str] = Counter()
        self._under_way: dict[str, tuple[str, int]] = {}

    def take(self, change: Change, now_ns: int) -> None:
        """Take in a committed change."""
        tracker = change.after
        name = str(tracker.tracker_id)
        states = () if tracker.status.is_final else tuple(dict.fromkeys(_states_of(tracker)))
        entered = [state for state in states if not self._states[state]] if self._watching else []
        self._states.subtract(self._by_tracker.get(name, ()))
        self._by_tracker[name] = states
        self._states.update(states)
        for state in states if self._waiting else ():
            for action in self._waiting.pop(state, ()):
                action()
        for fact in change.facts:
            match fact:
                case OrderModifySent():
                    self._under_way[fact.client_order_id] = MODIFYING, now_ns
                    entered.append(MODIFYING)
                case OrderCancelSent():
                    self._under_way[fact.client_order_id] = CANCELLING, now_ns
                    entered.append(CANCELLING)
                case OrderReported():
                    self._under_way.pop(fact.client_order_id, None)
        self._tell(entered)

    def when(self, state: str, action: Callable[[], None]) -> None:
        """Do something once, as soon as an exit comes into this state."""
        self._waiting.setdefault(state, []).append(action)

    def watch(self, state: str, action: Callable[[], None]) -> None:
        """Do something whenever the first exit comes into this state."""
        self._watching.setdefault(state, []).append(action)

    def look_at_engine(self) -> None:
        """Tell those who watch the engine's own states; called when one may have begun."""
        self._tell([self.engine_state()])

    def _tell(self, entered: Iterable[str]) -> None:
        for state in entered if self._watching else ():
            for action in self._watching.get(state, ()):
                action()

    def is_in(self, state: str, now_ns: int) -> bool:
        """Say whether some exit, or the engine, is in this state now."""
        if state in (MODIFYING, CANCELLING):
            return any(
                found == state and now_ns - since_ns <= UNDER_WAY_NS
                for found, since_ns in self._under_way.values()
            )
        return self._states[state] > 0 or self.engine_state() == state

    def strike(self, fault_class: str, now_ns: int) -> None:
        """Count a fault of this class, which strikes now."""
        self.struck[fault_class] += 1
        cells = self.cells
        for state, count in self._states.items():
            if count > 0:
                cells[state, fault_class] += 1
        if engine_state := self.engine_state():
            cells[engine_state, fault_class] += 1
        for state, since_ns in self._under_way.values():
            if now_ns - since_ns <= UNDER_WAY_NS:
                cells[state, fault_class] += 1


def _states_of(tracker: PositionTracker) -> Iterator[str]:
    yield f"position {tracker.status.value}"
    intent = tracker.intent
    if intent is not None and intent.status in (IntentStatus.OPEN, IntentStatus.NEEDS_HUMAN):
        yield f"intent {intent.status.value}"
    is_blocked = intent is not None and intent.status is IntentStatus.BLOCKED
    reason = None if intent is None else intent.block_reason
    if is_blocked and reason is not None and reason is not OUTLAWS_ALONE:
        yield f"blocked {reason.value}"
    for order in tracker.orders:
        if order.role is OrderRole.ENTRY:
            if order.state.is_live:
                yield ENTRY_LIVE
        elif order.state in _EXIT_ORDER_STATES:
            yield f"exit {order.state.value}"
    if tracker.status is PositionStatus.EXITING and tracker.open_quantity == 0:
        yield UNCONFIRMED

"""Know since when nobody else was heard to close what we hold.

The order stream tells of every order of the account, also of those a person or another program
sends. Silence proves something only while the stream is up. Since one update may have been lost,
what others did is also taken from every reading of the order book, and from positions that show
less than we hold.
"""

from collections.abc import Iterable

from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.instruments import InstrumentId, PositionKey
from squareoff.domain.orders import BrokerOrderStatus, OrderReport, Side
from squareoff.ports import Clock
from squareoff.services.positions.position_book import PositionBook


class StrangerWatch:
    """Hears the order stream of one account, and reads its order book along."""

    def __init__(self, book: PositionBook, clock: Clock) -> None:
        self._book = book
        self._clock = clock
        self._up_since_ns: int | None = None
        self._heard_ns: dict[tuple[InstrumentId, Side], int] = {}
        self._in_book: dict[BrokerOrderId, tuple[BrokerOrderStatus, int]] = {}

    def note_connection(self, is_up: bool) -> None:
        """The order stream came up, or ended: what it did not tell meanwhile is not known."""
        self._up_since_ns = self._clock.now().monotonic_ns if is_up else None

    def note_report(self, report: OrderReport) -> None:
        """Hear of an order; a stranger's may close what we hold, and readings may lag behind it."""
        if self._book.owner_of(report.client_order_id, report.broker_order_id) is None:
            about = report.instrument_id, report.side
            self._heard_ns[about] = self._clock.now().monotonic_ns

    def note_book(self, reports: Iterable[OrderReport]) -> None:
        """Read the order book: a stranger's order that it did not show before, or that has gone on
        since, may be one of which the stream told nothing."""
        before, self._in_book = self._in_book, {}
        for report in reports:
            state = report.status, report.cumulative_quantity
            self._in_book[report.broker_order_id] = state
            if before.get(report.broker_order_id) != state:
                self.note_report(report)

    def note_missing(self, key: PositionKey) -> None:
        """The broker shows less of a key than we hold: somebody closed, and the stream may have
        lost his order."""
        for side in Side:
            self._heard_ns[key.instrument_id, side] = self._clock.now().monotonic_ns

    def has_heard_since(self, tracker: PositionTracker, since_ns: int) -> bool:
        """Say whether somebody else was heard to trade on the tracker's instrument, on the side
        that would close it, since a monotonic instant."""
        about = tracker.instrument.instrument_id, tracker.side.exit_order_side
        return self._heard_ns.get(about, since_ns - 1) >= since_ns

    def quiet_since_ns(self, tracker: PositionTracker) -> int | None:
        """Return the monotonic instant since which nobody else was heard to close on the tracker's
        instrument; None while the stream is down."""
        if self._up_since_ns is None:
            return None
        about = tracker.instrument.instrument_id, tracker.side.exit_order_side
        return max(self._up_since_ns, self._heard_ns.get(about, self._up_since_ns))

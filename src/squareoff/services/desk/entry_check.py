"""Whether the entry order that a new tracker names can be its entry.

Whatever fills under that id will be held by the tracker, and closed for it; while it works, an exit
of everything cancels it. So the id must be of one order at the broker that opens this position.
Invariants:
1. One order at the broker is the entry of one tracker at the most, for ever.
2. An order book that cannot be read refuses: nothing is watched unseen.
3. What the order has filled is held, beyond what other trackers claim.
"""

import re
from dataclasses import replace

from squareoff.core.entries.entry_matching import is_entry
from squareoff.core.entries.opening import NewPosition
from squareoff.core.exits.client_order_ids import is_ours
from squareoff.domain.errors import BrokerUnreachable, DomainError, FieldFault
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.orders import OrderReport
from squareoff.domain.time import seconds_to_ns
from squareoff.ports import Clock
from squareoff.services.desk.desk_requests import InvalidRequest
from squareoff.services.desk.held_check import HELD_WAIT_SECONDS, READ_AGAIN_SECONDS, HeldCheck
from squareoff.services.positions.broker_reads import BrokerReads
from squareoff.services.positions.position_book import PositionBook

FIELD = "entry_order_id"
_ID = re.compile(r"[0-9A-Za-z-]+\Z")
"""Dhan's ids are digits (dhanhq-v2.md 2.2) and to be kept as text; the paper broker's have a word
and hyphens before them."""


def entry_order_id_of(text: str | None) -> BrokerOrderId | None:
    """Return the broker's id of an entry order as asked for, None where none was given.

    Raises:
        InvalidRequest: no broker names an order so.
    """
    if text is None:
        return None
    if _ID.match(text.strip()) is None:
        fault = FieldFault(FIELD, f"must be the broker's order id: digits, was {text!r}")
        raise InvalidRequest([fault])
    return BrokerOrderId(text.strip())


class EntryCheck:
    """Compares the entry order of a new tracker with our book and with the broker's."""

    def __init__(
        self, book: PositionBook, reads: BrokerReads, held_check: HeldCheck, clock: Clock
    ) -> None:
        self._book = book
        self._reads = reads
        self._held_check = held_check
        self._clock = clock

    async def check(self, position: NewPosition, order_id: BrokerOrderId) -> None:
        """Refuse an order that cannot be the position's entry.

        Raises:
            DomainError("entry_order_taken"): it is or was an order of another tracker.
            DomainError("entry_order_not_found"): the broker's order book lacks it.
            DomainError("entry_order_unfit"): it is another order, or ended without a fill.
            NotHeld: it has filled, and the broker does not hold that for this tracker.
            BrokerUnreachable: the order book could not be read; nothing was changed.
        """
        self._refuse_taken(order_id)
        for report in await self._find(order_id):
            self._refuse_taken(order_id, report)
            _refuse_unfit(position, report)
            if report.cumulative_quantity:
                filled = replace(position, quantity=report.cumulative_quantity)
                await self._held_check.check_held(filled)

    def _refuse_taken(self, order_id: BrokerOrderId, report: OrderReport | None = None) -> None:
        tag = None if report is None else report.client_order_id
        owner = self._book.owner_of(tag, order_id)
        if owner is not None:
            text = f"order {order_id} belongs to tracker {owner[0].tracker.tracker_id}"
        elif is_ours(tag):
            text = f"order {order_id} carries an id of squareoff ({tag}): it is an engine's order"
        else:
            return
        raise DomainError("entry_order_taken", text, FIELD)

    async def _find(self, order_id: BrokerOrderId) -> list[OrderReport]:
        """Return the records of the order; one that was only just placed is waited for."""
        deadline_ns = self._clock.now().monotonic_ns + seconds_to_ns(HELD_WAIT_SECONDS)
        while True:
            orders = await self._reads.order_book()
            if orders is None:
                text = f"order {order_id} could not be looked up; nothing was changed, ask again"
                raise BrokerUnreachable(text)
            found = [report for report in orders if report.broker_order_id == order_id]
            if found:
                return found
            if self._clock.now().monotonic_ns >= deadline_ns:
                text = f"the broker's order book of today has no order {order_id}"
                raise DomainError("entry_order_not_found", text, FIELD)
            await self._clock.sleep(READ_AGAIN_SECONDS)


def _refuse_unfit(position: NewPosition, report: OrderReport) -> None:
    key, side = position.key, position.side.entry_order_side
    shown = (
        f"order {report.broker_order_id} is {report.side.value} {report.order_quantity} "
        f"{report.instrument_id} {report.product_type.value}"
    )
    if not is_entry(report, key.instrument_id, key.product_type, side):
        wanted = f"{side.value} {key.instrument_id} {key.product_type.value}"
        text = f"{shown}; the entry of this {position.side.value} position would be {wanted}"
        raise DomainError("entry_order_unfit", text, FIELD)
    if report.status.is_terminal and report.cumulative_quantity == 0:
        text = f"{shown} and ended {report.status.value} without a fill"
        raise DomainError("entry_order_unfit", text, FIELD)

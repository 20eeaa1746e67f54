"""A broker with a wire: writes take time to arrive, and a share of the answers is ambiguous.

Of the ambiguous placements half are executed; all of it is drawn from a seed. The broker notes when
each write reached it, which is what the rate limit is about.
"""

import asyncio
import random
from dataclasses import dataclass, field

from service_world.broker import ScriptedGateway
from squareoff.domain.errors import BrokerOutcomeUnknown, BrokerRateLimited
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderModification,
    OrderRequest,
    PlacementAnswer,
)

TRANSIT_SECONDS = (0.005, 0.08)
"""One way to the broker, or back."""

READS_PER_SECOND_MAX = 20
"""The broker turns away what comes beyond it (dhanhq-v2.md 9.1)."""

TIMEOUT_SECONDS = 3.0
"""How long an unanswered write is waited for."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One write as the broker saw it; `client_order_id` is empty for a cancel."""

    at_seconds: float
    client_order_id: ClientOrderId
    quantity: int


@dataclass(slots=True)
class AmbiguousBroker(ScriptedGateway):
    """Takes every order that reaches it and fills it at once."""

    seed: int
    ambiguous_share: float
    arrivals: list[Arrival] = field(default_factory=list)
    sent_first: list[ClientOrderId] = field(default_factory=list)
    reads_at: list[float] = field(default_factory=list)
    reads_refused: int = 0
    lost: dict[str, int] = field(default_factory=lambda: {"executed": 0, "not executed": 0})

    def __post_init__(self) -> None:
        ScriptedGateway.__init__(self)
        self.chance = random.Random(self.seed)

    async def _pass(self, name: str) -> None:
        """Answer a read after its way there and back, or turn it away as one too many."""
        if not name.endswith(("_order", "_market")):
            await self._travel()
            now = asyncio.get_running_loop().time()
            if sum(now - 1.0 < at for at in self.reads_at) >= READS_PER_SECOND_MAX:
                self.reads_refused += 1
                raise BrokerRateLimited("too many requests")
            self.reads_at.append(now)
            await self._travel()
        await ScriptedGateway._pass(self, name)

    async def exit_market(self, request: OrderRequest) -> object:
        """Carry an order to the broker, and its answer back, or not."""
        if request.client_order_id not in self.sent_first:
            self.sent_first.append(request.client_order_id)
        draw = self.chance.random()
        await self._travel()
        if draw < self.ambiguous_share / 2:
            await self._lose("not executed")
        self._note(request.client_order_id, request.order_quantity)
        report = self.accept(request)
        self.fill(report.broker_order_id)
        if draw < self.ambiguous_share:
            await self._lose("executed")
        await self._travel()
        return PlacementAnswer(report.broker_order_id, BrokerOrderStatus.TRANSIT)

    async def modify_order(self, modification: OrderModification) -> object:
        """Carry a modify to the broker."""
        await self._travel()
        self._note(modification.client_order_id, modification.order_quantity)
        return await ScriptedGateway.modify_order(self, modification)

    async def cancel_order(self, broker_order_id: BrokerOrderId) -> object:
        """Carry a cancel to the broker."""
        await self._travel()
        self._note(ClientOrderId(""), 0)
        return await ScriptedGateway.cancel_order(self, broker_order_id)

    async def _travel(self) -> None:
        await asyncio.sleep(self.chance.uniform(*TRANSIT_SECONDS))

    async def _lose(self, fate: str) -> None:
        """End without an answer: by a reset at once, or by a timeout."""
        self.lost[fate] += 1
        if self.chance.random() < 0.5:
            await asyncio.sleep(TIMEOUT_SECONDS)
        raise BrokerOutcomeUnknown(f"no answer, {fate}")

    def _note(self, client_order_id: ClientOrderId, quantity: int) -> None:
        now = asyncio.get_running_loop().time()
        self.arrivals.append(Arrival(now, client_order_id, quantity))

    def most_in_any_second(self) -> int:
        """Return the largest number of writes that arrived within one rolling second."""
        times = [arrival.at_seconds for arrival in self.arrivals]
        return max(sum(start <= each < start + 1.0 for each in times) for start in times)

"""What a gateway may answer, how long a call may take, and the one retry of a replaced token."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, cast

import pytest

from exit_story.values import ACCOUNT, INSTRUMENT
from service_world.virtual import run_virtual
from squareoff.domain.errors import BrokerOutcomeUnknown, BrokerSessionExpired, Sent
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import InstrumentId, PositionKey, ProductType
from squareoff.domain.orders import (
    BrokerOrderStatus,
    BrokerPosition,
    OrderRequest,
    OrderType,
    PlacementAnswer,
    Quote,
    Side,
)
from squareoff.ports import BrokerClient
from squareoff.services.orders.gateway import (
    GatewayLive,
    GatewayPaper,
    PaperHoldings,
    read_gateway_answer,
)

KEY = PositionKey(ACCOUNT, INSTRUMENT.instrument_id, ProductType.INTRADAY)
REQUEST = OrderRequest(ClientOrderId("sqx-1"), KEY, Side.SELL, OrderType.MARKET, 100)
ANSWER = PlacementAnswer(BrokerOrderId("B1"), BrokerOrderStatus.TRANSIT)


def placed(order_id: str) -> PlacementAnswer:
    """Return the answer that names this order."""
    return PlacementAnswer(BrokerOrderId(order_id), BrokerOrderStatus.TRANSIT)


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (True, True),
        (1, True),
        ("yes", True),
        (" YES ", True),
        ("true", True),
        ("success", True),
        ({"success": "true"}, True),
        ({"success": True, "status": "ok"}, True),
        ({"status": "success", "order_id": "112"}, placed("112")),
        ({"success": 1, "orderId": 112}, placed("112")),
        ({"ok": True, "id": " "}, True),
        (ANSWER, ANSWER),
        (False, False),
        (0, False),
        ("no", False),
        ("rejected", False),
        ({"success": False}, False),
        ({"success": False, "order_id": "112"}, False),
        (None, None),
        (7, None),
        (1.0, None),
        ("maybe", None),
        ("", None),
        ({}, None),
        ([], None),
        ({"order_id": "112"}, None),
        ({"success": True, "status": "failure"}, None),
        ({"success": "maybe"}, None),
    ],
    ids=repr,
)
def test_a_loose_answer_has_one_meaning(answer: object, meaning: object) -> None:
    """Accepted, refused or senseless: a loose answer is read in one place, and never guessed."""
    found = read_gateway_answer(answer)

    assert found == meaning
    assert type(found) is type(meaning)


class SlowClient:
    """A broker client whose every call takes `seconds` and then does what `ends` does."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.errors: list[Exception] = []
        self.calls = 0
        self.rows: tuple[BrokerPosition, ...] = ()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: object) -> object:
            self.calls += 1
            await asyncio.sleep(self.seconds)
            if self.errors:
                raise self.errors.pop(0)
            return self.rows if name == "positions" else ANSWER

        return call


def live(client: SlowClient) -> GatewayLive:
    """Return a live gateway of eight seconds over a client."""
    return GatewayLive(cast("BrokerClient", client), gateway_seconds=8.0)


def test_a_call_that_is_not_answered_in_time_has_an_unknown_outcome() -> None:
    """A whole call ends within eight seconds; then it may have taken effect."""

    async def body() -> None:
        gateway = live(SlowClient(60.0))
        started = asyncio.get_running_loop().time()

        with pytest.raises(BrokerOutcomeUnknown) as caught:
            await gateway.exit_market(REQUEST)

        assert caught.value.sent is Sent.MAYBE
        assert asyncio.get_running_loop().time() - started == pytest.approx(8.0)

    run_virtual(body())


def expired(*, has_new_token: bool) -> BrokerSessionExpired:
    """Return a refusal for a dead token."""
    error = BrokerSessionExpired("token")
    error.has_new_token = has_new_token
    return error


def test_a_read_refused_for_a_replaced_token_is_made_once_more() -> None:
    """It is made again with the token now in place; a write is left to the router's limits."""

    async def body() -> None:
        client = SlowClient()
        client.errors = [expired(has_new_token=True)]

        assert await live(client).order_book() == ANSWER
        assert client.calls == 2
        client.errors = [expired(has_new_token=True)]
        with pytest.raises(BrokerSessionExpired):
            await live(client).exit_market(REQUEST)
        assert client.calls == 3

    run_virtual(body())


@pytest.mark.parametrize(
    ("errors", "calls"),
    [([expired(has_new_token=False)], 1), ([expired(has_new_token=True)] * 2, 2)],
    ids=["no new token", "refused again"],
)
def test_a_dead_token_is_not_tried_for_ever(errors: list[Exception], calls: int) -> None:
    """Without another token the refusal stands; with one it is tried exactly once more."""

    async def body() -> None:
        client = SlowClient()
        client.errors = list(errors)

        with pytest.raises(BrokerSessionExpired):
            await live(client).positions()
        assert client.calls == calls

    run_virtual(body())


def test_the_second_try_does_not_lengthen_the_deadline() -> None:
    """Both tries share the eight seconds."""

    async def body() -> None:
        client = SlowClient(5.0)
        client.errors = [expired(has_new_token=True)]

        with pytest.raises(BrokerOutcomeUnknown):
            await live(client).positions()
        assert asyncio.get_running_loop().time() == pytest.approx(8.0)

    run_virtual(body())


def test_a_position_is_found_by_its_whole_key() -> None:
    """Another product of the same instrument is another position."""

    async def body() -> None:
        client = SlowClient()
        zero = Decimal(0)
        client.rows = tuple(
            BrokerPosition(INSTRUMENT.instrument_id, product, net, 0, 0, zero, zero)
            for product, net in ((ProductType.MARGIN, 25), (ProductType.INTRADAY, 50))
        )

        row = await live(client).position(KEY)
        assert row is not None
        assert row.net_quantity == 50
        client.rows = client.rows[:1]
        assert await live(client).position(KEY) is None

    run_virtual(body())


class QuotedMarket:
    """A real broker's gateway that knows quotes alone."""

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> dict[InstrumentId, Quote]:
        return {name: Quote(name, Decimal(150), None) for name in instrument_ids}


class HearingHoldings:
    """A paper broker that remembers what it was quoted."""

    def __init__(self) -> None:
        self.quoted: list[Quote] = []

    def on_quote(self, quote: Quote) -> None:
        self.quoted.append(quote)


def test_what_the_real_broker_quotes_can_be_traded_at_on_paper() -> None:
    """While the feed is silent an exit is priced by quotes, so it must fill by them too."""

    async def body() -> None:
        holdings = HearingHoldings()
        gateway = GatewayPaper(
            cast("BrokerClient", SlowClient(0.0)),
            gateway_seconds=8.0,
            holdings=cast("PaperHoldings", holdings),
            market=cast("GatewayLive", QuotedMarket()),
        )
        quotes = await gateway.quotes([REQUEST.key.instrument_id])

        assert holdings.quoted == list(quotes.values()) != []

    run_virtual(body())

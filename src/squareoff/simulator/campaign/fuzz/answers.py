"""Fuzz of REST answers: only the port's errors come out, and nothing is read that was not said.

An empty result is only ever the broker's own empty list, its own 404 or its own code for an empty
demat account, and an order is only accepted where the answer names it. Each call sends one request,
whatever comes back.
"""

import json
import random
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

from squareoff.adapters.broker.dhan.credentials import FixedToken
from squareoff.adapters.broker.dhan.rest import DhanRestClient, RestSettings
from squareoff.adapters.broker.dhan.transport import HttpRequest, HttpResponse, NoAnswer, NotSent
from squareoff.domain.errors import BrokerError
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import PositionKey, ProductType
from squareoff.domain.orders import (
    OrderModification,
    OrderRequest,
    OrderType,
    PlacementAnswer,
    Side,
)
from squareoff.simulator.campaign.fuzz.mutations import mutated_bytes, mutated_json
from squareoff.simulator.campaign.fuzz.samples import ACCOUNT, TAG, TOKEN, samples
from squareoff.simulator.campaign.fuzz.tally import FuzzTally

_STATUSES = (
    200,
    200,
    200,
    200,
    200,
    200,
    202,
    204,
    301,
    307,
    400,
    401,
    403,
    404,
    429,
    500,
    502,
    503,
)
_PLAIN = (
    b"", b" ", b"null", b"[]", b"{}", b"<html>502</html>", b'"ok"', b"0", b"[null]", b"[[]]",
    b'{"status":"success"}', b'{"errorType":"x","errorCode":"DH-906","errorMessage":"no"}',
)  # fmt: skip


class _Wire:
    """Fulfils `HttpTransport`: answers with what was laid down, and counts."""

    def __init__(self) -> None:
        self.answer: HttpResponse | Exception = NotSent("nothing laid down")
        self.sent = 0

    async def send(self, request: HttpRequest, timeout_seconds: float) -> HttpResponse:
        """Answer at once."""
        self.sent += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        """Nothing is held."""


class _Calls:
    """The client's calls by the name of the answer they read."""

    def __init__(self, client: DhanRestClient) -> None:
        instruments = [instrument.instrument_id for instrument in samples().instruments]
        key = PositionKey(AccountId(ACCOUNT), instruments[0], ProductType.MARGIN)
        name, price = BrokerOrderId("1234"), Decimal("210.50")
        request = OrderRequest(ClientOrderId(TAG), key, Side.SELL, OrderType.LIMIT, 75, price)
        change = OrderModification(name, ClientOrderId(TAG), OrderType.LIMIT, 75, price)
        self.by_sample = {
            "POST /orders": (
                lambda: client.place_order(request),
                lambda: client.modify_order(change),
                lambda: client.cancel_order(name),
            ),
            "GET /orders": (client.order_book,),
            "GET /trades": (client.trade_book,),
            "GET /positions": (client.positions,),
            f"GET /orders/external/{TAG}": (
                lambda: client.orders_by_client_order_id(ClientOrderId(TAG)),
            ),
            "GET /fundlimit": (client.funds,),
            "GET /holdings": (client.holdings,),
            "GET /profile": (client.profile,),
            "POST /marketfeed/quote": (lambda: client.quotes(instruments),),
        }


def fuzz_answers(chance: random.Random, count: int, tally: FuzzTally) -> None:
    """Try so many answers."""
    wire = _Wire()
    client = DhanRestClient(RestSettings(AccountId(ACCOUNT)), wire, FixedToken(TOKEN))
    calls, known = _Calls(client).by_sample, samples().answers
    names = list(calls)
    for _ in range(count):
        name = chance.choice(names)
        wire.answer, wire.sent = _answer(known[name], chance), 0
        _try(name, wire, chance.choice(calls[name])(), tally)


def _answer(known: list[tuple[int, bytes]], chance: random.Random) -> HttpResponse | Exception:
    status, body = chance.choice(known)
    match chance.randrange(10):
        case 0:
            return HttpResponse(chance.choice(_STATUSES), {}, chance.choice(_PLAIN))
        case 1:
            return NoAnswer("reset") if chance.random() < 0.5 else NotSent("refused")
        case 2 | 3 | 4:
            return HttpResponse(status, {}, mutated_bytes(body, chance))
        case 5:
            return HttpResponse(chance.choice(_STATUSES), {}, mutated_json(body, chance))
        case _:
            return HttpResponse(status, {}, mutated_json(body, chance))


def _try(name: str, wire: _Wire, call: Coroutine[Any, Any, Any], tally: FuzzTally) -> None:
    tally.cases += 1
    try:
        result = _run(call)
    except BrokerError as error:
        tally.outcomes[f"{type(error).__name__}, sent {error.sent.value}"] += 1
        fault = _fault_of_error(name, wire, error)
    except Exception as error:  # noqa: BLE001 - what escapes is what is looked for
        tally.violate(f"{error!r} escaped from {name}: {_shown(wire)}")
        return
    else:
        tally.outcomes["read"] += 1
        fault = _fault_of_result(name, wire, result)
    if wire.sent != 1:
        fault = f"{wire.sent} requests were sent"
    if fault:
        tally.violate(f"{fault}: {name}: {_shown(wire)}")


def _run(call: Coroutine[Any, Any, Any]) -> Any:
    """Drive a call whose transport never waits."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    call.close()
    raise AssertionError("the call waited for something other than its transport")


def _fault_of_error(name: str, wire: _Wire, error: BrokerError) -> str:
    """`sent` may only be NO where it is proved: nothing left, or refused in plain words."""
    if error.sent.value != "NO" or isinstance(wire.answer, NotSent) or name != "POST /orders":
        return ""
    if isinstance(wire.answer, HttpResponse) and wire.answer.status == 401:
        return ""  # credentials are checked before anything is done with an order
    if isinstance(wire.answer, HttpResponse) and 400 <= wire.answer.status < 500:
        return "" if _is_error_body(wire.answer.body) else "NO without the broker's own words"
    return "said not to have left, without proof"


def _is_error_body(body: bytes) -> bool:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and any(str(n).lower().startswith("error") for n in content)


def _fault_of_result(name: str, wire: _Wire, result: Any) -> str:
    answer = wire.answer
    if not isinstance(answer, HttpResponse):
        return "a result without an answer"
    if isinstance(result, PlacementAnswer):
        said = json.loads(answer.body)
        order_id = said.get("orderId") if isinstance(said, dict) else None
        is_named = str(order_id).strip() == str(result.broker_order_id)
        return "" if is_named and 200 <= answer.status < 300 else "accepted without an order id"
    if result == () and name.startswith("GET /orders/external"):
        return "" if _says_no_such_order(answer) else "absent without the broker's word for it"
    if result == () and name == "GET /holdings" and _says_empty_demat(answer):
        return ""
    if result == ():
        return "" if _is_list(answer.body) else "empty without an empty list"
    return ""


def _says_no_such_order(answer: HttpResponse) -> bool:
    """The broker says it by 404, by an empty list, or by its codes for it under 400."""
    is_coded = answer.status == 400 and any(code in answer.body for code in (b"906", b"907"))
    return answer.status == 404 or answer.body.strip() == b"[]" or is_coded


def _says_empty_demat(answer: HttpResponse) -> bool:
    """The broker says it by 500 and a code of its own, in either of two places (3.3)."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return False
    codes = (said.get("errorCode"), said.get("internalErrorCode")) if isinstance(said, dict) else ()
    return answer.status == 500 and any(
        str(code).strip() in ("DH-1111", "DHOLDING_ERROR") for code in codes
    )


def _is_list(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), list)
    except (ValueError, RecursionError):
        return False


def _shown(wire: _Wire) -> str:
    answer = wire.answer
    if isinstance(answer, HttpResponse):
        return f"{answer.status} {answer.body[:500]!r}"
    return repr(answer)

"""The broker's REST calls: each method is one request, classified, never repeated.

Source: dhanhq-v2.md 2 (orders), 3 (positions, funds), 8.1 (quotes), 1.4 (profile).

Invariants:
1. One method call is at most one order write on the wire.
2. No failure looks like an empty answer: an empty body, a wrong shape or an unreadable row of ours
   raises.
3. The token is asked for at each call and appears in no message. A call the broker refused for its
   token asks the token source for a new one before it raises, so that the caller's retry has it;
   while the token is known to be dead no call leaves. A refusal of market data proves no death: it
   makes the token suspect, and orders go on leaving until the broker's word on the token itself.
4. The fence is asked right before the first byte of every write.
Longer than 400 lines because every call stands here, one method each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from squareoff.adapters.broker.dhan.credentials import TokenSource
from squareoff.adapters.broker.dhan.errors import (
    CallSite,
    error_from_response,
    error_from_transport,
    is_not_found,
    protocol_error,
    read_fault,
    scrub,
)
from squareoff.adapters.broker.dhan.json_values import Unreadable, load_json
from squareoff.adapters.broker.dhan.row_memory import RowMemory
from squareoff.adapters.broker.dhan.trade_history import read_history
from squareoff.adapters.broker.dhan.transport import (
    HttpRequest,
    HttpResponse,
    HttpTransport,
    TransportError,
)
from squareoff.adapters.broker.dhan.wire import (
    ReadRows,
    order_rows,
    position_rows,
    read_funds,
    read_kill_switch,
    read_profile,
    read_quotes,
    sorted_out,
    trade_rows,
)
from squareoff.adapters.broker.dhan.wire_holdings import holding_rows, says_nothing_is_held
from squareoff.adapters.broker.dhan.wire_requests import (
    QUOTE_INSTRUMENTS_MAX,
    checked_correlation_id,
    modification_body,
    placement_body,
    quote_body,
    read_placement,
)
from squareoff.domain.errors import BrokerError, BrokerSessionExpired, InvariantBroken
from squareoff.domain.ids import AccountId, BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import InstrumentId
from squareoff.domain.orders import (
    BrokerPosition,
    BrokerProfile,
    Holding,
    OrderModification,
    OrderReport,
    OrderRequest,
    PlacementAnswer,
    Quote,
    ReportSource,
    TradeReport,
    WalletSnapshot,
)
from squareoff.ports import SendFence

T = TypeVar("T")

_OK = (200,)
_ACCEPTED = (200, 201, 202)
_CANCEL_ACCEPTED = (200, 202, 204)
_ACTIVATE = {"killSwitchStatus": "ACTIVATE"}
_NO_QUERY: Mapping[str, str] = {}
_LOOKED_UP = order_rows(ReportSource.LOOKUP)


@dataclass(frozen=True, slots=True)
class RestSettings:
    """Whose account, and how long one call may take, connecting included."""

    account_id: AccountId
    order_timeout_seconds: float = 3.0
    read_timeout_seconds: float = 5.0


class DhanRestClient:
    """DhanHQ v2 over HTTP; fulfils `ports.BrokerClient`."""

    def __init__(
        self,
        settings: RestSettings,
        transport: HttpTransport,
        tokens: TokenSource,
        fence: SendFence | None = None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._tokens = tokens
        self._fence = fence
        self._skipped_row_count = 0
        self._orders = RowMemory(order_rows(ReportSource.ORDER_BOOK))
        self._trades = RowMemory(trade_rows())
        self._positions = RowMemory(position_rows())
        self._holdings = RowMemory(holding_rows())

    @property
    def skipped_row_count(self) -> int:
        """How many rows of strangers could not be read since the start (see wire.py)."""
        return self._skipped_row_count

    async def place_order(self, request: OrderRequest) -> PlacementAnswer:
        """Place one order; `POST /orders`.

        Raises:
            InvariantBroken: the request cannot be written; nothing was sent.
            BrokerError: see `errors.error_from_response`; `sent` tells whether it may live.
        """
        site = CallSite(f"place order {request.client_order_id}", True, request.send_before_ns)
        body = placement_body(self._settings.account_id, request)
        response, token = await self._call(site, "POST", "/orders", body=body)
        return await self._placement(site, response, token)

    async def modify_order(self, modification: OrderModification) -> None:
        """Ask for a new absolute target; `PUT /orders/{id}`.

        Raises:
            BrokerError: `sent` tells whether it may have taken effect.
        """
        order_id = modification.broker_order_id
        site = CallSite(f"modify order {order_id}", True, modification.send_before_ns)
        body = modification_body(self._settings.account_id, modification)
        response, token = await self._call(site, "PUT", _order_path(order_id), body=body)
        answer = await self._placement(site, response, token)
        if answer.broker_order_id != order_id:
            problem = f"the answer speaks of order {answer.broker_order_id}"
            raise protocol_error(site, problem, response, token)

    async def cancel_order(self, broker_order_id: BrokerOrderId) -> None:
        """Ask for a cancel; `DELETE /orders/{id}`, answered with or without a body (2.6).

        Raises:
            BrokerError: `sent` tells whether it may have taken effect.
        """
        site = CallSite(f"cancel order {broker_order_id}", is_write=True)
        response, token = await self._call(site, "DELETE", _order_path(broker_order_id))
        if response.status not in _CANCEL_ACCEPTED:
            raise await self._failure(site, response, token)
        if not response.body.strip():
            return
        if read_fault(response.body) is not None or load_json(response.body) is None:
            raise await self._failure(site, response, token)

    async def orders_by_client_order_id(
        self, client_order_id: ClientOrderId
    ) -> tuple[OrderReport, ...]:
        """Look up by our id; `GET /orders/external/{cid}`, an object or an array.

        Returns:
            All orders with this id; empty for the broker's 404, which alone proves nothing (2.7).

        Raises:
            BrokerError: no readable answer, a gateway's 404, or an answer about another id.
        """
        site = CallSite(f"look up order {client_order_id}", is_write=False)
        path = f"/orders/external/{checked_correlation_id(client_order_id)}"
        response, token = await self._call(site, "GET", path)
        if is_not_found(response):
            return ()
        content = await self._content(site, response, token)
        rows = content if isinstance(content, list) else [content]
        reports = self._rows(
            site, response, token, lambda: sorted_out(_LOOKED_UP.read(row) for row in rows)
        )
        for report in reports:
            if report.client_order_id != client_order_id:
                problem = f"the answer speaks of {report.client_order_id}"
                raise protocol_error(site, problem, response, token)
        if len(reports) != len(rows):
            raise protocol_error(site, "a row cannot be read", response, token)
        return reports

    async def order_book(self) -> tuple[OrderReport, ...]:
        """Read today's orders; `GET /orders`.

        Raises:
            BrokerError: no answer, no array, or a row of ours that cannot be read.
        """
        site = CallSite("read order book", is_write=False)
        return await self._book(site, "/orders", self._orders)

    async def trade_book(self) -> tuple[TradeReport, ...]:
        """Read today's fills; `GET /trades`.

        Raises:
            BrokerError: no answer, no array, or a row that may be ours cannot be read.
        """
        site = CallSite("read trade book", is_write=False)
        return await self._book(site, "/trades", self._trades)

    async def trade_history(self, first: date, last: date) -> tuple[TradeReport, ...]:
        """Read the fills of earlier days; `GET /trades/{from}/{to}/{page}`, page by page.

        Raises:
            BrokerError: no answer, no array, a row that may be ours cannot be read, or no end.
        """
        site = CallSite("read trade history", is_write=False)
        memory = RowMemory(trade_rows())
        return await read_history(first, last, lambda path: self._book_rows(site, path, memory))

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Read positions; `GET /positions`. Only `[]` means flat, never an empty body.

        A row that comes a second time, alike in everything, is the same position, not another one.

        Raises:
            BrokerError: no answer, no array, or a row that may be ours cannot be read.
        """
        site = CallSite("read positions", is_write=False)
        return tuple(dict.fromkeys(await self._book(site, "/positions", self._positions)))

    async def holdings(self) -> tuple[Holding, ...]:
        """Read the shares of earlier days; `GET /holdings`, whose answer for none is an error.

        A row that comes a second time, alike in everything, is the same shares, not other ones.

        Raises:
            BrokerError: no answer, no array, or a row that names no instrument.
        """
        site = CallSite("read holdings", is_write=False)
        response, token = await self._call(site, "GET", "/holdings")
        if says_nothing_is_held(response.status, response.body):
            return ()
        read = await self._rows_of(site, response, token, self._holdings)
        return tuple(dict.fromkeys(read.rows))

    async def funds(self) -> WalletSnapshot:
        """Read the account's funds; `GET /fundlimit`.

        Raises:
            BrokerError: no readable answer.
        """
        site = CallSite("read funds", is_write=False)
        response, token, row = await self._object(site, "/fundlimit")
        return self._read(site, response, token, lambda: read_funds(row))

    async def profile(self) -> BrokerProfile:
        """Read the token's own description; `GET /profile`.

        Raises:
            BrokerError: no readable answer.
        """
        site = CallSite("read profile", is_write=False)
        response, token, row = await self._object(site, "/profile")
        return self._read(site, response, token, lambda: read_profile(row))

    async def quotes(self, instrument_ids: Sequence[InstrumentId]) -> Mapping[InstrumentId, Quote]:
        """Read quotes; `POST /marketfeed/quote` (a read in spite of its verb).

        Args:
            instrument_ids: at most 1,000; ids that are not whole numbers have no quote.

        Raises:
            BrokerError: no readable answer.
        """
        wanted = [one for one in instrument_ids if one.security_id.isdecimal()]
        if len(wanted) > QUOTE_INSTRUMENTS_MAX:
            raise InvariantBroken(f"at most {QUOTE_INSTRUMENTS_MAX} quotes, was {len(wanted)}")
        if not wanted:
            return {}
        site = CallSite("read quotes", is_write=False, is_market_data=True)
        body = quote_body(wanted)
        response, token = await self._call(site, "POST", "/marketfeed/quote", body=body)
        content = await self._content(site, response, token)
        return self._read(site, response, token, lambda: read_quotes(content, wanted))

    async def lock_account(self) -> None:
        """Put on the broker's kill switch for the day; `POST /killswitch`, needs a flat account.

        Raises:
            BrokerError: `sent` tells whether it may have taken effect; it may be asked for again.
        """
        site = CallSite("lock the account", is_write=True)
        response, token = await self._call(site, "POST", "/killswitch", query=_ACTIVATE)
        content = load_json(response.body) if response.status in _OK else None
        if not isinstance(content, dict) or read_fault(response.body) is not None:
            raise await self._failure(site, response, token)

    async def is_account_locked(self) -> bool:
        """Read whether the kill switch is on; `GET /killswitch`.

        Raises:
            BrokerError: no readable answer.
        """
        site = CallSite("read the account's lock", is_write=False)
        response, token, row = await self._object(site, "/killswitch")
        return self._read(site, response, token, lambda: read_kill_switch(row))

    async def close(self) -> None:
        """Release connections."""
        await self._transport.close()

    async def _call(
        self,
        site: CallSite,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str] = _NO_QUERY,
    ) -> tuple[HttpResponse, str]:
        """Send one request; return the answer and the token it was sent with."""
        settings = self._settings
        token = self._tokens.current()
        if self._tokens.is_refused():
            raise BrokerSessionExpired(f"{site.what}: not sent, the access token is dead")
        headers = {
            "access-token": token,
            "client-id": settings.account_id,
            "accept": "application/json",
        }
        if body is not None:
            headers["content-type"] = "application/json"
        timeout = settings.order_timeout_seconds if site.is_write else settings.read_timeout_seconds
        request = HttpRequest(method, path, query=query, headers=headers, body=body)
        if self._fence is not None and site.is_write:
            forbidden = partial(self._fence.refusal, site.send_before_ns)
            request = replace(request, forbidden=forbidden)
        try:
            return await self._transport.send(request, timeout), token
        except TransportError as error:
            raise error_from_transport(site, error) from error

    async def _failure(self, site: CallSite, response: HttpResponse, token: str) -> BrokerError:
        error = error_from_response(site, response, token)
        if isinstance(error, BrokerSessionExpired):
            error.has_new_token = await self._has_new_token(site, token)
        return error

    async def _has_new_token(self, site: CallSite, refused: str) -> bool:
        if not site.is_market_data:
            return await self._tokens.refresh(refused)
        await self._tokens.suspect(refused)
        return self._tokens.current() != refused

    async def _placement(
        self, site: CallSite, response: HttpResponse, token: str
    ) -> PlacementAnswer:
        if response.status in _ACCEPTED:
            try:
                return read_placement(response.body)
            except Unreadable:
                # Judged below: a success without an order id proves nothing.
                pass
        raise await self._failure(site, response, token)

    async def _content(self, site: CallSite, response: HttpResponse, token: str) -> Any:
        """Return the JSON of a successful read; None, an error body and no JSON are failures."""
        content = load_json(response.body) if response.status in _OK else None
        if content is None or read_fault(response.body) is not None:
            raise await self._failure(site, response, token)
        return content

    async def _book(self, site: CallSite, path: str, memory: RowMemory[T]) -> tuple[T, ...]:
        return (await self._book_rows(site, path, memory)).rows

    async def _book_rows(self, site: CallSite, path: str, memory: RowMemory[T]) -> ReadRows[T]:
        response, token = await self._call(site, "GET", path)
        return await self._rows_of(site, response, token, memory)

    async def _rows_of(
        self, site: CallSite, response: HttpResponse, token: str, memory: RowMemory[T]
    ) -> ReadRows[T]:
        problem = "the answer must be an array"
        if response.status in _OK:
            try:
                rows = memory.read(response.body)
            except Unreadable as error:
                problem = scrub(str(error), token)
            else:
                if rows is not None:
                    self._skipped_row_count += len(rows.skipped)
                    return rows
        await self._content(site, response, token)  # raises for whatever is no answer
        raise protocol_error(site, problem, response, token)

    async def _object(self, site: CallSite, path: str) -> tuple[HttpResponse, str, dict[str, Any]]:
        response, token = await self._call(site, "GET", path)
        content = await self._content(site, response, token)
        if not isinstance(content, dict):
            raise protocol_error(site, "the answer must be an object", response, token)
        return response, token, content

    def _rows(
        self,
        site: CallSite,
        response: HttpResponse,
        token: str,
        read: Callable[[], ReadRows[T]],
    ) -> tuple[T, ...]:
        result = self._read(site, response, token, read)
        self._skipped_row_count += len(result.skipped)
        return result.rows

    def _read(self, site: CallSite, response: HttpResponse, token: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except Unreadable as error:
            raise protocol_error(site, scrub(str(error), token), response, token) from error


def _order_path(broker_order_id: BrokerOrderId) -> str:
    return f"/orders/{quote(broker_order_id, safe='')}"

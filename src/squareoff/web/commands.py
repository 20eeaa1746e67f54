"""What every change passes between guard and route: role, idempotency key, and trail.

Invariants:
1. A route that changes something is reached by no other way than `Commands.take`.
2. A call is carried out once per key, and stands in the journal with who asked and what came of it.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from squareoff.domain.errors import SquareoffError, StoreError
from squareoff.domain.ids import TrackerId
from squareoff.services.desk.command_trail import Command
from squareoff.services.desk.desk import Desk
from squareoff.services.desk.desk_requests import UnknownTracker
from squareoff.web.error_shape import ApiError
from squareoff.web.errors import answer_defect, answer_http, answer_own, answer_validation
from squareoff.web.idempotency import IdempotencyDesk
from squareoff.web.roles import CHANGING_METHODS, Caller, role_of_call

_log = structlog.get_logger("squareoff.web")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_MAY_ACT_TWICE = frozenset(
    {
        "POST /api/v1/trackers/{tracker_id}/exit",
        "POST /api/v1/exit-all",
        "POST /api/v1/reconcile",
    }
)
"""Calls that undo nothing that was set since; throwing the kill switch is another."""


class Commands:
    """Takes the changes of one engine's API."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._idempotency = IdempotencyDesk(desk)

    async def take(self, request: Request, template: str, handle: Handler) -> Response:
        """Let a change through to its route, once, with its trail.

        Raises:
            ApiError: the key is unusable, or was used for another call.
            StoreError: the key cannot be read; nothing was done.
        """
        caller: Caller = request.scope["caller"]
        key = request.headers.get("idempotency-key")
        call = f"{request.method} {request.url.path}"
        command = Command(
            f"{request.method} {template}",
            await self._known_tracker(request),
            caller.role.value,
            caller.source,
            key or "",
        )

        async def act(fixed_id: str | None) -> Response:
            request.state.fixed_id = fixed_id
            return await self._desk.trail.take(command, lambda: _answer(request, handle), result_of)

        body = _parsed(await request.body())
        try:
            return await self._idempotency.answer_once(
                key,
                f"{caller.role.value} {call}",
                body,
                act,
                may_act_twice=_may_act_twice(command.call, body),
            )
        except ApiError as error:
            self.note_refusal(error.code, caller)
            raise

    def note_refusal(self, code: str, caller: Caller) -> None:
        """Count a change that this caller may not make."""
        self._desk.trail.note_refusal(code, f"{caller.role.value} {caller.source}")

    async def _known_tracker(self, request: Request) -> str:
        """Return the position that the path names; what a caller made up is not journalled."""
        named = TrackerId(request.path_params.get("tracker_id", ""))
        try:
            await self._desk.past.recall(named)
            return self._desk.tracker(named).id
        except (UnknownTracker, StoreError):
            return ""


class CommandRoute(APIRoute):
    """A route that asks for the role that it needs, and takes changes through `Commands`."""

    def get_route_handler(self) -> Handler:
        """Return the handler with the role, the key and the trail before it."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            caller: Caller | None = request.scope.get("caller")
            if caller is None:
                return await handle(request)  # an open path: the guard asked for no token
            commands: Commands = request.app.state.context.commands
            try:
                caller.require(
                    role_of_call(request.method, self.path_format),
                    f"{request.method} {self.path_format}",
                )
            except SquareoffError:
                commands.note_refusal("role_too_low", caller)
                raise
            if request.method not in CHANGING_METHODS:
                return await handle(request)
            return await commands.take(request, self.path_format, handle)

        return guarded


async def _answer(request: Request, handle: Handler) -> Response:
    """Return the route's answer, a refusal as one too: the trail has to hold it."""
    try:
        return await handle(request)
    except RequestValidationError as error:
        return answer_validation(error)
    except HTTPException as error:
        return answer_http(error)
    except SquareoffError as error:
        return answer_own(request.url.path, error)
    except Exception as error:  # noqa: BLE001 - top of a call: answered, logged, in the trail
        _log.error("api_call_failed", path=request.url.path, exc_info=error)
        return answer_defect(request.url.path, error)


def result_of(answer: Response) -> tuple[int, str]:
    """Return the status of an answer, and the code of a refusal or ""."""
    if answer.status_code < 400:
        return answer.status_code, ""
    return answer.status_code, str(json.loads(bytes(answer.body))["error"]["code"])


def _may_act_twice(call: str, body: Any) -> bool:
    """Say whether a repeat only closes, halts or looks."""
    if call == "POST /api/v1/kill-switch":
        return isinstance(body, dict) and body.get("active") is True
    return call in _MAY_ACT_TWICE


def _parsed(body: bytes) -> Any:
    """Return a body for comparison: key order and spacing make no other body."""
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")

"""Idempotency keys: a repeated call with the same key gets the first answer and changes nothing.

Invariants:
1. Same key and same body: the stored answer, byte for byte. Same key, other body: refused.
   A refusal is not remembered, so that the mended call may use the same key.
2. Calls with one key are handled one after the other, so simultaneous repeats act once.
3. What a call creates gets its id from key and body, so that a repeat after a crash between the
   act and the storing of its answer finds what was made instead of making it again.
4. A database that is away keeps nothing back that closes or halts, for that may be repeated anyway.
   Any other call is refused then: it might be a repeat, and undo what was set since.
5. An answer that could not be stored is kept by this process, and a repeat stores it.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from fastapi.responses import JSONResponse, Response

from squareoff.domain.errors import StoreError
from squareoff.ports import RememberedAnswer
from squareoff.services.desk.desk import Desk
from squareoff.web.error_shape import ApiError

_log = structlog.get_logger("squareoff.web")
KEY_LENGTH_MAX = 200
_ID_CHARACTERS = 20
_REFUSED = 400
_KEPT_MAX = 1_000
"""An answer goes unstored where the database fails right after the act; so many, never."""


class IdempotencyDesk:
    """Remembers answers under keys, in the engine's database."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._locks: dict[str, _KeyLock] = {}
        self._kept: dict[str, RememberedAnswer] = {}

    async def answer_once(
        self,
        key: str | None,
        call: str,
        body: Any,
        act: Callable[[str | None], Awaitable[Response]],
        *,
        may_act_twice: bool,
    ) -> Response:
        """Answer a call that may be repeated.

        Args:
            key: the caller's key, None for a call that is never a repeat.
            call: method and path; one key means one call.
            body: the parsed JSON body.
            act: does the work once; takes an id text that is fixed by key and body (None without a
                key) and returns the answer, a refusal too.
            may_act_twice: whether it is carried out also where the key cannot be read.

        Raises:
            ApiError: the key is unusable, or was used with another body.
            StoreError: the key cannot be read; nothing was done.
        """
        if key is None:
            return await act(None)
        if not key.strip() or len(key) > KEY_LENGTH_MAX or not key.isprintable():
            text = f"Idempotency-Key must be 1 to {KEY_LENGTH_MAX} printable characters"
            raise ApiError(422, "invalid_request", text, {"field": "Idempotency-Key"})
        body_hash = _hash_of(call, body)
        lock = self._locks.setdefault(key, _KeyLock())
        lock.users += 1
        try:
            async with lock.lock:
                known = await self._recall(key, may_act_twice=may_act_twice)
                return await self._answer_locked(key, body_hash, known, act)
        finally:
            lock.users -= 1
            if lock.users == 0:
                self._locks.pop(key, None)

    async def _answer_locked(
        self,
        key: str,
        body_hash: str,
        known: RememberedAnswer | None,
        act: Callable[[str | None], Awaitable[Response]],
    ) -> Response:
        if known is None:
            answer = await act(_hash_of(key, body_hash)[:_ID_CHARACTERS])
            if answer.status_code < _REFUSED:
                text = bytes(answer.body).decode()
                await self._remember(key, RememberedAnswer(body_hash, answer.status_code, text))
            return answer
        if known.body_hash != body_hash:
            raise ApiError(
                422,
                "idempotency_key_reused",
                "this Idempotency-Key was used for another request; nothing was changed",
                {"field": "Idempotency-Key"},
            )
        return Response(known.answer, status_code=known.status, media_type=JSONResponse.media_type)

    async def _recall(self, key: str, *, may_act_twice: bool) -> RememberedAnswer | None:
        if key in self._kept:
            kept = self._kept.pop(key)
            await self._remember(key, kept)
            return kept
        try:
            return await self._desk.trail.recall_answer(key)
        except StoreError as error:
            _log.error("idempotency_key_not_read", error=str(error))
            if not may_act_twice:
                raise
            return None

    async def _remember(self, key: str, answer: RememberedAnswer) -> None:
        try:
            await self._desk.trail.remember_answer(key, answer)
        except StoreError as error:
            _log.error("idempotency_key_not_stored", error=str(error))
            self._kept[key] = answer
            if len(self._kept) > _KEPT_MAX:
                del self._kept[next(iter(self._kept))]


class _KeyLock:
    """The lock of one key while calls with it are under way."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


def _hash_of(first: str, second: Any) -> str:
    text = json.dumps([first, second], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()

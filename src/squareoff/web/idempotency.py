"""Idempotency keys: a repeated call with the same key gets the first answer and changes nothing.

Invariants:
1. Same key and same body: the stored answer, byte for byte. Same key, other body: refused.
2. Calls with one key are handled one after the other, so simultaneous repeats act once.
3. What a call creates gets its id from key and body, so that a repeat after a crash between the
   act and the storing of its answer finds what was made instead of making it again.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi.responses import JSONResponse, Response

from squareoff.ports import RememberedAnswer
from squareoff.services.desk import Desk
from squareoff.web.errors import ApiError

KEY_LENGTH_MAX = 200
_ID_CHARACTERS = 20


class IdempotencyDesk:
    """Remembers answers under keys, in the engine's database."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._locks: dict[str, _KeyLock] = {}

    async def answer_once(
        self,
        key: str | None,
        call: str,
        body: Any,
        act: Callable[[str | None], Awaitable[tuple[int, str]]],
    ) -> Response:
        """Answer a call that may be repeated.

        Args:
            key: the caller's key, None for a call that is never a repeat.
            call: method and path; one key means one call.
            body: the parsed JSON body.
            act: does the work once; takes an id text that is fixed by key and body (None without a
                key), returns HTTP status and JSON text.

        Raises:
            ApiError: the key is unusable, or was used with another body.
        """
        if key is None:
            return _response(*await act(None))
        if not key.strip() or len(key) > KEY_LENGTH_MAX or not key.isprintable():
            text = f"Idempotency-Key must be 1 to {KEY_LENGTH_MAX} printable characters"
            raise ApiError(422, "invalid_request", text, {"field": "Idempotency-Key"})
        body_hash = _hash_of(call, body)
        lock = self._locks.setdefault(key, _KeyLock())
        lock.users += 1
        try:
            async with lock.lock:
                return await self._answer_locked(key, body_hash, act)
        finally:
            lock.users -= 1
            if lock.users == 0:
                self._locks.pop(key, None)

    async def _answer_locked(
        self, key: str, body_hash: str, act: Callable[[str | None], Awaitable[tuple[int, str]]]
    ) -> Response:
        known = await self._desk.recall_answer(key)
        if known is None:
            status, answer = await act(_hash_of(key, body_hash)[:_ID_CHARACTERS])
            known = RememberedAnswer(body_hash, status, answer)
            await self._desk.remember_answer(key, known)
        elif known.body_hash != body_hash:
            raise ApiError(
                422,
                "idempotency_key_reused",
                "this Idempotency-Key was used for another request; nothing was changed",
                {"field": "Idempotency-Key"},
            )
        return _response(known.status, known.answer)


class _KeyLock:
    """The lock of one key while calls with it are under way."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


def _hash_of(first: str, second: Any) -> str:
    text = json.dumps([first, second], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _response(status: int, answer: str) -> Response:
    return Response(answer, status_code=status, media_type=JSONResponse.media_type)

"""Call the API of a running engine, over loopback HTTP.

Invariant: the token goes into one header and nowhere else.
"""

import http.client
import json
import secrets
import sys
from typing import Any
from urllib.parse import quote, urlencode

from squareoff import __version__
from squareoff.cli.progress import working
from squareoff.config import Settings
from squareoff.domain.errors import ConfigError, SquareoffError
from squareoff.web.api_token import known_api_token

_IN_DOUBT = "; it may have been done, so look before repeating"

ANSWER_SECONDS_MAX = 15.0
"""Longer than a whole gateway call; calls that wait for fills add their own wait."""

_PASSING = frozenset({http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE})
_CONTROL = dict.fromkeys((*range(32), 127))


class CommandRefused(SquareoffError):
    """What was asked was not done; the message says why.

    `result` is the engine's answer; `error_code`, `error_message` and `details` are its error's,
    where it gave one.
    """

    error_code: str | None = None
    error_message = ""

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message.translate(_CONTROL))
        self.result = result
        self.details: dict[str, Any] = {}


class EngineAway(CommandRefused):
    """The engine gave no answer, or is not ready for one: the same question may be asked again."""


class EngineClient:
    """Speaks to the engine that the settings point to."""

    def __init__(self, settings: Settings) -> None:
        if settings.api.port == 0:
            raise ConfigError("api.port: is 0, so the engine's port is not known; set it")
        self._host = settings.api.host
        self._port = settings.api.port
        self._token = known_api_token(settings)

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON answer to a GET below /api/v1; None values are left out of the query."""
        return self._json("GET", _with_query(f"/api/v1{path}", query))

    def get_text(self, path: str) -> str:
        """Return the answer to a GET as text."""
        return self._call("GET", path)

    def get_all(self, path: str, **query: Any) -> list[Any]:
        """Return the items of all pages of a list."""
        items: list[Any] = []
        page: Any = {"next": query.pop("after", None)}
        while True:
            page = self.get(path, after=page["next"], **query)
            items.extend(page["items"])
            if page["next"] is None:
                return items

    def post(
        self, path: str, body: Any = None, *, key: str | None = None, wait_seconds: float = 0.0
    ) -> Any:
        """Return the JSON answer to a POST below /api/v1.

        Args:
            key: the idempotency key; None makes a new one.
            wait_seconds: how long the engine may wait before it answers.
        """
        headers = {"Idempotency-Key": key or _new_key()}
        seconds = ANSWER_SECONDS_MAX + wait_seconds
        return self._json("POST", f"/api/v1{path}", body or {}, headers, seconds)

    def patch(self, path: str, body: Any) -> Any:
        """Return the JSON answer to a PATCH below /api/v1."""
        headers = {"Idempotency-Key": _new_key()}
        return self._json("PATCH", f"/api/v1{path}", body, headers)

    def _json(self, *call: Any) -> Any:
        text = self._call(*call)
        try:
            return json.loads(text)
        except ValueError as error:
            where = f"{self._host}:{self._port}"
            raise CommandRefused(
                f"what answers at {where} is no engine: is api.port right, or taken by another "
                "program?"
            ) from error

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        seconds: float = ANSWER_SECONDS_MAX,
    ) -> str:
        sent = {
            "Authorization": f"Bearer {self._token}",
            "User-Agent": f"squareoff/{__version__}",
            **(headers or {}),
        }
        content = None
        if body is not None:
            content, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        try:
            with working("waiting for the engine's answer"):
                connection.request(method, path, content, sent)
                answer = connection.getresponse()
                text = answer.read().decode("utf-8")
        except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
            raise EngineAway(self._unreachable_text(error, method)) from error
        except KeyboardInterrupt:
            if method != "GET":
                print(f"squareoff: no answer was waited for{_IN_DOUBT}", file=sys.stderr)
            raise
        finally:
            connection.close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise _refusal(answer.status, text)
        return text

    def _unreachable_text(self, error: Exception, method: str) -> str:
        where = f"{self._host}:{self._port}"
        if isinstance(error, ConnectionRefusedError):
            return f"no engine answers at {where}: is `squareoff run` up?"
        doubt = "" if method == "GET" else _IN_DOUBT
        return f"the engine at {where} gave no answer ({type(error).__name__}){doubt}"


def path_of(*parts: str) -> str:
    """Return a path below /api/v1 with every part made safe: `path_of("trackers", id)`."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _new_key() -> str:
    return secrets.token_hex(16)


def _with_query(path: str, query: dict[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def _refusal(status: int, text: str) -> CommandRefused:
    refusal = EngineAway if status in _PASSING else CommandRefused
    try:
        error = json.loads(text)["error"]
        code, message, details = error["code"], error["message"], error["details"]
    except (ValueError, KeyError, TypeError):
        return refusal(f"the engine answered HTTP {status} without saying why")
    refused = refusal(f"{message} ({code})", details.get("result"))
    refused.error_code, refused.error_message, refused.details = code, message, details
    return refused

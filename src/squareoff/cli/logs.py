"""Logs of the engine: JSON lines, or readable ones at a terminal; never with a secret in them.

Invariant: whatever is logged, by us or by a library, passes `Redactor` as its last step but one.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import structlog

from squareoff.domain.time import NANOSECONDS_PER_SECOND, iso_from_ns

HIDDEN = "***"
SECRET_LENGTH_MIN = 8
"""Shorter secrets (a PIN) are hidden by the name they stand under: as bare digits they would also
be found in prices and ids."""

_SECRET_NAMES = frozenset(
    {
        "access_token", "api_token", "authorization", "password", "pin", "token", "totp",
        "totp_secret", "secret",
    }
)  # fmt: skip
_SECRET_SHAPES = (
    # The market feed's address and the login message carry the token; a JWT speaks for itself.
    re.compile(
        r"(?i)(token|pin|totp|authorization|password)(=|\"?\s*:\s*\"?)(?:bearer\s+)?[^\s&\",}]+"
    ),
    re.compile(r"()()eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    re.compile(r"(://[^:/@\s]+)(:)[^@\s/]+(?=@)"),
)


class Redactor:
    """A structlog processor that hides secrets, by name, by shape and by value."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide this from now on as well: a token that came into use later."""
        if len(secret) >= SECRET_LENGTH_MIN and secret not in self._secrets:
            # Longest first: a secret may hold another one.
            self._secrets = tuple(sorted((*self._secrets, secret), key=len, reverse=True))

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Return the event without secrets."""
        for name, value in event.items():
            if not name.startswith("_"):
                event[name] = HIDDEN if name.lower() in _SECRET_NAMES else self.clean(value)
        return event

    def clean(self, value: Any) -> Any:
        """Return a value without secrets, whatever it is made of."""
        match value:
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {
                    key: HIDDEN if str(key).lower() in _SECRET_NAMES else self.clean(part)
                    for key, part in value.items()
                }
            case list() | tuple():
                return [self.clean(part) for part in value]
            case _:
                return self._clean_text(value if isinstance(value, str) else str(value))

    def _clean_text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        for shape in _SECRET_SHAPES:
            text = shape.sub(rf"\1\2{HIDDEN}", text)
        return text


def in_indian_time(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Write the time as everywhere else: ISO in IST with offset, whatever the machine's zone."""
    event["timestamp"] = iso_from_ns(round(event["timestamp"] * NANOSECONDS_PER_SECOND))
    return event


def configure_logs(secrets: Sequence[str] = (), *, level: int = logging.INFO) -> Redactor:
    """Send the logs of this process to standard error; libraries speak from warning on.

    Returns:
        What hides the secrets, for those that come into use later.
    """
    redactor = Redactor(secrets)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt=None, utc=True),
        in_indian_time,
        structlog.processors.format_exc_info,
    ]
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redactor,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("squareoff").setLevel(level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return redactor

"""Log lines of a run, kept instead of printed."""

import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog


@contextmanager
def captured_logs() -> Iterator[list[str]]:
    """Keep every log line of the run instead of printing it, to search it for secrets."""
    lines: list[str] = []

    def keep(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
        lines.append(str(event))
        raise structlog.DropEvent

    # The coroutines of callbacks that came too late for a dying process never run, as they should.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    before = structlog.get_config()
    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    try:
        yield lines
    finally:
        structlog.configure(**before)

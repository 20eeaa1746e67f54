"""What happened in one run, line by line, and the hash that two equal runs share."""

import hashlib

LINES_SHOWN_MAX = 400


class Trace:
    """Lines of `time kind text`, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, now_ns: int, kind: str, text: str = "") -> None:
        """Add one line; `now_ns` is virtual time since the start."""
        self.lines.append(f"{now_ns / 1e9:12.6f} {kind} {text}")

    def digest(self) -> str:
        """Return the SHA-256 of all lines."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    def tail(self, count: int = LINES_SHOWN_MAX) -> str:
        """Return the newest lines as text."""
        return "\n".join(self.lines[-count:])

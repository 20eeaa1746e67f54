"""Name this process so that nobody else ever bears the name, and say whether a named one is gone.

Only Linux tells enough: the boot, the namespace that process ids belong to, the id, and when the
process began. Anywhere else there is no name, and no process is ever called gone.
"""

import os
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESS_NAMESPACE = Path("/proc/self/ns/pid")
_STATE_FIELD, _START_FIELD = 0, 19
"""Fields of /proc/PID/stat behind the name in brackets: state, and start in clock ticks."""

_ENDED_STATES = frozenset("ZX")
"""A zombie runs nothing any more; its parent has only not asked how it ended."""


def process_key(process_id: int | None = None) -> str:
    """Return the key of a living process, ours by default; "" where the system cannot tell."""
    process_id = os.getpid() if process_id is None else process_id
    place, fields = _place(), _stat_fields(process_id)
    if not place or not fields:
        return ""
    return f"{place}/{process_id}/{fields[_START_FIELD]}"


def is_gone(key: str) -> bool:
    """Say whether the process of this key has certainly ended; False is no claim."""
    place, separator, rest = key.rpartition("/")[0].rpartition("/")
    if not separator or not rest.isdecimal() or place != _place():
        return False
    fields = _stat_fields(int(rest))
    if not fields:
        return _has_no_process(int(rest))
    started = key.rpartition("/")[2]
    return fields[_START_FIELD] != started or fields[_STATE_FIELD] in _ENDED_STATES


def _place() -> str:
    """Name the boot and the namespace in which process ids mean something."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink(_PROCESS_NAMESPACE)}"
    except OSError:
        return ""


def _has_no_process(process_id: int) -> bool:
    """Ask the kernel: a process of another user may be hidden from us in /proc."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _stat_fields(process_id: int) -> list[str]:
    try:
        text = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The name may hold blanks and brackets; the last bracket ends it.
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > _START_FIELD else []

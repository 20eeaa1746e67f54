"""What a process wrote, synced and sent, in order: recorded by `strace`, read back as events.

Invariants:
1. A sync counts from its return, everything else from its call: the order errs on the side of loss.
2. A call that this file cannot read raises; nothing is skipped in silence.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_CALLS = "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate"
_MORE_CALLS = "fdatasync,fsync,sync_file_range,unlink,unlinkat,rename,renameat,sendto,sendmsg"
_STRING_MAX = 1_000_000
"""Bytes of one call that are kept: no call of the engine's writes as much."""

_LINE = re.compile(r"(?:(\d+)\s+)?\d+\.\d+ (.*)")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|\?)(.*)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"(?:AT_FDCWD|-?\d+)<((?:\\x[0-9a-f]{2})*)>(?:\(deleted\))?")
_NUMBER = re.compile(r"(-?\d+)$")
_TAG = re.compile(rb'"correlationId":\s*"([^"]+)"')
_PLACED = re.compile(rb"POST /v2/orders HTTP")


@dataclass(frozen=True, slots=True)
class Wrote:
    """Bytes were handed to the kernel at an offset of a file."""

    path: str
    offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Resized:
    """A file was cut or stretched."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A file's content, or a folder's names, became durable."""

    path: str


@dataclass(frozen=True, slots=True)
class Created:
    """A name came into the folder."""

    path: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A name left the folder."""

    path: str


@dataclass(frozen=True, slots=True)
class OrderLeft:
    """The first byte of a placement was handed to the kernel: the broker may have it."""

    client_order_id: str


Event = Wrote | Resized | Synced | Created | Removed | OrderLeft


def tracer(log: Path) -> tuple[str, ...]:
    """Return the words before a command that record its calls; it stays the caller's child."""
    return (
        "strace", "-D", "-f", "--seccomp-bpf", "-ttt", "-y", "-xx", "-s", str(_STRING_MAX),
        "-e", f"trace={_CALLS},{_MORE_CALLS}", "-e", "signal=none", "-o", str(log),
    )  # fmt: skip


def read_events(log: Path, database: Path) -> list[Event]:
    """Return what happened to a database's files and which orders left, in order.

    Raises:
        ValueError: a call on one of the files is of a kind that this reader does not know.
    """
    names = {f"{database}{suffix}" for suffix in ("", "-wal", "-journal")} | {str(database.parent)}
    with log.open(encoding="ascii", errors="replace") as lines:
        reader = _Reader(names)
        return list(reader.events(_whole_calls(lines)))


def _whole_calls(lines: Iterable[str]) -> Iterator[str]:
    """Join calls that another thread interrupted, each at the place that counts."""
    begun: dict[str, str] = {}
    for line in lines:
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        thread, text = match[1] or "", match[2]
        resumed = _RESUMED.match(text)
        if resumed is not None:
            whole = begun.pop(thread, "") + resumed[2]
            if _is_sync(whole):
                yield whole
        elif text.endswith("<unfinished ...>"):
            begun[thread] = text.removesuffix("<unfinished ...>").rstrip()
            if not _is_sync(text):
                yield f"{begun[thread]}) = ?"
        else:
            yield text


def _is_sync(text: str) -> bool:
    return text.startswith(("fdatasync", "fsync"))


class _Reader:
    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._known: set[str] = set()

    def events(self, calls: Iterable[str]) -> Iterator[Event]:
        for text in calls:
            match = _CALL.match(text)
            if match is None or match[3] == "-1":
                continue
            name, arguments = match[1], match[2]
            yield from self._event(name, arguments)

    def _event(self, name: str, arguments: str) -> Iterator[Event]:
        descriptor = _DESCRIPTOR.match(arguments)
        held = "" if descriptor is None else _bytes(descriptor[1]).decode(errors="replace")
        if name in ("openat", "open", "creat"):
            path = _strings(arguments)[-1].decode(errors="replace")
            if path in self._names and path not in self._known and "O_CREAT" in arguments:
                self._known.add(path)
                yield Created(path)
        elif name in ("unlink", "unlinkat"):
            path = _strings(arguments)[-1].decode(errors="replace")
            if path in self._names:
                self._known.discard(path)
                yield Removed(path)
        elif held.startswith("socket:") or "TCP:" in held:
            yield from _orders(b"".join(_strings(arguments)))
        elif held in self._names:
            yield self._file_event(name, held, arguments)

    def _file_event(self, name: str, path: str, arguments: str) -> Event:
        number = _NUMBER.search(arguments)
        match name:
            case "pwrite64" if number is not None:
                (content,) = _strings(arguments)
                return Wrote(path, int(number[1]), content)
            case "ftruncate" if number is not None:
                return Resized(path, int(number[1]))
            case "fdatasync" | "fsync":
                return Synced(path)
            case _:
                raise ValueError(f"{name} on {path} is not known here: {arguments[:80]}")


def _orders(sent: bytes) -> Iterator[Event]:
    tag = _TAG.search(sent)
    if tag is not None and (_PLACED.search(sent) or b"transactionType" in sent):
        yield OrderLeft(tag[1].decode())


def _strings(arguments: str) -> list[bytes]:
    """Return the quoted strings of a call."""
    return [_bytes(text) for text in _STRING.findall(arguments)]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))

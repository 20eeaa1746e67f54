"""Faults on demand: rules of `POST /admin/faults`, and the pure decision what befalls one event.

A rule says where (a call, or frames of a socket), what, how often and until when. The same plan
serves the server on real sockets and a simulation in virtual time; its randomness is injected.
docs/simulator.md lists every field.

Invariants:
1. `decide` is the only place that draws, and it draws once per matching rule with a probability.
2. Where several rules fire on one event, the earlier rule's field wins and delays add up.
"""

import math
import random
import struct
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from squareoff.domain.errors import ConfigError
from squareoff.domain.time import seconds_to_ns

DropStyle = Literal["reset", "hold"]
Delay = float | tuple[float, float]
SocketName = Literal["", "order_update", "feed"]
Occasion = Literal["frame", "connect", "login", "subscribe"]
Garbage = Literal["text", "binary", "truncated", "unknown_code", "wrong_length", "stale_length"]

ERROR_STATUS = {
    "DH-901": 401, "DH-902": 403, "DH-903": 403, "DH-904": 429, "DH-905": 400, "DH-906": 400,
    "DH-907": 404, "DH-908": 500, "DH-909": 502, "DH-910": 500, "DH-911": 403,
}  # fmt: skip
"""HTTP status that goes with an `error` shorthand (dhanhq-v2.md 9.3; several are not recorded)."""


class Where(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events: a call by method and path pattern, or a socket's frames; then by fields."""

    method: str = "*"
    path: str = "*"
    socket: SocketName = ""
    on: Occasion = "frame"
    match: dict[str, Any] = {}


class What(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What befalls the event. Calls, then frames, then orders; see docs/simulator.md."""

    refuse: bool = False
    delay_ms: Delay = 0.0
    answer_delay_ms: Delay = 0.0
    drop_before: bool | DropStyle = False
    drop_after: bool | DropStyle = False
    reset_mid_answer: bool = False
    status: int = 0
    error: str = ""
    body: Any = None
    headers: dict[str, str] = {}
    act: bool = False
    html: bool = False
    truncated_json: bool = False
    empty_body: bool = False
    repeat: int = 1
    lag_ms: Delay | None = None

    drop: bool = False
    silence: bool = False
    duplicate: int = 0
    reorder: int = 0
    garbage: Garbage | None = None
    disconnect: bool | int | Literal["reset", "close"] = False
    price: str = ""
    time_shift_seconds: float = 0.0
    security_id: str = ""
    fields: dict[str, Any] = {}

    partial_fill: int | None = None
    reject: str = ""

    @property
    def disconnect_reason(self) -> int | None:
        """Return the reason with which the feed is ended, None where it is not, or without one."""
        code = self.disconnect
        return None if isinstance(code, bool | str) else code

    @property
    def end_style(self) -> Literal["reset", "close"]:
        """Return how a connection ends that the rule ends."""
        return "reset" if self.disconnect in (True, "reset") else "close"


class HowOften(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the matching events: by chance, by number (from 1), every n-th; at most `times`."""

    probability: float = 1.0
    nth: int | tuple[int, ...] = ()
    every: int = 0
    times: int = 0


class Until(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the rule ends: seconds after it was added, or after so many matching events."""

    seconds: float = 0.0
    count: int = 0


class FaultRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule."""

    what: What
    id: str = ""
    where: Where = Where()
    how_often: HowOften = HowOften()
    until: Until = Until()


@dataclass(frozen=True, slots=True)
class FaultPoint:
    """One event that a rule may befall; for calls `socket` is empty, `fields` are its content."""

    method: str = ""
    path: str = ""
    socket: SocketName = ""
    on: Occasion = "frame"
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FaultDecision:
    """What befalls one event: the merged effects, with delays drawn (nanoseconds)."""

    what: What
    delay_ns: int = 0
    answer_delay_ns: int = 0
    lag_ns: int | None = None
    rule_ids: tuple[str, ...] = ()


_NOTHING = What()
NO_FAULT = FaultDecision(_NOTHING)


@dataclass(slots=True)
class _Standing:
    rule: FaultRule
    added_ns: int
    seen: int = 0
    fired: int = 0


class FaultPlan:
    """The rules in force, their counters, and the decision per event."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._standing: list[_Standing] = []
        self._count = 0

    def add(self, rules: list[FaultRule], now_ns: int) -> list[str]:
        """Put rules in force; return their ids (`fault-N` where a rule has none)."""
        ids = []
        for rule in rules:
            self._count += 1
            named = rule if rule.id else msgspec.structs.replace(rule, id=f"fault-{self._count}")
            self._standing.append(_Standing(named, now_ns))
            ids.append(named.id)
        return ids

    def clear(self, rule_id: str | None = None) -> int:
        """Lift one rule, or all; return how many were lifted."""
        before = len(self._standing)
        self._standing = [s for s in self._standing if rule_id is not None and s.rule.id != rule_id]
        return before - len(self._standing)

    def describe(self) -> list[dict[str, Any]]:
        """Return the rules in force with how often each saw and hit an event."""
        return [
            {"rule": msgspec.to_builtins(s.rule), "seen": s.seen, "fired": s.fired}
            for s in self._standing
        ]

    def decide(self, point: FaultPoint, now_ns: int) -> FaultDecision:
        """Return what befalls this event; counts it in every rule that matches it."""
        if not self._standing:
            return NO_FAULT
        fired = [s for s in self._standing if self._fires(s, point, now_ns)]
        if not fired:
            return NO_FAULT
        effects = [standing.rule.what for standing in fired]
        lags = [effect.lag_ms for effect in effects if effect.lag_ms is not None]
        return FaultDecision(
            what=_merged(effects),
            delay_ns=sum(self._draw_ns(effect.delay_ms) for effect in effects),
            answer_delay_ns=sum(self._draw_ns(effect.answer_delay_ms) for effect in effects),
            lag_ns=self._draw_ns(lags[0]) if lags else None,
            rule_ids=tuple(standing.rule.id for standing in fired),
        )

    def _fires(self, standing: _Standing, point: FaultPoint, now_ns: int) -> bool:
        rule = standing.rule
        ends = rule.until
        if ends.seconds and now_ns >= standing.added_ns + seconds_to_ns(ends.seconds):
            return False
        if (ends.count and standing.seen >= ends.count) or not _matches(rule.where, point):
            return False
        standing.seen += 1
        often = rule.how_often
        if often.times and standing.fired >= often.times:
            return False
        if not _is_chosen(often, standing.seen):
            return False
        if often.probability < 1.0 and self._chance.random() >= often.probability:
            return False
        standing.fired += 1
        return True

    def _draw_ns(self, delay: Delay) -> int:
        milliseconds = self._chance.uniform(*delay) if isinstance(delay, tuple) else delay
        return seconds_to_ns(milliseconds / 1_000)


def parse_rules(value: Any) -> list[FaultRule]:
    """Return the rules of a JSON list (or of one object).

    Raises:
        ConfigError: an unknown field or a value that makes no sense; names the place.
    """
    items = value if isinstance(value, list) else [value]
    try:
        rules = msgspec.convert(items, list[FaultRule])
        for number, rule in enumerate(rules):
            _check_sense(rule, f"$[{number}]")
    except ValueError as error:  # a msgspec.ValidationError is one
        raise ConfigError(f"faults: {error}") from error
    return rules


_SHIFT_SECONDS_MAX = 2**31 - 1
"""A trade time is an unsigned 32-bit number; moved further it is none."""

_BOUNDS: tuple[tuple[str, str, float, float], ...] = (
    ("what", "delay_ms", 0, math.inf),
    ("what", "answer_delay_ms", 0, math.inf),
    ("what", "lag_ms", 0, math.inf),
    ("what", "repeat", 1, math.inf),
    ("what", "duplicate", 0, math.inf),
    ("what", "reorder", 0, math.inf),
    ("what", "disconnect", 0, 65_535),
    ("what", "time_shift_seconds", -_SHIFT_SECONDS_MAX, _SHIFT_SECONDS_MAX),
    ("what", "partial_fill", 0, math.inf),
    ("how_often", "probability", 0, 1),
    ("how_often", "nth", 1, math.inf),
    ("how_often", "every", 0, math.inf),
    ("how_often", "times", 0, math.inf),
    ("until", "seconds", 0, math.inf),
    ("until", "count", 0, math.inf),
)
"""Part, field, lowest and highest number. Not constraints of the types: in unions with tuples of
a fixed length these make msgspec 0.22.0 read past its own memory."""


_FOR_FRAMES = (
    "drop", "silence", "duplicate", "reorder", "garbage", "disconnect", "price",
    "time_shift_seconds", "security_id", "fields",
)  # fmt: skip
_FOR_CALLS = (
    "answer_delay_ms", "drop_before", "drop_after", "reset_mid_answer", "error", "body", "headers",
    "act", "html", "truncated_json", "empty_body", "repeat", "lag_ms", "partial_fill", "reject",
)  # fmt: skip
"""What befalls only one of the two; the rest, `refuse`, `delay_ms` and `status`, befalls both."""

_ON_OCCASION = {
    "frame": ("delay_ms", *_FOR_FRAMES),
    "connect": ("refuse", "status", "disconnect"),
    "login": ("delay_ms", "drop", "silence", "disconnect"),
    "subscribe": ("delay_ms", "drop", "silence", "disconnect"),
}
"""What can befall each event of a socket."""

_OF_OTHER_SOCKET = {
    "order_update": ("price", "time_shift_seconds", "security_id"),
    "feed": ("fields",),
}


def _check_sense(rule: FaultRule, place: str) -> None:
    """Raise ValueError for what never could strike, or only fails once it does."""
    for part, name, low, high in _BOUNDS:
        value = getattr(getattr(rule, part), name)
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if isinstance(number, int | float) and not low <= number <= high:
                raise ValueError(f"{number} makes no sense - at `{place}.{part}.{name}`")
        if name.endswith("_ms") and list(numbers) != sorted(numbers):
            raise ValueError(f"{value} begins above its end - at `{place}.{part}.{name}`")
    what = rule.what
    for name in _strangers(rule.where):
        if getattr(what, name) != getattr(_NOTHING, name):
            event = f"a {rule.where.on} of {rule.where.socket}" if rule.where.socket else "a call"
            raise ValueError(f"{name} cannot befall {event} - at `{place}.what.{name}`")
    if what.status and not 100 <= what.status <= 599:
        raise ValueError(f"{what.status} is no HTTP status - at `{place}.what.status`")
    if what.price:
        _check_packs("<f", float, what.price, f"{place}.what.price")
    if what.security_id:
        _check_packs("<I", int, what.security_id, f"{place}.what.security_id")


def _strangers(where: Where) -> tuple[str, ...]:
    """Return what cannot befall an event there."""
    if not where.socket:
        return _FOR_FRAMES
    possible = set(_ON_OCCASION[where.on]) - set(_OF_OTHER_SOCKET[where.socket])
    return tuple(name for name in What.__struct_fields__ if name not in possible)


def _check_packs(field_format: str, kind: type[float] | type[int], text: str, place: str) -> None:
    """Raise ValueError for what is no number, or none that a packet of the feed can carry."""
    try:
        struct.pack(field_format, kind(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is no number - at `{place}`") from error
    except (OverflowError, struct.error) as error:
        raise ValueError(f"{text!r} fits no packet - at `{place}`") from error


def _matches(where: Where, point: FaultPoint) -> bool:
    if where.socket != point.socket:
        return False
    if point.socket:
        if where.on != point.on:
            return False
    elif not (_fits(where.method, point.method) and _path_fits(where.path, point.path)):
        return False
    return all(_fits(str(v), str(point.fields.get(k, ""))) for k, v in where.match.items())


def _fits(pattern: str, text: str) -> bool:
    return fnmatchcase(text.upper(), pattern.upper())


def _path_fits(pattern: str, path: str) -> bool:
    return fnmatchcase(path, pattern.removeprefix("/v2"))


def _is_chosen(often: HowOften, number: int) -> bool:
    numbers = (often.nth,) if isinstance(often.nth, int) else often.nth
    if numbers and number not in numbers:
        return False
    return not often.every or number % often.every == 0


def _merged(effects: list[What]) -> What:
    """Return one effect: per field the first rule that sets it."""
    if len(effects) == 1:
        return effects[0]
    untouched = What()
    chosen: dict[str, Any] = {}
    for effect in effects:
        for name in What.__struct_fields__:
            value = getattr(effect, name)
            if name not in chosen and value != getattr(untouched, name):
                chosen[name] = value
    return What(**chosen)

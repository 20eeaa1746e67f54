"""What arrives at the broker, against the journal: I3 its content and number, I9, I13 the pace.

Part of the auditor: it reads the requests as they are on the wire, and the journal's raw rows. What
counts for the kill switch and for the pace is when a request left, not how late the network let it
arrive.
"""

import json
import re
from bisect import insort
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from squareoff.simulator.virtual.audited import Opened, Planned
from squareoff.simulator.wire import WireRequest, WireResponse

OUR_TAG = re.compile(r"sq[xef]-[0-9a-z]{12}-[0-9a-z]{3}-[0-9a-z]{2}")
MODIFICATIONS_MAX = 25
CALLS_MAX = 10
"""Order calls that the broker takes in any rolling second."""

SECOND_NS = 1_000_000_000
SWITCH_NS = SECOND_NS
"""So soon the kill switch is in effect everywhere."""

_NOTHING_TAKEN = ("DH-901", "DH-904", "DH-911", "DH-905", "DH-808", "DH-809", "Invalid Token")
"""Words by which the broker says that it took nothing: the same write may be tried again."""

Terms = tuple[str, Decimal | None]
"""Order type, and the limit price in rupees."""


class WriteAudit:
    """Hears every order write, and every row that must stand before one."""

    def __init__(self, violate: Callable[[str, str], None], trackers: Mapping[str, Opened]) -> None:
        self._violate = violate
        self._trackers = trackers
        self.planned: dict[str, Planned] = {}
        self.heard: dict[str, int] = {}
        """Arrivals of placements by our id."""
        self._rows: dict[tuple[str, str], list[Terms]] = {}
        """By method and id: the journalled writes that no arrival has used up."""
        self._modified: dict[str, int] = {}
        self._switch: tuple[int, str] | None = None
        self._left_ns: list[int] = []

    # --- the journal ---

    def take(self, kind: str, row: dict[str, Any], time_ns: int) -> None:
        """Take in one row of the journal."""
        match kind:
            case "order_planned":
                self.planned[row["client_order_id"]] = Planned(
                    row["tracker_id"], row["role"], row["side"], row["order_quantity"], time_ns
                )
            case "order_sent":
                self.planned[row["client_order_id"]].sends += 1
                self._journalled("POST", row["client_order_id"]).append(_terms_of_row(row))
            case "order_modify_sent":
                name = row["broker_order_id"]
                self._journalled("PUT", name).append(_terms_of_row(row))
                self._modified[name] = self._modified.get(name, 0) + 1
                if self._modified[name] > MODIFICATIONS_MAX:
                    self._violate("I13", f"{name} was modified {self._modified[name]} times")
            case "order_cancel_sent":
                self._journalled("DELETE", row["broker_order_id"]).append(("", None))
            case "kill_switch_set":
                self._switch = (time_ns, row["level"]) if row["active"] else None

    def _journalled(self, method: str, name: str) -> list[Terms]:
        return self._rows.setdefault((method, name), [])

    # --- the wire ---

    def hear(self, request: WireRequest, left_ns: int) -> None:
        """A request that left then has reached the broker, which has not acted yet."""
        body = _object(request.body)
        name = _name_of(request, body)
        if name is None:
            return
        self._count(left_ns)
        if request.method == "POST":
            self.heard[name] = self.heard.get(name, 0) + 1
            if not self._is_planned(name, body):
                return
        self._check_rows(request.method, name, body)
        self._check_kill_switch(request.method, name, left_ns)

    def hear_answer(self, request: WireRequest, response: WireResponse | None) -> None:
        """What the broker made of it: a write of which it says that it took nothing may be tried
        again under the same row."""
        if response is not None and _took_nothing(response):
            return
        body = _object(request.body)
        name = _name_of(request, body)
        rows = [] if name is None else self._journalled(request.method, name)
        terms = _terms_of_body(request.method, body)
        if terms in rows:
            rows.remove(terms)

    def _is_planned(self, tag: str, body: dict[str, Any]) -> bool:
        plan = self.planned.get(tag)
        if plan is None or plan.sends == 0:
            self._violate("I3", f"order {tag} arrived before its order_sent was committed")
            return False
        said = (body.get("transactionType"), body.get("quantity"))
        if said != (plan.side, plan.quantity):
            self._violate("I3", f"order {tag} says {said}, the journal planned {plan}")
        key = (body.get("exchangeSegment"), body.get("securityId"), body.get("productType"))
        held = self._trackers[plan.tracker_id].key
        if key != held:
            self._violate("I3", f"order {tag} is for {key}, its tracker holds {held}")
        return True

    def _check_rows(self, method: str, name: str, body: dict[str, Any]) -> None:
        rows, terms = self._journalled(method, name), _terms_of_body(method, body)
        if not rows:
            self._violate("I3", f"a {method} of {name} arrived that no journal row holds")
        elif terms not in rows:
            self._violate("I3", f"a {method} of {name} says {terms}, the journal {rows}")

    def _check_kill_switch(self, method: str, name: str, left_ns: int) -> None:
        """I9: within a second nothing leaves but cancels, at level new nothing but exits."""
        if self._switch is None or method == "DELETE":
            return
        since_ns, level = self._switch
        if left_ns - since_ns <= SWITCH_NS:
            return
        is_entry = method == "POST" and self.planned[name].role == "ENTRY"
        if level == "all" or is_entry:
            late = (left_ns - since_ns) / SECOND_NS
            self._violate("I9", f"a {method} of {name} left {late:.1f} s after level {level}")

    def _count(self, left_ns: int) -> None:
        """I13: more than ten order calls in a rolling second."""
        insort(self._left_ns, left_ns)
        times = self._left_ns
        for first, last in zip(times[-60:], times[-60:][CALLS_MAX:], strict=False):
            if last - first < SECOND_NS:
                self._violate("I13", f"{CALLS_MAX + 1} order calls left within a second")


def _name_of(request: WireRequest, body: dict[str, Any]) -> str | None:
    """Return our id of a placement, the broker's of another write; None for what is not ours."""
    if not request.path.startswith("/orders") or request.method == "GET":
        return None
    if request.method != "POST":
        return request.path.rsplit("/", 1)[-1]
    tag = str(body.get("correlationId", ""))
    return tag if OUR_TAG.fullmatch(tag) else None


def _terms_of_row(row: dict[str, Any]) -> Terms:
    return _terms(row["order_type"], row["limit_price"])


def _terms_of_body(method: str, body: dict[str, Any]) -> Terms:
    if method == "DELETE":
        return "", None
    return _terms(str(body.get("orderType")), body.get("price"))


def _terms(order_type: str, price: object) -> Terms:
    return order_type, None if price is None else Decimal(str(price)).normalize()


def _object(body: bytes) -> dict[str, Any]:
    found = json.loads(body or b"{}")
    return found if isinstance(found, dict) else {}


def _took_nothing(response: WireResponse) -> bool:
    if response.status == 401:
        return True
    return any(words.encode() in response.body for words in _NOTHING_TAKEN)

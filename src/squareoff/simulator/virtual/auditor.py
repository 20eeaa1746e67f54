"""The independent auditor: after every event at the broker, are the promises kept?

Written from the promises in docs/simulation.md. It reads the broker's own orders and trades and the
journal's raw rows by SQL and JSON, and shares no arithmetic and no code with the engine.

Checked here, at every event: I1 at most one live intent, I2 exposure never exceeds what is held,
I8 no price rule on an invalid price, I10 gapless numbers, I11 no secret. In `write_audit`: I3
nothing arrives that is not in the journal, I9 the kill switch, I13 the pace. In `claim_audit`: a
claim is due and its level right, I4 attempts are bounded, I14 no stop loosens. In
`over_exit_audit`: I2d who was told. `final_audit` checks what must hold at the end.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from squareoff.domain.instruments import InstrumentId
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.orders import BrokerOrder
from squareoff.simulator.virtual.audited import Opened, Planned
from squareoff.simulator.virtual.claim_audit import (
    MachineClock,
    attempt_fault,
    level_faults,
    stop_fault,
    time_fault,
)
from squareoff.simulator.virtual.marks import Marks
from squareoff.simulator.virtual.outside import Key, Outside
from squareoff.simulator.virtual.over_exit_audit import OverExitAudit
from squareoff.simulator.virtual.trigger_audit import Held, Slack, trigger_faults
from squareoff.simulator.virtual.write_audit import OUR_TAG, WriteAudit
from squareoff.simulator.wire import WireRequest

RACE_NS = 8_000_000_000
"""A close by hand may overtake an order that was sized before it could be seen: late arrival, lag
and slow answers together stay below this."""

BLIND_NS = 80_000_000_000
"""Where positions could not be read, the engine may go by a comparison up to 60 s old:
a close by hand since then is not one that was seen."""

FRESH_NS = 9_000_000_000
"""A price may be this old when it fires: the engine's limit, the grain of the broker's seconds, and
the bounded delay of a frame."""

VIOLATIONS_MAX = 20


class Auditor(Outside):
    """Watches one run. `violations` holds what was found, each with its invariant's name."""

    def __init__(
        self,
        broker: SimulatedBroker,
        database: sqlite3.Connection,
        account: str,
        canary: str,
        now_ns: Callable[[], int],
    ) -> None:
        super().__init__()
        self._broker = broker
        self._now_ns = now_ns
        self.database = database
        self._account_id = account
        self._canary = canary
        self.violations: list[str] = []
        self.trackers: dict[str, Opened] = {}
        self.over_exits = OverExitAudit(self.trackers)
        self.writes = WriteAudit(self.violate, self.trackers)
        self.planned, self.heard = self.writes.planned, self.writes.heard
        self.journal_hashes: list[str] = []
        self.alarms: list[tuple[int, dict[str, Any]]] = []
        self.prints: dict[str, list[tuple[int, int]]] = {}
        self.is_outlaw = False
        self.attempts_max = 10
        """So many failed attempts justify calling a person."""
        self.is_healed = False
        self.healed_prices: dict[str, list[Decimal]] = {}
        self.claim_times_ns: list[int] = []
        self._stepped_ns = 0
        self.machine = MachineClock()
        self.buffered_ns = 0
        """How long frames may have waited in a socket's buffer while the process stood still."""
        self.marks = Marks()
        self._read_ns = 0
        self._seen_trades = 0
        self._position_nets: dict[Key, int] = {}
        self._traded_beside_ns: dict[Key, int] = {}
        self._tags: dict[str, int] = {}
        self._seen_orders = 0

    @property
    def clock_error_ns(self) -> int:
        """The most that the machine's wall clock was off so far, set wrong and run wrong since."""
        return self._stepped_ns + self.machine.slewed_ns

    def violate(self, invariant: str, text: str) -> None:
        """Record a violation."""
        line = f"{invariant}: {text}"
        if line not in self.violations and len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(line)

    def hear_print(self, instrument_id: InstrumentId, price: Decimal, now_ns: int) -> None:
        """Hear of a price that was really traded."""
        units = int(price * 10_000)
        self.prints.setdefault(instrument_id.security_id, []).append((now_ns, units))
        if self.is_healed:
            self.healed_prices.setdefault(instrument_id.security_id, []).append(price)

    def hear_slew(self, most_ns: int) -> None:
        """Hear that the wall clock gains or loses at most so much without a step."""
        self.machine.slewed_ns += most_ns

    def hear_clock(self, error_ns: int) -> None:
        """Hear that the wall clock was set: how far it is ahead from now on."""
        self.read_journal()  # what is written until now bears the old time
        self._stepped_ns = max(self._stepped_ns, abs(error_ns))
        self.machine.change(self._now_ns(), error_ns)

    def hear_process(self, wall_ns: int) -> None:
        """Hear that a process begins to serve, by this wall clock."""
        self.read_journal()  # what is written until now is another's
        self.machine.begin_process(wall_ns, self._now_ns())

    def held_from_ns(self, opened: Opened) -> int:
        """Return when a position was held at last: an entry from its first fill, which the broker
        dates; else by our clock, in which a close right after it may seem to lie before it."""
        account, is_own = self._broker.account(), (opened.tracker_id, "ENTRY")
        plans = {
            name: self.planned.get(o.correlation_id or "") for name, o in account.orders.items()
        }
        entries = {name for name, p in plans.items() if p and (p.tracker_id, p.role) == is_own}
        fills = (trade.time_ns for trade in account.trades if trade.order_id in entries)
        return min(fills, default=opened.opened_ns + self.clock_error_ns)

    def unconfirmed_orders(self) -> dict[str, str]:
        """Return the exit orders of claims that have not ended, each with its tracker."""
        self.read_journal()
        return {
            tag: plan.tracker_id
            for tag, plan in self.planned.items()
            if plan.role == "EXIT" and self.trackers[plan.tracker_id].live_claim
        }

    # --- requests, before the broker acts ---

    def hear(self, request: WireRequest, left_ns: int) -> None:
        """A request that left then reached the broker: was it journalled before, as it is?"""
        if request.path.startswith("/orders") and request.method != "GET":
            self.read_journal()
            self.writes.hear(request, left_ns)

    # --- the journal ---

    def read_journal(self) -> None:
        """Take in the rows that are new since the last look.

        Their stamps are the machine's, whose clock may be wrong: what was written since the last
        look was written between that look and now.
        """
        now_ns = self._now_ns()
        rows = self.database.execute(
            "SELECT seq, time_ns, kind, data, entry_hash FROM journal"
            " WHERE account_id = ? AND seq > ? ORDER BY seq",
            (self._account_id, len(self.journal_hashes)),
        )
        for seq, time_ns, kind, text, entry_hash in rows.fetchall():
            if seq != len(self.journal_hashes) + 1:
                self.violate("I10", f"the journal jumps to {seq}")
            self.journal_hashes.append(entry_hash)
            if self._canary in text:
                self.violate("I11", f"journal entry {seq} holds the access token")
            stamped_ns = self.machine.true_ns(time_ns, now_ns)
            at_ns = min(now_ns, max(self._read_ns, stamped_ns))
            self._take(kind, json.loads(text), at_ns, stamped_ns)
        self._read_ns = now_ns

    def _take(self, kind: str, row: dict[str, Any], time_ns: int, stamped_ns: int) -> None:
        self.marks.take(kind, row)
        self.writes.take(kind, row, time_ns)
        self._check_course(kind, row)
        match kind:
            case "tracker_opened":
                self._take_opened(row, time_ns, stamped_ns)
            case "order_planned":
                self.trackers[row["tracker_id"]].order_ids.append(row["client_order_id"])
            case "exit_claimed":
                self._take_claim(row, time_ns)
            case "rules_changed":
                self.trackers[row["tracker_id"]].rules = row["rules"]
                self.trackers[row["tracker_id"]].stop_level = None
                self.trackers[row["tracker_id"]].stop_moves.clear()
            case "stop_moved" if row["stop_level"] is not None:
                moves = self.trackers[row["tracker_id"]].stop_moves
                moves.append((time_ns, row["stop_level"]))
            case "exit_all_asked":
                self.is_exit_all_asked = True
            case "exit_sized":
                opened = self.trackers[row["tracker_id"]]
                opened.is_blind = opened.is_blind or row["broker_net_quantity"] is None
            case "position_exited":
                self.trackers[row["tracker_id"]].live_claim = False
            case "exit_withdrawn":
                self._take_withdrawal(self.trackers[row["tracker_id"]])
            case "alarm_raised":
                self.alarms.append((time_ns, row))

    def _check_course(self, kind: str, row: dict[str, Any]) -> None:
        """I4 and I14: attempts are bounded, and a stop never loosens."""
        opened = self.trackers.get(row.get("tracker_id") or "")
        if opened is None:
            return
        if (fault := attempt_fault(opened, kind, row, self.attempts_max)) is not None:
            self.violate("I4", f"{opened.tracker_id}: {fault}")
        if kind == "stop_moved" and (fault := stop_fault(opened, row)) is not None:
            self.violate("I14", f"{opened.tracker_id}: {fault}")

    def _take_opened(self, row: dict[str, Any], time_ns: int, stamped_ns: int) -> None:
        is_of_yesterday = stamped_ns < self.night_ns <= time_ns  # written as the machine awoke
        identity = row["instrument"]["instrument_id"]
        self.trackers[row["tracker_id"]] = Opened(
            tracker_id=row["tracker_id"],
            key=(identity["exchange_segment"], identity["security_id"], row["product_type"]),
            side=row["side"],
            quantity=row["quantity"],
            awaits_entry=row["awaits_entry"],
            rules=row["rules"],
            opened_ns=time_ns,
            held_from_ns=stamped_ns if is_of_yesterday else time_ns,
            entry_price=None if row["awaits_entry"] else str(row.get("entry_price", 0)),
            tick_size=str(row["instrument"].get("tick_size", "0.05")),
            misdated_by=self.machine.misdating(stamped_ns, time_ns),
        )

    def _take_withdrawal(self, tracker: Opened) -> None:
        """I4: an exit ends without an order only where a person asked for that."""
        tracker.live_claim, tracker.is_withdrawn = False, True
        if tracker.tracker_id not in self.withdrawals:
            self.violate("I4", f"the exit of {tracker.tracker_id} was withdrawn by nobody")

    def claimed_keys(self) -> set[Key]:
        """Return the keys on which an exit is claimed and has not ended."""
        self.read_journal()
        return {tracker.key for tracker in self.trackers.values() if tracker.live_claim}

    def _take_claim(self, row: dict[str, Any], time_ns: int) -> None:
        tracker = self.trackers[row["tracker_id"]]
        if tracker.live_claim:
            self.violate("I1", f"{tracker.tracker_id} has a second live exit intent")
        tracker.claims += 1
        tracker.live_claim, tracker.is_withdrawn = True, False
        tracker.trigger = row["trigger"]
        self.claim_times_ns.append(time_ns)
        self._check_asked(tracker, row["trigger"]["rule"], time_ns)
        if row["trigger"]["price"] is not None:
            self._check_trigger(tracker, row)

    def _check_asked(self, tracker: Opened, rule: str, time_ns: int) -> None:
        """A person has asked for it, or its time has come."""
        name = f"{tracker.tracker_id} was claimed by {rule}"
        if rule in ("square_off_at", "max_holding_minutes"):
            fault = time_fault(tracker, rule, time_ns, self.machine)
            if fault is not None:
                self.violate("I8", f"{name} {fault}")
            return
        is_asked = {
            "manual": tracker.tracker_id in self.exit_wishes,
            "exit_all": self.is_exit_all_asked,
        }
        if not is_asked.get(rule, True):
            self.violate("I4", f"{name}, which nobody has asked for")

    def _check_trigger(self, tracker: Opened, claim: dict[str, Any]) -> None:
        """I8: the price that fired was really traded, and lies beyond its level."""
        slack_ns = self.clock_error_ns + self.buffered_ns + FRESH_NS
        prints, trigger = self.prints.get(tracker.key[1], []), claim["trigger"]
        held, slack = Held(tracker.opened_ns, tracker.sign), Slack(slack_ns, self.clock_error_ns)
        faults = [*trigger_faults(claim, prints, held, slack)]
        for fault in (*faults, *level_faults(tracker, claim, prints)):
            name = f"{tracker.tracker_id} fired {trigger['rule']} at {trigger['price']}"
            self.violate("I8", f"{name}, {fault}")

    # --- the broker's books ---

    def look(self, now_ns: int) -> None:
        """Look at the broker after something happened there."""
        account = self._broker.account()
        if len(account.trades) == self._seen_trades and len(account.orders) == self._seen_orders:
            return
        self.read_journal()
        self._take_orders(list(account.orders.values())[self._seen_orders :])
        for trade in account.trades[self._seen_trades :]:
            identity = trade.instrument_id
            key = (identity.exchange_segment.value, identity.security_id, trade.product_type.value)
            signed = trade.quantity if trade.side.value == "BUY" else -trade.quantity
            before = self._position_nets.get(key, 0)
            self._position_nets[key] = before + signed
            tag = (
                account.orders[trade.order_id].correlation_id
                if trade.order_id in account.orders
                else None
            )
            plan = self.planned.get(tag or "")
            self.over_exits.take_trade(plan, before, before + signed, now_ns)
            self.over_exits.take_net(key, before + signed, now_ns)
            if plan is not None and plan.role == "FLATTEN":
                self._check_taking_back(plan, tag or "", before, before + signed)
            else:
                self._hear_trade_beside(key, plan, now_ns)
        self._seen_trades = len(account.trades)
        self._check_exposure(list(account.orders.values()), now_ns)

    def _take_orders(self, orders: list[BrokerOrder]) -> None:
        """I3 by number: no more orders under an id than sends of it."""
        self._seen_orders += len(orders)
        for order in orders:
            tag = order.correlation_id or ""
            if not OUR_TAG.fullmatch(tag):
                continue
            self._tags[tag] = self._tags.get(tag, 0) + 1
            plan = self.planned.get(tag)
            sends = 0 if plan is None else plan.sends
            if self._tags[tag] > sends and not self.is_outlaw:
                self.violate("I3", f"{self._tags[tag]} orders under {tag} after {sends} sends")

    def _check_exposure(self, orders: list[BrokerOrder], now_ns: int) -> None:
        open_by_key: dict[Key, int] = {}
        closed_by_tracker: dict[str, int] = {}
        entered: dict[str, int] = {}
        newest: dict[Key, int] = {}
        for order in orders:
            plan = self.planned.get(order.correlation_id or "")
            if plan is None:
                continue
            if plan.role == "ENTRY":
                entered[plan.tracker_id] = entered.get(plan.tracker_id, 0) + order.filled_quantity
                continue
            rest = 0 if order.is_terminal else order.quantity - order.filled_quantity
            key = self.trackers[plan.tracker_id].key
            sign = 1 if plan.side == "BUY" else -1
            open_by_key[key] = open_by_key.get(key, 0) + sign * rest
            newest[key] = max(newest.get(key, 0), order.created_ns)
            if plan.role == "EXIT":
                bound = closed_by_tracker.get(plan.tracker_id, 0)
                closed_by_tracker[plan.tracker_id] = bound + order.filled_quantity + rest
        for tracker_id, closed in closed_by_tracker.items():
            self._check_tracker(tracker_id, closed, entered)
        for key, could_trade in open_by_key.items():
            self._check_key(key, could_trade, newest[key])

    def _hear_trade_beside(self, key: Key, plan: Planned | None, now_ns: int) -> None:
        """Hear of a trade that is no exit of ours and none that takes back."""
        if plan is None or plan.role == "ENTRY":
            self._traded_beside_ns[key] = now_ns

    def _check_taking_back(self, plan: Planned, tag: str, before: int, after: int) -> None:
        """I2: what takes back ends at zero, unless others traded after it was decided on, or the
        broker made two orders of one."""
        opened = self.trackers[plan.tracker_id]
        if after * opened.sign <= max(0, before * opened.sign):
            return
        is_raced = self._traded_beside_ns.get(opened.key, 0) >= plan.planned_ns - RACE_NS
        if not (is_raced or self._tags.get(tag, 0) > 1 or self.busted):
            self.violate("I2", f"{tag} took {opened.key} back from {before} to {after}")

    def _check_tracker(self, tracker_id: str, closed: int, entered: dict[str, int]) -> None:
        tracker = self.trackers[tracker_id]
        held = entered.get(tracker_id, 0) if tracker.awaits_entry else tracker.quantity
        # A fill that was not seen before the night is in no book after it: only the net shows that
        # units are gone, and not whose. The key as a whole is judged by I2.
        if closed > held and not (self.is_outlaw or tracker.opened_ns < self.night_ns):
            self.violate("I2a", f"exits of {tracker_id} close {closed} of {held} held")

    def _check_key(self, key: Key, could_trade: int, newest_ns: int) -> None:
        """I2: filling everything that is open must not carry the net across zero."""
        net = self._position_nets.get(key, 0)
        crosses = (net + could_trade) * net < 0 or (net == 0 and could_trade != 0)
        if not crosses or self.is_outlaw:
            return
        is_blind = any(t.is_blind for t in self.trackers.values() if t.key == key)
        window_ns = BLIND_NS if is_blind else RACE_NS
        if any(newest_ns - at_ns < window_ns for at_ns in self.outside_closes.get(key, ())):
            return  # a human's close and our order met on the way: beyond our reach (I2d)
        self.violate("I2", f"{key}: net {net} and our open exits {could_trade} cross zero")

    def finish_marks(self, cells: Mapping[tuple[str, str], int]) -> None:
        """Complete the marks with what is known only at the end."""
        self.marks.take_cells(cells)
        self.marks.take_tags(self._tags)

    def net(self, key: Key) -> int:
        """Return the broker's net position by its trades."""
        return self._position_nets.get(key, 0)

    def newest_claim_age_ns(self, now_ns: int) -> int:
        """Return how long ago the newest exit was claimed."""
        return min((now_ns - at_ns for at_ns in self.claim_times_ns), default=now_ns)

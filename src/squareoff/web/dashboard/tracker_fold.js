// What a journal fact does to one position: the page's copy of the engine's core/evolve.
// Field names are those of the facts; a position is never changed in place.

import * as decimal from "./decimal.js";
import { filledOf, foldOrder, isOrderFact } from "./order_fold.js";

/** Say whether facts of this kind change a position. */
export function isTrackerFact(kind) {
  return kind === "tracker_opened" || isOrderFact(kind) || Object.hasOwn(STEPS, kind);
}

/** Return the position after a fact; `tracker` is null before `tracker_opened`. */
export function foldTracker(tracker, fact) {
  if (fact.kind === "tracker_opened") return opened(fact);
  const after = isOrderFact(fact.kind)
    ? followEntryFills(withOrder(tracker, fact), fact.time)
    : STEPS[fact.kind](tracker, fact.data, fact);
  return { ...after, version: tracker.version + 1 };
}

function opened(fact) {
  const { awaits_entry: awaitsEntry, ...given } = fact.data;
  return {
    tracker_id: fact.tracker_id,
    ...given,
    status: awaitsEntry ? "PENDING" : "ACTIVE",
    created_at: fact.time,
    held_since: given.quantity ? fact.time : null,
    peak_price: null,
    stop_level: null,
    stop_rule: "",
    externally_closed_quantity: 0,
    externally_closed_notional: "0.00",
    exit_price: null,
    realized_pnl: null,
    exit_reason: null,
    exited_at: null,
    over_exited_quantity: 0,
    intent: null,
    orders: [],
    version: 0,
  };
}

const STEPS = {
  rules_changed: (t, data) => ({ ...t, rules: data.rules }),
  stop_moved: (t, data) => ({
    ...t, peak_price: data.peak_price, stop_level: data.stop_level, stop_rule: data.stop_rule,
  }),
  best_price_noted: (t, data) => ({ ...t, peak_price: data.peak_price }),
  exit_claimed: exitClaimed,
  exit_sized: (t, data) => ({ ...t, intent: { ...t.intent, attempt: data.attempt } }),
  exit_blocked: (t, data) =>
    moveIntent(t, "BLOCKED", {
      block_reason: data.reason, note: data.text, failures: data.failures,
    }),
  exit_resumed: (t) => {
    const failures = t.intent.status === "NEEDS_HUMAN" ? 0 : t.intent.failures;
    return moveIntent(t, "OPEN", { block_reason: null, note: "", failures });
  },
  exit_attempt_failed: (t, data) => ({
    ...t, intent: { ...t.intent, failures: data.failures, note: data.text },
  }),
  exit_withdrawal_asked: (t, data) =>
    moveIntent(t, "BLOCKED", { block_reason: "withdrawing", note: data.reason }),
  exit_withdrawn: exitWithdrawn,
  exit_escalated: (t, data) =>
    moveIntent(t, "NEEDS_HUMAN", { note: data.reason, block_reason: null }),
  order_planned: (t, data, fact) => ({ ...t, orders: [...t.orders, planned(data, fact)] }),
  entry_watched: (t, data, fact) => ({ ...t, orders: [...t.orders, watched(data, fact)] }),
  closed_externally: (t, data) => {
    const notional = decimal.parse(data.price) * BigInt(data.quantity);
    const sum = decimal.parse(t.externally_closed_notional) + notional;
    return {
      ...t,
      externally_closed_quantity: t.externally_closed_quantity + data.quantity,
      externally_closed_notional: decimal.text(sum),
    };
  },
  position_exited: (t, data, fact) => ({
    ...endIntent(t, "DONE", ""),
    status: "EXITED",
    exit_price: data.exit_price,
    realized_pnl: data.realized_pnl,
    exit_reason: data.exit_reason,
    exited_at: fact.time,
  }),
  position_cancelled: (t, data, fact) => ({
    ...t, status: "CANCELLED", exit_reason: data.reason, exited_at: fact.time,
  }),
  over_exit_detected: (t, data) => ({ ...t, over_exited_quantity: data.over_exited_quantity }),
  over_exit_resolved: (t, data) => moveIntent(t, "OPEN", { note: data.reason, failures: 0 }),
  position_untracked: (t, data, fact) => ({
    ...endIntent(t, "WITHDRAWN", data.reason),
    status: "UNTRACKED",
    exit_reason: data.reason,
    exited_at: fact.time,
  }),
};

function exitClaimed(t, data, fact) {
  const attempts = t.orders.filter((order) => order.role === "EXIT").map((order) => order.attempt);
  const intent = {
    intent_id: data.intent_id,
    status: "OPEN",
    reason: data.reason,
    trigger: data.trigger,
    claimed_at: fact.time,
    attempt: Math.max(0, ...attempts),
    failures: 0,
    block_reason: null,
    note: "",
  };
  return { ...t, status: "EXITING", intent };
}

function moveIntent(t, status, changes) {
  return { ...t, intent: { ...t.intent, status, ...changes } };
}

function endIntent(t, status, note) {
  return hasLiveIntent(t) ? moveIntent(t, status, { block_reason: null, note }) : t;
}

/** Say whether an exit claims the position, driven or waiting. */
export function hasLiveIntent(t) {
  return t.intent !== null && !["DONE", "WITHDRAWN"].includes(t.intent.status);
}

/** Say whether a wish to exit starts something: a first exit, or one that stands still going on. */
export function canBeExited(t) {
  if (t.status === "ACTIVE") return true;
  if (t.status !== "EXITING" || t.over_exited_quantity > 0) return false;
  return t.intent.status === "NEEDS_HUMAN" || t.intent.block_reason === "withdrawing";
}

/** Still beyond its level, the rule that fired would fire again at once: it is taken out. */
function exitWithdrawn(t, data) {
  const rule = t.intent.trigger.rule;
  const { [rule]: _fired, ...rules } = t.rules;
  const moved = moveIntent(t, "WITHDRAWN", { block_reason: null, note: data.reason });
  const stop = t.stop_rule === rule ? { stop_level: null, stop_rule: "" } : {};
  return { ...moved, ...stop, status: "ACTIVE", rules };
}

function planned(data, fact) {
  return {
    client_order_id: fact.client_order_id,
    role: data.role,
    origin: data.origin,
    attempt: data.attempt,
    slice_number: data.slice_number,
    side: data.side,
    order_quantity: data.order_quantity,
    state: "PLANNED",
    order_type: data.order_type,
    limit_price: data.limit_price,
    modifications: 0,
    sends: [],
    broker_orders: [],
    failure_text: "",
  };
}

function watched(data, fact) {
  const id = data.broker_order_id;
  const order = planned(
    { ...data, role: "ENTRY", origin: "PLACED", attempt: 1, slice_number: 1, limit_price: null,
      order_type: "LIMIT" },
    fact,
  );
  return {
    ...order,
    state: "ACCEPTED",
    sends: [{ number: 1, outcome: "ACCEPTED", sent_at: fact.time, broker_order_id: id }],
    broker_orders: [
      { broker_order_id: id, status: "TRANSIT", cumulative_quantity: 0, average_price: null,
        reason: "" },
    ],
  };
}

function withOrder(t, fact) {
  const orders = t.orders.map((order) =>
    order.client_order_id === fact.client_order_id ? foldOrder(order, fact) : order,
  );
  return { ...t, orders };
}

/** Quantity and entry price follow the fills of the entry orders. */
function followEntryFills(t, time) {
  const entries = t.orders.filter((order) => order.role === "ENTRY");
  const filled = entries.reduce((sum, order) => sum + filledOf(order), 0);
  if (filled === 0) return t;
  let after = t;
  if (filled > t.quantity && !["EXITED", "UNTRACKED"].includes(t.status)) {
    const status = t.status === "EXITING" ? "EXITING" : "ACTIVE";
    const since = time < t.created_at ? t.created_at : time;
    after = { ...t, status, exit_reason: null, exited_at: null, held_since: t.held_since ?? since };
  }
  after = { ...after, quantity: filled };
  const records = entries.flatMap((order) => order.broker_orders);
  if (records.some((record) => record.cumulative_quantity && record.average_price === null)) {
    return after;
  }
  const notional = records.reduce(
    (sum, record) =>
      sum + decimal.parse(record.average_price ?? "0") * BigInt(record.cumulative_quantity),
    0n,
  );
  return { ...after, entry_price: decimal.text(decimal.divide(notional, filled, 8)) };
}

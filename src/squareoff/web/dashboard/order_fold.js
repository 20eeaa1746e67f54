// What a journal fact does to one order: the page's copy of the engine's core/order_fold.
// One client order id may stand for several orders at the broker; the order's state follows from
// the merged records of all of them and from the sends whose outcome is still unknown.
// A test folds whole journals here and in the engine and compares every field.

const RESOLVED = new Set(["ACCEPTED", "REFUSED", "NOT_SENT", "ABSENT"]);
const ENDED = new Set(["TRADED", "CANCELLED", "REJECTED", "EXPIRED", "MISSING"]);
const PROGRESS = [
  "MISSING", "UNKNOWN", "TRANSIT", "PENDING", "PART_TRADED",
  "EXPIRED", "REJECTED", "CANCELLED", "TRADED",
];
const TRIGGERS = {
  TRANSIT: "ACCEPTED", PENDING: "WORKING", PART_TRADED: "PART_FILLED", TRADED: "FILLED",
  CANCELLED: "CANCELLED", REJECTED: "REJECTED", EXPIRED: "EXPIRED", MISSING: "EXPIRED",
};
const ENDING = new Set(["DECLARED_ABSENT", "REJECTED", "CANCELLED", "EXPIRED"]);
const LIVE_STATES = new Set(["SENT", "ACCEPTED", "WORKING", "PART_FILLED", "OUTCOME_UNKNOWN"]);

/** Return all that is filled of an order so far. */
export function filledOf(order) {
  return order.broker_orders.reduce((sum, record) => sum + record.cumulative_quantity, 0);
}

/** Say whether an order may still fill, or is still to be sent. */
export function isOpen(order) {
  return order.state === "PLANNED" || LIVE_STATES.has(order.state);
}

/** Return the order after a fact about it. */
export function foldOrder(order, fact) {
  return STEPS[fact.kind](order, fact.data, fact.time);
}

/** Say whether a fact of this kind changes one planned order. */
export function isOrderFact(kind) {
  return Object.hasOwn(STEPS, kind);
}

const STEPS = {
  order_dropped: (order, data) => ({ ...order, state: "ABSENT", failure_text: data.reason }),
  order_replanned: (order) => ({ ...order, state: "PLANNED" }),
  order_sent: sent,
  order_accepted: accepted,
  order_refused: (order, data) => {
    const text = `${data.code} ${data.text}`.trim();
    return afterSendEnded(resolve(order, data.send_number, "REFUSED"), "REFUSED", text);
  },
  order_not_sent: (order, data) =>
    afterSendEnded(resolve(order, data.send_number, "NOT_SENT"), "ABSENT", data.text),
  order_outcome_lost: outcomeLost,
  order_reported: reported,
  order_settled: settled,
  order_vanished: vanished,
  order_modify_sent: (order, data) => ({
    ...order,
    modifications: data.modification,
    order_type: data.order_type,
    limit_price: data.limit_price,
  }),
  order_cancel_sent: (order) => order,
  fills_confirmed: fillsConfirmed,
};

function sent(order, data, time) {
  const send = {
    number: data.send_number, outcome: "IN_FLIGHT", sent_at: time, broker_order_id: null,
  };
  return {
    ...order,
    state: "SENT",
    order_type: data.order_type,
    limit_price: data.limit_price,
    sends: [...order.sends, send],
  };
}

function accepted(order, data) {
  let after = resolve(order, data.send_number, "ACCEPTED", data.broker_order_id);
  const id = data.broker_order_id;
  if (id !== null) after = { ...after, broker_orders: withNamed(after.broker_orders, id) };
  return afterRecord(after);
}

/** Return the records with the one that the broker names: it is there, also if it was missed. */
function withNamed(records, id) {
  if (!records.some((record) => record.broker_order_id === id)) return [...records, newRecord(id)];
  return records.map((record) =>
    record.broker_order_id === id && record.status === "MISSING"
      ? { ...record, status: "TRANSIT" }
      : record,
  );
}

function outcomeLost(order, data) {
  let after = resolve(order, data.send_number, "UNKNOWN");
  if (after.state === "SENT") {
    after = { ...after, state: "OUTCOME_UNKNOWN", failure_text: data.text };
  }
  for (const record of after.broker_orders) after = attribute(after, record.broker_order_id);
  return after.broker_orders.length ? afterRecord(after) : after;
}

function reported(order, data) {
  const id = data.broker_order_id;
  const known = order.broker_orders.find((record) => record.broker_order_id === id);
  const merged = mergeRecord(known ?? newRecord(id), data);
  const records = known
    ? order.broker_orders.map((record) => (record === known ? merged : record))
    : [...order.broker_orders, merged];
  return afterRecord(attribute({ ...order, broker_orders: records }, id));
}

function settled(order) {
  const sends = order.sends.map((send) =>
    RESOLVED.has(send.outcome) && !isAcceptedUnnamed(send) ? send : { ...send, outcome: "ABSENT" },
  );
  const after = { ...order, sends };
  return after.broker_orders.length ? afterRecord(after) : { ...after, state: "ABSENT" };
}

function vanished(order, data) {
  const id = data.broker_order_id;
  const records = order.broker_orders.map((record) =>
    record.broker_order_id === id ? { ...record, status: data.status } : record,
  );
  const sends = order.sends.map((send) =>
    send.broker_order_id === id ? { ...send, outcome: "ABSENT" } : send,
  );
  return afterRecord({ ...order, broker_orders: records, sends });
}

function fillsConfirmed(order, data) {
  const records = order.broker_orders.map((record) =>
    record.broker_order_id === data.broker_order_id
      ? {
          ...record,
          cumulative_quantity: Math.max(record.cumulative_quantity, data.cumulative_quantity),
          average_price: data.average_price,
        }
      : record,
  );
  return afterRecord({ ...order, broker_orders: records });
}

function newRecord(id) {
  return {
    broker_order_id: id, status: "TRANSIT", cumulative_quantity: 0, average_price: null, reason: "",
  };
}

function mergeRecord(known, data) {
  const grew = data.cumulative_quantity > known.cumulative_quantity;
  const same = data.cumulative_quantity === known.cumulative_quantity;
  let average = known.average_price;
  if (data.average_price !== null && (grew || (same && average === null))) {
    average = data.average_price;
  } else if (grew) {
    average = null; // the new average is not told yet; the trade book will
  }
  const further = PROGRESS.indexOf(data.status) > PROGRESS.indexOf(known.status);
  return {
    broker_order_id: known.broker_order_id,
    status: further ? data.status : known.status,
    cumulative_quantity: Math.max(known.cumulative_quantity, data.cumulative_quantity),
    average_price: average,
    reason: ENDED.has(data.status) && data.reason ? data.reason : known.reason,
  };
}

function resolve(order, number, outcome, brokerOrderId = null) {
  const sends = order.sends.map((send) =>
    send.number === number
      ? { ...send, outcome, broker_order_id: brokerOrderId || send.broker_order_id }
      : send,
  );
  return { ...order, sends };
}

function mayReachTheExchange(send) {
  return send.outcome !== "REFUSED" && send.outcome !== "NOT_SENT";
}

function isAcceptedUnnamed(send) {
  return send.outcome === "ACCEPTED" && send.broker_order_id === null;
}

/** A record resolves an unknown send only where no other send could be its origin. */
function attribute(order, found) {
  if (order.sends.some((send) => send.broker_order_id === found)) return order;
  const origins = order.sends.filter(
    (send) => mayReachTheExchange(send) && send.broker_order_id === null,
  );
  if (origins.length !== 1 || RESOLVED.has(origins[0].outcome)) return order;
  if (origins[0].outcome === "IN_FLIGHT") return order;
  return resolve(order, origins[0].number, "ACCEPTED", found);
}

function hasUnresolvedSend(order) {
  return order.sends.some((send) => !RESOLVED.has(send.outcome));
}

function hasUnseenSend(order) {
  if (!order.sends.some(isAcceptedUnnamed)) return false;
  const named = new Set(order.sends.map((send) => send.broker_order_id));
  const records = order.broker_orders.filter((record) => !named.has(record.broker_order_id));
  const origins = order.sends.filter(
    (send) => mayReachTheExchange(send) && send.broker_order_id === null,
  );
  return origins.length > records.length;
}

function afterSendEnded(order, state, text) {
  const after = { ...order, failure_text: text };
  if (![null, "DECLARED_ABSENT"].includes(recordTrigger(after))) return afterRecord(after);
  return hasUnresolvedSend(after) ? after : { ...after, state };
}

function afterRecord(order) {
  const trigger = recordTrigger(order) ?? "ACCEPTED";
  const ending = ENDING.has(trigger);
  if (ending && (hasUnresolvedSend(order) || hasUnseenSend(order))) {
    const inFlight = order.sends.every((send) => send.outcome !== "UNKNOWN");
    const waits = inFlight && !hasUnseenSend(order);
    return { ...order, state: waits ? "SENT" : "OUTCOME_UNKNOWN" };
  }
  let text = order.failure_text;
  if (ending) text = order.broker_orders.findLast((record) => record.reason)?.reason ?? "";
  else if (trigger === "FILLED") text = "";
  return { ...order, state: nextState(order.state, trigger), failure_text: text };
}

function nextState(state, trigger) {
  if (trigger === "DECLARED_ABSENT") return "ABSENT";
  if (trigger === "ACCEPTED" && state === "WORKING") return "WORKING"; // TRANSIT after a modify
  return trigger;
}

function recordTrigger(order) {
  const records = order.broker_orders;
  if (!records.length) return null;
  const filled = filledOf(order);
  const live = records.filter((record) => !ENDED.has(record.status));
  if (live.length) {
    if (filled > 0) return "PART_FILLED";
    return live.some((record) => record.status !== "TRANSIT") ? "WORKING" : "ACCEPTED";
  }
  if (filled >= order.order_quantity) return "FILLED";
  if (records.every((record) => record.status === "MISSING")) {
    return filled ? "EXPIRED" : "DECLARED_ABSENT";
  }
  const last = TRIGGERS[records.at(-1).status];
  return last === "FILLED" ? "CANCELLED" : last;
}

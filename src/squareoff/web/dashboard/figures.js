// What a position's state means in figures: quantities, profit, distance to its levels.

import * as decimal from "./decimal.js";
import { filledOf } from "./order_fold.js";

/** The key under which an instrument's price is kept. */
export function instrumentKey(instrumentId) {
  return `${instrumentId.exchange_segment}:${instrumentId.security_id}`;
}

/** The orders that close a position, oldest first. */
export function exitOrders(tracker) {
  return tracker.orders.filter((order) => order.role === "EXIT");
}

/** What is closed so far, by us and by others. */
export function exitedQuantity(tracker) {
  const ours = exitOrders(tracker).reduce((sum, order) => sum + filledOf(order), 0);
  return ours + tracker.externally_closed_quantity;
}

/** What is still held. */
export function openQuantity(tracker) {
  return Math.max(0, tracker.quantity - exitedQuantity(tracker));
}

/** Whether the position is at its end; only a late fill of its entry changes it then. */
export function isFinal(tracker) {
  return ["EXITED", "CANCELLED", "UNTRACKED"].includes(tracker.status);
}

/** An amount rounded to 1e-8 of a rupee, as the engine's account keeps it. */
const rupees = (text) => decimal.divide(decimal.parse(text), 1, 8);
const sign = (tracker) => (tracker.side === "LONG" ? 1 : -1);

/** What the broker holds for a position, below zero for a short; beyond zero after an over-exit. */
function signedQuantity(tracker) {
  if (tracker.status === "UNTRACKED") return 0;
  const takenBack = tracker.orders
    .filter((order) => order.role === "FLATTEN")
    .reduce((sum, order) => sum + filledOf(order), 0);
  return sign(tracker) * (tracker.quantity - exitedQuantity(tracker) + takenBack);
}

/** The open profit at a price, an exact decimal; null without a price, none without an entry. */
export function openProfit(tracker, lastPrice) {
  const quantity = isOver(tracker) ? 0 : signedQuantity(tracker);
  const entry = rupees(tracker.entry_price);
  if (quantity === 0 || entry === 0n) return 0n;
  if (!lastPrice) return null;
  return (rupees(lastPrice) - entry) * BigInt(quantity);
}

/**
 * The profit of what was traded; null where the broker has not told the average yet. What is open
 * and this are together the engine's own sums (core/account_pnl), held against them by a test.
 */
export function closedProfit(tracker) {
  const { gain, isKnown } = closedPart(tracker);
  return isKnown ? gain : null;
}

/** The same where a fill has no average yet: the `gain` of the others, and whether it `isKnown`. */
export function closedPart(tracker) {
  if (tracker.status === "CANCELLED") return { gain: 0n, isKnown: true };
  if (isOver(tracker)) return { gain: rupees(tracker.realized_pnl), isKnown: true };
  const entry = rupees(tracker.entry_price);
  const closed = BigInt(tracker.externally_closed_quantity);
  const way = BigInt(sign(tracker));
  let gain = way * (rupees(tracker.externally_closed_notional) - closed * entry);
  let isPriced = true;
  for (const order of tracker.orders) {
    for (const record of order.broker_orders) {
      if (record.cumulative_quantity === 0) continue;
      if (record.average_price === null) isPriced = false;
      else if (order.role !== "ENTRY") {
        const aboveEntry = rupees(record.average_price) - entry;
        const filled = BigInt(record.cumulative_quantity);
        gain += (order.role === "EXIT" ? way : -way) * filled * aboveEntry;
      }
    }
  }
  return { gain: entry === 0n ? 0n : gain, isKnown: isPriced || isFinal(tracker) };
}

/** Whether what a position brought is settled: nothing of it is open, whatever its orders say. */
function isOver(tracker) {
  if (tracker.status === "CANCELLED") return true;
  return tracker.status === "EXITED" && tracker.realized_pnl !== null && !isTakenBack(tracker);
}

/** Whether our orders took back all that was closed too much, at prices that are told. */
function isTakenBack(tracker) {
  const takenBack = tracker.orders.some((order) => order.role === "FLATTEN" && filledOf(order) > 0);
  const isPriced = tracker.orders.every((order) => order.broker_orders.every(
    (record) => record.cumulative_quantity === 0 || record.average_price !== null));
  return takenBack && signedQuantity(tracker) === 0 && isPriced;
}

/**
 * Whether a position is intraday and of a day before this one (`2026-09-15`): the broker has
 * closed what was left of it, and nothing of it counts today.
 */
export function isOfAnEndedDay(tracker, day) {
  const isIntraday = ["INTRADAY", "CO", "BO"].includes(tracker.product_type);
  return isIntraday && Date.parse(tracker.created_at) < Date.parse(`${day}T00:00:00+05:30`);
}

/** Open and closed profit together; null where either is not known. */
export function profit(tracker, lastPrice) {
  const open = openProfit(tracker, lastPrice);
  const closed = closedProfit(tracker);
  return open === null || closed === null ? null : open + closed;
}

/** The nearer of stop and target: `{ name, points, percent }`, null without level or price. */
export function nearestLevel(tracker, levels, lastPrice) {
  if (!levels || !lastPrice) return null;
  const last = Number(lastPrice);
  const way = tracker.side === "LONG" ? 1 : -1;
  const found = [];
  if (levels.stop_level !== null) {
    found.push({ name: "stop", points: (last - Number(levels.stop_level)) * way });
  }
  if (levels.target_level !== null) {
    found.push({ name: "target", points: (Number(levels.target_level) - last) * way });
  }
  if (!found.length || last <= 0) return null;
  const nearest = found.reduce((best, each) => (each.points < best.points ? each : best));
  return { ...nearest, percent: (nearest.points / last) * 100 };
}

/** Whether an alarm still stands and nobody has seen it. */
export function isStanding(alarm) {
  return alarm.acknowledged_at === null && alarm.cleared_at === null;
}

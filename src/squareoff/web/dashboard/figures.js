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

/** Whether the position can never change again. */
export function isFinal(tracker) {
  return ["EXITED", "CANCELLED", "UNTRACKED"].includes(tracker.status);
}

const sign = (tracker) => (tracker.side === "LONG" ? 1n : -1n);

/** The open profit at a price, an exact decimal; null without a price. */
export function openProfit(tracker, lastPrice) {
  if (isFinal(tracker) || tracker.status === "PENDING") return 0n;
  if (!lastPrice) return null;
  const gain = decimal.parse(lastPrice) - decimal.parse(tracker.entry_price);
  return gain * BigInt(openQuantity(tracker)) * sign(tracker);
}

/** The profit of what is closed; null where the broker has not told the average yet. */
export function closedProfit(tracker) {
  if (tracker.realized_pnl !== null) return decimal.parse(tracker.realized_pnl);
  let notional = decimal.parse(tracker.externally_closed_notional);
  for (const record of exitOrders(tracker).flatMap((order) => order.broker_orders)) {
    if (record.cumulative_quantity === 0) continue;
    if (record.average_price === null) return null;
    notional += decimal.parse(record.average_price) * BigInt(record.cumulative_quantity);
  }
  const cost = decimal.parse(tracker.entry_price) * BigInt(exitedQuantity(tracker));
  return (notional - cost) * sign(tracker);
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

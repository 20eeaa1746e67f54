// What the engine does right now about one position, as one step and one sentence.

import { exitOrders, exitedQuantity, isFinal } from "./figures.js";
import { whole, words } from "./format.js";
import { hasLiveIntent } from "./tracker_fold.js";
import { filledOf, isOpen } from "./order_fold.js";

const BY_STATE = {
  PLANNED: "planned", SENT: "sent", OUTCOME_UNKNOWN: "unknown", ACCEPTED: "accepted",
  WORKING: "working", PART_FILLED: "part_filled",
};
/** The order that says most comes first: what is unknown, then what is least far on its way. */
const LOUDEST = ["OUTCOME_UNKNOWN", "PLANNED", "SENT", "ACCEPTED", "WORKING", "PART_FILLED"];

/** Return `{ step, text }`; the step is one word for colour and tests, the text is for people. */
export function exitStep(tracker) {
  if (isFinal(tracker)) return ended(tracker);
  if (tracker.over_exited_quantity > 0) {
    return { step: "needs_human", text: `over-exit of ${whole(tracker.over_exited_quantity)}` };
  }
  if (hasLiveIntent(tracker)) return live(tracker);
  if (tracker.status === "PENDING") return pending(tracker);
  return { step: "watching", text: "watching" };
}

function ended(tracker) {
  const why = tracker.exit_reason ? `: ${tracker.exit_reason}` : "";
  return { step: tracker.status.toLowerCase(), text: words(tracker.status) + why };
}

function pending(tracker) {
  const order = tracker.orders.find((each) => each.role === "ENTRY");
  return { step: "pending", text: order ? `entry ${words(order.state)}` : "entry awaited" };
}

function live(tracker) {
  const intent = tracker.intent;
  if (intent.status === "BLOCKED") {
    return { step: "blocked", text: `waits, ${words(intent.block_reason)}: ${intent.note}` };
  }
  if (intent.status === "NEEDS_HUMAN") {
    return { step: "needs_human", text: `needs a person: ${intent.note}` };
  }
  const orders = exitOrders(tracker).filter(isOpen);
  if (orders.length) return working(tracker, orders);
  if (exitedQuantity(tracker) >= tracker.quantity) {
    return { step: "confirming", text: "filled, asking the trade book" };
  }
  const again = intent.note ? `: ${intent.note}` : "";
  return { step: "requested", text: `requested, sizing${again}` };
}

function working(tracker, orders) {
  const state = LOUDEST.find((each) => orders.some((order) => order.state === each));
  const shown = orders.filter((order) => order.state === state);
  const quantity = shown.reduce((sum, order) => sum + order.order_quantity, 0);
  const step = BY_STATE[state];
  switch (state) {
    case "OUTCOME_UNKNOWN":
      return { step, text: `outcome unknown (${whole(quantity)}): asking, never resending` };
    case "PLANNED":
      return { step, text: `planned (${whole(quantity)}), waiting for its turn` };
    case "PART_FILLED": {
      const filled = exitedQuantity(tracker);
      return { step, text: `part filled ${whole(filled)} of ${whole(tracker.quantity)}` };
    }
    default:
      return { step, text: `${words(state)} (${whole(quantity)})${limit(shown)}` };
  }
}

function limit(orders) {
  const prices = new Set(orders.map((order) => order.limit_price ?? "market"));
  return prices.size === 1 ? ` at ${[...prices][0]}` : "";
}

/** Return what of an order is filled, in words. */
export function fillText(order) {
  return `${whole(filledOf(order))} of ${whole(order.order_quantity)}`;
}

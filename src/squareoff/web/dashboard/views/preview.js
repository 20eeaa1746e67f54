// What an exit would send now, as the engine itself decides it, in words.

import { el } from "../dom.js";
import { price, whole, words } from "../format.js";

/** Return what an exit would send, as `elements`, and its `ticket`; raises CallFailed. */
export async function previewOf(api, query) {
  const { items, ticket } = await api.get(`/exit-preview${query}`);
  return { elements: exitElements(items), ticket };
}

function exitElements(items) {
  if (!items.length) return [el("p", {}, "Nothing is under watch: no order is sent.")];
  const orders = items.reduce((sum, item) => sum + item.orders.length, 0);
  return [
    el("p", {}, countText(orders)),
    el("ul", {}, ...items.map(itemOf)),
    el("p", { class: "muted" }, "Sized and priced again at the moment of sending."),
  ];
}

/** Return what lifting the kill switch lets out, in the same way; raises CallFailed. */
export async function resumePreviewOf(api) {
  const { items, ticket } = await api.get("/resume-preview");
  const lines = items.map((item) => {
    const text = heldText(item, item.quantity - item.exited_quantity);
    return el("li", { "data-tracker": item.id }, el("strong", {}, item.trading_symbol), text);
  });
  const head = lines.length ? "Resuming lets these exits out:" : "No exit waits to be let out.";
  return { elements: [el("p", {}, head), el("ul", {}, ...lines)], ticket };
}

function countText(count) {
  if (count === 0) return "No order leaves now:";
  return count === 1 ? "1 order leaves now:" : `${whole(count)} orders leave now:`;
}

function itemOf(item) {
  const lines = item.orders.map((order) => el("li", { class: "figure" }, orderText(order)));
  return el(
    "li",
    { "data-tracker": item.tracker_id },
    el("strong", {}, item.trading_symbol),
    heldText(item, item.open_quantity),
    lines.length ? el("ul", {}, ...lines) : null,
    item.why ? el("p", { class: "muted" }, item.why) : null,
  );
}

/** Side and product, too: one contract may be held twice. */
function heldText({ side, product_type: product }, quantity) {
  return ` ${words(side)} ${whole(quantity)} · ${words(product)}`;
}

function orderText(order) {
  const head = `${order.side} ${whole(order.quantity)}`;
  if (order.limit_price !== null) {
    return `${head} ${order.order_type} at ${price(order.limit_price)}`;
  }
  if (order.order_type === "MARKET") return `${head} MARKET`;
  return `${head} ${order.order_type}, priced when it leaves: no fresh price now`;
}

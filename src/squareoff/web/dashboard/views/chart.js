// The price chart of one position: spans of prices, entry, path of stop and target, trigger, fills.
// Drawn as SVG from attributes; what it shows also stands under it in words.

import { el, setText, svg } from "../dom.js";
import { clockAsOf, price, whole, words } from "../format.js";

const HEIGHT = 260;
const WIDTH_MIN = 280;
const PLOT = { left: 8, top: 12, bottom: HEIGHT - 24 };
const AXIS_WIDTH = 92;
const WIDTH_MS_MIN = 10_000;
const PRICE_STEPS = 4;
const LATEST_MAX = 600;

export class Chart {
  #chart = null;
  #latest = [];

  constructor() {
    this.drawing = svg("svg", { role: "img", class: "chart", "aria-label": "Price chart" });
    this.caption = el("figcaption", { class: "muted" });
    this.element = el("figure", { class: "chart-figure" }, this.drawing, legend(), this.caption);
    new ResizeObserver(() => this.#redraw()).observe(this.element);
  }

  /** Draw an answer of GET /trackers/{id}/chart. */
  draw(chart) {
    this.#chart = chart;
    this.#latest = [];
    this.#redraw();
  }

  /** Add a price that came since. */
  addPrice(told) {
    if (!told) return;
    this.#latest.push({ at: Date.parse(told.received_at), price: Number(told.last_traded_price) });
    if (this.#latest.length > LATEST_MAX) this.#latest.shift();
    this.#redraw();
  }

  #redraw() {
    if (!this.#chart) return;
    const found = pointsOf(this.#chart, this.#latest);
    const width = Math.max(WIDTH_MIN, this.element.clientWidth);
    const scale = scaleOf(found, width - AXIS_WIDTH);
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.drawing.replaceChildren(
      ...grid(scale),
      ...staircases(found.stop, scale, "stop"),
      ...staircases(found.target, scale, "target"),
      line(found.entry, scale, "entry"),
      ...bars(found.spans, scale),
      polyline(found.prices, scale, "price"),
      ...found.triggers.map((each) => mark(each, scale, "trigger")),
      ...found.fills.map((each) => mark(each, scale, "fill")),
    );
    const text = describe(this.#chart, found);
    setText(this.caption, text);
    this.drawing.setAttribute("aria-label", `Price chart. ${text}`);
  }
}

function pointsOf(chart, latest) {
  const spans = chart.spans.map((span) => ({
    at: Date.parse(span.time), high: Number(span.high), low: Number(span.low),
    price: Number(span.close),
  }));
  const prices = [...spans.map(({ at, price: close }) => ({ at, price: close })), ...latest];
  const begin = Date.parse(chart.opened_at);
  const told = [...chart.triggers, ...chart.fills].map((each) => Date.parse(each.time));
  const end = Math.max(begin + WIDTH_MS_MIN, ...told, ...prices.slice(-1).map(({ at }) => at));
  const levels = chart.levels.map((each) => ({ ...each, at: Date.parse(each.time) }));
  const at = ({ time, price: text }) => ({ at: Date.parse(time), price: Number(text) });
  return {
    begin,
    end,
    prices: prices.filter((each) => each.at >= begin),
    spans: spans.filter((each) => each.at >= begin),
    entry: Number(chart.entry_price),
    stop: steps(levels, "stop_level", end),
    target: steps(levels, "target_level", end),
    triggers: chart.triggers.filter((each) => each.price !== null).map(at),
    fills: chart.fills.filter((each) => each.price !== null).map(at),
  };
}

/** A level as a staircase: it stands until it is moved. */
function steps(levels, name, end) {
  return levels
    .map((each, place) => ({
      from: each.at, to: levels[place + 1]?.at ?? end,
      price: each[name] === null ? null : Number(each[name]),
    }))
    .filter((each) => each.price !== null);
}

function scaleOf(found, right) {
  const values = [
    found.entry,
    ...found.spans.flatMap((span) => [span.high, span.low]),
    ...[...found.prices, ...found.stop, ...found.target, ...found.triggers, ...found.fills].map(
      (each) => each.price,
    ),
  ].filter((value) => value > 0);
  const low = Math.min(...values);
  const high = Math.max(...values);
  const margin = (high - low) * 0.06 || high * 0.001 || 1;
  const bottom = low - margin;
  const top = high + margin;
  const x = (at) =>
    PLOT.left + ((at - found.begin) / (found.end - found.begin)) * (right - PLOT.left);
  const y = (value) => PLOT.bottom - ((value - bottom) / (top - bottom)) * (PLOT.bottom - PLOT.top);
  return { x, y, right, bottom, top, begin: found.begin, end: found.end };
}

function* grid({ y, right, bottom, top, begin, end }) {
  for (let step = 0; step <= PRICE_STEPS; step += 1) {
    const value = bottom + ((top - bottom) * step) / PRICE_STEPS;
    yield svg("line", { x1: PLOT.left, x2: right, y1: y(value), y2: y(value), class: "grid" });
    yield svg("text", { x: right + 16, y: y(value) + 4, class: "axis" }, price(value.toFixed(2)));
  }
  const time = (at) => clockAsOf(new Date(at).toISOString(), end);
  yield svg("text", { x: PLOT.left, y: HEIGHT - 6, class: "axis" }, time(begin));
  yield svg("text", { x: right, y: HEIGHT - 6, class: "axis end" }, time(end));
}

/** One line for each span of time in which a level stood: between them there was none. */
function staircases(levels, scale, name) {
  const lines = [];
  levels.forEach(({ from, to, price: value }, place) => {
    if (place === 0 || levels[place - 1].to !== from) lines.push([]);
    lines.at(-1).push({ at: from, price: value }, { at: to, price: value });
  });
  return lines.map((points) => polyline(points, scale, name));
}

function line(value, { y, right }, name) {
  return svg("line", { x1: PLOT.left, x2: right, y1: y(value), y2: y(value), class: name });
}

function bars(spans, { x, y }) {
  return spans
    .filter((span) => span.high > span.low)
    .map(({ at, high, low }) =>
      svg("line", { x1: x(at), x2: x(at), y1: y(high), y2: y(low), class: "span" }),
    );
}

function polyline(points, { x, y }, name) {
  const places = points.map(({ at, price: value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
  return svg("polyline", { points: places.join(" "), class: name });
}

function mark({ at, price: value }, { x, y }, name) {
  const [left, top] = [x(at), y(value)];
  if (name === "fill") return svg("circle", { cx: left, cy: top, r: 5, class: name });
  const points = `${left},${top - 10} ${left + 10},${top} ${left},${top + 10} ${left - 10},${top}`;
  return svg("polygon", { points, class: name });
}

function describe(chart, { spans, end }) {
  const stop = chart.levels.at(-1)?.stop_level ?? null;
  const parts = [`Entry ${price(chart.entry_price)}`];
  if (stop !== null) parts.push(`stop ${price(stop)}, moved ${stopMoves(chart)} times`);
  for (const trigger of chart.triggers) {
    const at = trigger.price === null ? "" : ` at ${price(trigger.price)}`;
    parts.push(`${words(trigger.rule)} fired ${clockAsOf(trigger.time, end)}${at}`);
  }
  for (const fill of chart.fills) {
    const what = `${fill.side} ${whole(fill.quantity)} filled`;
    parts.push(`${what} ${clockAsOf(fill.time, end)} at ${price(fill.price)}`);
  }
  if (!spans.length) parts.push("no prices since the engine was started");
  return `${parts.join("; ")}.`;
}

function stopMoves(chart) {
  const levels = chart.levels.map((each) => each.stop_level).filter((each) => each !== null);
  return levels.filter((each, place) => place > 0 && each !== levels[place - 1]).length;
}

function legend() {
  const names = ["price", "entry", "stop", "target", "trigger", "fill"];
  const items = names.map((name) => el("li", { class: `key-${name}` }, name));
  return el("ul", { class: "legend", "aria-hidden": "true" }, ...items);
}

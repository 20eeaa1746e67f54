// Elements by createElement, text by textContent: nothing from outside is ever markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return an HTML element; `given` are attributes, `children` nodes or texts (null is left out). */
export function el(name, given = {}, ...children) {
  return fill(document.createElement(name), given, children);
}

/** Return an SVG element. */
export function svg(name, given = {}, ...children) {
  return fill(document.createElementNS(SVG, name), given, children);
}

function fill(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set an element's text where it differs: writing the same text again would cost a layout. */
export function setText(element, text) {
  if (element.shownText === text) return; // remembered beside it: reading it back is slow
  element.shownText = text;
  element.textContent = text;
}

/** Set or take away an attribute where it differs. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Return the element of the page with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Take out what a view before drew into a container, and what `keep` remembers of it. */
export function empty(container) {
  container.kept?.clear();
  container.replaceChildren();
}

/**
 * Bring a container's children into the order of `items`, one element for each key. Elements of
 * keys that stay are kept, so focus and what a person has opened stay with them.
 */
export function keep(container, items, { key, make, update }) {
  const known = (container.kept ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [name, element] of known) {
    if (wanted.has(name)) continue;
    element.remove(); // first of all: else every element after it would have to be moved
    known.delete(name);
  }
  let place = container.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let element = known.get(name);
    if (!element) {
      element = make(item);
      known.set(name, element);
    }
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else container.insertBefore(element, place);
  }
}

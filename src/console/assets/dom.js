// Makes elements. Whatever comes from outside becomes a text node or an attribute that cannot run: there is no way from here to HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Of `props`, functions under `on…` are listeners, `class` and the rest are attributes; false, null and undefined are left out, true
 * is an attribute without a value. Children are nodes or texts, in lists of any depth; empty ones are left out.
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  set(element, props ?? {});
  element.append(...flat(children));
  return element;
}

export function set(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else if (name === "value") {
      element.value = value;
    } else if (value === false || value === null || value === undefined) {
      element.removeAttribute(name);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== "");
}

/** What is in `parent` becomes these. */
export function fill(parent, ...children) {
  parent.replaceChildren(...flat(children));
}

export function svg(paths, props) {
  const element = document.createElementNS(SVG, "svg");
  const base = { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true", class: "icon" };
  set(element, { ...base, ...props });
  for (const d of paths) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    element.append(path);
  }
  return element;
}

/**
 * Makes the children of `parent` those of `items`, in order, and touches only what differs: focus, selection and playing sound survive. An item
 * whose `version` is the same as before keeps its element as it is; another is told to `update`, or made anew where it cannot.
 */
export function list(parent, items, { key, version, make, update }) {
  const known = parent.made ?? new Map();
  const made = new Map();
  let place = parent.firstChild;
  for (const item of items) {
    const name = key(item);
    const now = version ? version(item) : undefined;
    let entry = known.get(name);
    if (entry && entry.version !== now && update) {
      update(entry.node, item);
      entry.version = now;
    } else if (!entry || entry.version !== now) {
      const node = make(item);
      if (entry) {
        if (entry.node === place) place = place.nextSibling;
        entry.node.remove();
      }
      entry = { node, version: now };
    }
    made.set(name, entry);
    if (entry.node === place) {
      place = place.nextSibling;
    } else {
      parent.insertBefore(entry.node, place);
    }
  }
  for (const [name, entry] of known) {
    if (!made.has(name)) entry.node.remove();
  }
  parent.made = made;
}

/** Up and Down, Home and End go through what `selector` finds in `parent`. */
export function arrows(parent, selector) {
  parent.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const stops = [...parent.querySelectorAll(selector)];
    const here = stops.indexOf(document.activeElement);
    if (here < 0) return;
    event.preventDefault();
    stops[Math.max(0, Math.min(stops.length - 1, here + step))].focus();
  });
}

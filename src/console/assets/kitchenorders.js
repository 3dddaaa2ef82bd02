// The orders of a tenant as far as the board knows them: read, told of over the line, and older ones by pages. No pictures.
//
// An order may be told again, and an older state of it after a newer one, without harm: an order only goes on, by steps and by its payment.

import { get, path } from "./api.js";

/** The stages of an order that is not over, in their order. */
export const OPEN = ["pendiente", "cocinando", "listo"];

/** What the kitchen's button does with an order. */
export const NEXT = { pendiente: "cocinando", cocinando: "listo", listo: "entregado" };

const PAGE = 200;

/** The six digits alone may be another order's once, when this one is over. */
export function keyOf(order) {
  return `${order.id}-${order.timestamp}`;
}

export function awaitsPayment(order) {
  return order.paymentStatus === "PENDING" && order.estado !== "cancelado";
}

/** When it came to where it is, in milliseconds. */
export function reachedAt(order) {
  return order.historial.at(-1)?.timestamp ?? order.timestamp;
}

/** How far an order has come: it grows with each change. */
export function progress(order) {
  return 2 * order.historial.length + (order.paymentStatus === "PAID" ? 1 : 0);
}

export class Orders {
  #tenant;
  #known = new Map();
  /** Of which order was told while all of them were read. */
  #told = new Set();
  #cursor = null;
  #hasOlder = false;

  constructor(tenant) {
    this.#tenant = tenant;
  }

  get all() {
    return [...this.#known.values()];
  }

  /** An order as it is known now. */
  now(order) {
    return this.#known.get(keyOf(order)) ?? order;
  }

  /** Whether there are pages that were not read. */
  get more() {
    return this.#cursor !== null;
  }

  /** Takes a state of an order; gives what was known of it before, and what is known now. */
  take(order) {
    const key = keyOf(order);
    this.#told.add(key);
    const before = this.#known.get(key) ?? null;
    if (before && progress(order) < progress(before)) return { before, now: before };
    this.#known.set(key, order);
    return { before, now: order };
  }

  /** Reads the newest orders, and those of the 2,000 before them that are not over; gives what that changed, as `take` does. */
  async load() {
    this.#told = new Set();
    const { orders, cursor = null } = await this.#read({});
    // Hundreds came after an order that is still open: a page of its stage finds it.
    const open = cursor === null ? [] : await Promise.all(OPEN.map((stage) => this.#read({ stage, cursor })));
    const found = [...orders, ...open.flatMap((page) => page.orders)];
    // What came over the line meanwhile may be missing in what was read.
    const told = this.#told;
    const there = new Set(found.map(keyOf));
    if (!this.#hasOlder) {
      for (const key of this.#known.keys()) if (!there.has(key) && !told.has(key)) this.#known.delete(key);
      this.#cursor = cursor;
    }
    // The oldest first, as they came.
    return found.reverse().map((order) => this.take(order));
  }

  /** Reads a page of older ones. */
  async older() {
    const { orders, cursor = null } = await this.#read({ cursor: this.#cursor });
    for (const order of orders) this.take(order);
    this.#cursor = cursor;
    this.#hasOlder = true;
  }

  /** One order as it is now. */
  async again(order) {
    return this.take(await get(path`api/${this.#tenant}/bot/orders/${order.id}`));
  }

  #read({ stage, cursor }) {
    const asked = new URLSearchParams({ limit: PAGE });
    if (stage) asked.set("stage", stage);
    if (cursor) asked.set("cursor", cursor);
    return get(`${path`api/${this.#tenant}/bot/orders`}?${asked}`);
  }
}

// Orders as a board: what is new, what is cooked, what is ready; below it, folded, what is over. Several screens may show it: a step that
// another one took is seen here, and said.

import { path, post } from "./api.js";
import { fill, h, list, set } from "./dom.js";
import { action, toast, words } from "./dialog.js";
import { clockTime } from "./format.js";
import { gathering } from "./gathering.js";
import { icon } from "./icons.js";
import { awaitTouch, bellIsOn, ring, switchBell } from "./kitchenbell.js";
import { called, card } from "./kitchencard.js";
import { chooseOf } from "./kitchenmenu.js";
import { keyOf, NEXT, OPEN, Orders, progress, reachedAt } from "./kitchenorders.js";
import { printOrder } from "./kitchenpaper.js";
import { t } from "./words.js";

const TICK_MS = 30_000;
/** After orders could not be read. */
const RETRY_MS = 15_000;

/** Somebody else has done it, or the order has gone on. */
const LATE = new Set(["no_such_step", "no_payment_awaited"]);

export function kitchenPart({ tenant }) {
  const orders = new Orders(tenant);
  /** Orders that nobody here has touched since they came. */
  const unseen = new Set();
  /** What this screen has asked for: all else that happens is somebody else's doing. */
  const mine = new Set();
  /** What is to be said, each `{ what, order }`. */
  const news = gathering(say);
  const does = { seen: (order) => unseen.delete(keyOf(order)), step: (order) => move(order, NEXT[order.estado]), menu, print: (order) => printOrder(tenant, order) };
  let isRead = false;
  let isReading = false;
  let again = false;
  let closed = false;
  let retry = null;
  let isAllShown = false;

  const line = h("div", { class: "order-line", role: "status" });
  const failure = h("div", { role: "alert" });
  const cancelled = h("div", { class: "order-cancelled" });
  const none = h("div", { class: "order-none" });
  const columns = OPEN.map(column);
  const jumps = h("nav", { class: "order-jumps", "aria-label": t("kitchen.columns") }, columns.map((column) => column.jump));
  const finished = h("ul", { class: "order-list" });
  const finishedTitle = h("summary");
  const older = h("button", { type: "button", class: "button", onclick: action(showOlder) }, t("kitchen.older"));
  const fold = h("details", { class: "order-finished", ontoggle: draw }, finishedTitle, finished, h("div", { class: "row" }, older));
  const bellWord = h("span", { "aria-hidden": "true" });
  const bell = h("button", { type: "button", class: "button", role: "switch", "data-bell": true, "aria-label": t("kitchen.bell"), onclick: () => { switchBell(!bellIsOn()); dressBell(); } }, icon("sound"), bellWord);
  const stopWaiting = awaitTouch(dressBell);
  const node = h("div", { class: "page kitchen" },
    h("div", { class: "page-head" }, h("h2", null, t("tenant.orders")), bell),
    h("div", { class: "order-notices" }, line, cancelled), failure, jumps, none,
    h("div", { class: "order-board" }, columns.map((column) => column.node)), fold);
  const timer = setInterval(tick, TICK_MS);

  function column(stage) {
    const title = h("h2", { tabindex: -1, id: `orders-${stage}` });
    const items = h("ul", { class: "order-list", "aria-labelledby": `orders-${stage}` });
    const jump = h("button", { type: "button", class: "button", onclick: () => { title.scrollIntoView(); title.focus({ preventScroll: true }); } });
    return { stage, title, items, jump, shown: -1, node: h("section", { class: "order-column", "data-column": stage, "aria-labelledby": `orders-${stage}` }, title, items) };
  }

  function dressBell() {
    set(bell, { "aria-checked": String(bellIsOn()) });
    fill(bellWord, t(bellIsOn() ? "kitchen.bell.on" : "kitchen.bell.off"));
  }

  async function look() {
    again = isReading;
    if (isReading) return;
    clearTimeout(retry);
    isReading = true;
    do {
      again = false;
      try {
        const changes = await orders.load();
        if (closed) return;
        fill(failure);
        changes.forEach((change) => hear(change));
        isRead = true;
      } catch (problem) {
        if (closed) return;
        fill(failure, h("div", { class: "note bad" }, icon("alert"), h("div", null, h("p", null, words(problem)),
          h("button", { type: "button", class: "button", onclick: look }, icon("refresh"), t("retry")))));
        retry = setTimeout(look, RETRY_MS);
      }
    } while (again);
    isReading = false;
    draw();
  }

  /** Says what has become of an order, if that is news. */
  function hear({ before, now }) {
    const key = keyOf(now);
    if (before && progress(now) <= progress(before)) return;
    if (!before) return isRead && now.estado === "pendiente" && arrived(now, "arrived");
    const isMine = mine.delete(`${key} ${now.estado === before.estado ? "paid" : now.estado}`);
    if (now.estado !== before.estado) {
      unseen.delete(key);
      if (!isMine) news.add({ what: now.estado === "cancelado" ? "cancelled" : "moved", order: now });
    } else if (now.estado === "pendiente" && !isMine) {
      // What waited for its payment can be cooked.
      arrived(now, "paid");
    }
  }

  function arrived(order, what) {
    unseen.add(keyOf(order));
    news.add({ what, order });
  }

  /** However many orders came at once: one bell, one toast. What is not so any more is not said. */
  function say(all) {
    const last = new Map(all.map((one) => [keyOf(one.order), { ...one, order: orders.now(one.order) }]));
    const of = (kind, isSo) => [...last.values()].filter(({ what, order }) => what === kind && isSo(order.estado)).map(({ order }) => order);
    const came = of("arrived", (stage) => stage === "pendiente");
    const paid = of("paid", (stage) => stage === "pendiente");
    const moved = of("moved", (stage) => stage !== "cancelado");
    // One that nobody has seen yet is on no stove.
    const justCame = new Set(all.filter(({ what }) => what === "arrived").map(({ order }) => keyOf(order)));
    const gone = of("cancelled", () => true).filter((order) => !justCame.has(keyOf(order)));
    const said = [
      together("kitchen.arrived", came, (order) => ({ order: called(order) })),
      together("kitchen.paid", paid, (order) => ({ order: called(order) })),
      together("kitchen.moved", moved, (order) => ({ id: order.id, stage: t(`kitchen.stage.${order.estado}`) })),
    ].filter(Boolean).join(" ");
    if (said) toast(said);
    if (gone.length > 0) sayCancelled(gone);
    if (came.length + paid.length > 0) ring();
  }

  /** The words of one order, or how many there are. */
  function together(key, found, values) {
    if (found.length < 2) return found.length === 1 && t(key, values(found[0]));
    return t(`${key}.many`, { n: found.length });
  }

  /** They may be on the stove: this stays until somebody has read it. */
  function sayCancelled(gone) {
    const said = together("kitchen.cancelled", gone, (order) => ({ order: called(order) }));
    const one = h("div", { class: "note bad", role: "alert" }, icon("alert"),
      h("div", null, h("p", null, said), gone.length > 1 && h("ul", null, gone.map((order) => h("li", null, called(order))))),
      h("button", { type: "button", class: "button", onclick: () => one.remove() }, t("kitchen.understood")));
    cancelled.append(one);
  }

  function isToday(order) {
    return new Date(reachedAt(order)).toDateString() === new Date().toDateString();
  }

  function draw() {
    if (closed) return;
    const held = heldCard();
    const all = orders.all;
    for (const column of columns) {
      const here = all.filter((order) => order.estado === column.stage).sort((one, other) => one.timestamp - other.timestamp);
      place(column.items, here);
      if (column.shown === here.length) continue;
      column.shown = here.length;
      const words = [t(`kitchen.stage.${column.stage}`), " ", h("span", { class: "order-total numbers" }, String(here.length))];
      fill(column.title, words);
      fill(column.jump, words.map((one) => one.cloneNode?.(true) ?? one));
    }
    const over = all.filter((order) => !(order.estado in NEXT)).sort((one, other) => reachedAt(other) - reachedAt(one));
    const shown = isAllShown ? over : over.filter(isToday);
    const title = t(isAllShown ? "kitchen.finished.all" : "kitchen.finished", { n: shown.length });
    if (finishedTitle.textContent !== title) fill(finishedTitle, title);
    place(finished, fold.open ? shown : []);
    older.hidden = !orders.more && shown.length === over.length;
    if (isRead) fill(none, all.length === 0 && h("div", { class: "empty" }, icon("cart"), h("p", null, t("kitchen.none"))));
    letGo(held);
    count(columns[0].shown);
  }

  function place(parent, items) {
    list(parent, items, { key: keyOf, version: progress, make: (order) => card(order, { tenant, does, isNew: unseen.has(keyOf(order)) }) });
  }

  /** Where the focus is, if it is on a card. */
  function heldCard() {
    const key = document.activeElement?.closest?.("[data-key]")?.dataset.key;
    return key && node.contains(document.activeElement) ? { key, doing: document.activeElement.dataset.do } : null;
  }

  /** A card that has moved keeps the focus; of one that is out of sight the board has it. */
  function letGo(held) {
    if (!held || document.activeElement !== document.body) return;
    const card = node.querySelector(`[data-key="${CSS.escape(held.key)}"]`);
    const target = card?.querySelector(`[data-do="${CSS.escape(held.doing ?? "")}"]`) ?? card?.querySelector("[data-do]");
    target?.focus({ preventScroll: true });
    if (document.activeElement === document.body) columns[0].title.focus({ preventScroll: true });
  }

  /** New orders, in the tab's title. */
  function count(n) {
    const title = document.title.replace(/^\(\d+\) /, "");
    document.title = n > 0 ? `(${n}) ${title}` : title;
  }

  function tick() {
    draw();
    for (const card of node.querySelectorAll("[data-key]")) card.tick();
  }

  async function showOlder() {
    const before = isAllShown;
    isAllShown = true;
    // What is there already comes first.
    const isEnough = !before && orders.all.some((order) => !(order.estado in NEXT) && !isToday(order));
    if (!isEnough && orders.more) await orders.older();
    draw();
  }

  async function move(order, stage) {
    await change(order, stage, path`api/${tenant}/bot/orders/${order.id}/stage`, { stage });
  }

  async function menu(order) {
    const wish = await chooseOf(order);
    if (closed) return;
    try {
      if (wish === "paid") await change(order, wish, path`api/${tenant}/bot/orders/${order.id}/payment`);
      else if (wish) await move(order, wish);
    } catch (problem) {
      toast(words(problem));
    }
    // The button that opened the menu may have gone with its card.
    letGo({ key: keyOf(order), doing: "menu" });
  }

  /** Changes an order, or says why not and shows what it is now. */
  async function change(order, wish, address, body) {
    const sign = `${keyOf(order)} ${wish}`;
    mine.add(sign);
    try {
      hear(orders.take(await post(address, body)));
      draw();
    } catch (problem) {
      // Without an answer it may have been done.
      if (problem.status !== 0) mine.delete(sign);
      if (!LATE.has(problem.code)) throw problem;
      const { before, now } = await orders.again(order);
      draw();
      if (now.estado === "cancelado" && before?.estado !== "cancelado") sayCancelled([now]);
      else toast(t(problem.code === "no_such_step" ? "kitchen.late" : "kitchen.late_payment", { id: now.id, stage: t(`kitchen.stage.${now.estado}`) }));
    }
  }

  dressBell();
  draw();
  fill(none, h("p", { role: "status" }, t("loading")));
  look();
  return {
    node,
    onevent(event, payload) {
      if (event === "events:gap") return look();
      if (event !== "nuevo-pedido" && event !== "pedido:actualizado") return;
      hear(orders.take(payload));
      draw();
    },
    onregistered: look,
    online(downSince) {
      fill(line, downSince && h("div", { class: "note wait" }, icon("alert"), t("kitchen.line", { at: clockTime(downSince) })));
    },
    close() {
      closed = true;
      clearInterval(timer);
      clearTimeout(retry);
      news.close();
      stopWaiting();
      count(0);
    },
  };
}

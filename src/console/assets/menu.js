// The menu that customers order from. Changes are made here first and saved together; only what is sold out is saved at once. What is not
// saved waits here while another part is looked at, and what somebody else saves meanwhile stays under ours.

import { getTagged, path, putTagged } from "./api.js";
import { fill, h } from "./dom.js";
import { confirm, note, picker, toast, words } from "./dialog.js";
import { icon } from "./icons.js";
import { unsavedBar } from "./menu_bar.js";
import { settleConflicts } from "./menu_conflicts.js";
import { editDish, renameCategory } from "./menu_dish.js";
import { changed, differences, flawsOf, insisted, isTooLong, moved, movedCategory, placed, rebased, yielded } from "./menu_merge.js";
import { bringDishes } from "./menu_paste.js";
import { dishTable } from "./menu_table.js";
import { label } from "./text.js";
import { fieldWords, t } from "./words.js";

/** How often somebody else may be faster while one switch is saved. */
const TRIES = 4;
const STEPS = 50;

/** By tenant: what was not saved when its menu was left. */
const drafts = new Map();
let isUnsaved = () => false;

/** Closing the tab loses what is not saved: the browser asks. */
function ask(event) {
  event.preventDefault();
}

function guard() {
  if (drafts.size > 0 || isUnsaved()) addEventListener("beforeunload", ask);
  else removeEventListener("beforeunload", ask);
}

export function menuPart({ tenant }) {
  const address = path`api/${tenant}/bot/menu`;
  let base = null;
  let items = [];
  /** What was before each change, for the way back. */
  let steps = [];
  /** By id, by field: what is wrong with a dish. */
  let flaws = new Map();
  let closed = false;
  let queue = Promise.resolve();

  const said = h("div", { role: "alert" });
  const bar = unsavedBar({ save: () => save(), undo, discard });
  const table = dishTable({ edit, move, remove, flip, add, rename, moveCategory: (category, step) => change(t("menu.moved", { name: category || t("menu.no_category") }), movedCategory(items, category, step)) });
  const search = h("input", { class: "input", type: "search", placeholder: t("menu.search"), "aria-label": t("menu.search"), autocomplete: "off", oninput: draw });
  const filter = picker({ label: t("menu.show"), options: ["all", "soldout", "unsaved"].map((one) => [one, t(`menu.show.${one}`)]), onchange: draw });
  const count = h("p", { class: "muted small", role: "status" });
  const tools = h("div", { class: "menu-tools" }, h("label", { class: "search" }, icon("search"), search), filter.node, count);
  const node = h("div", { class: "menu-part" },
    h("div", { class: "page-head" }, h("h2", null, t("bot.menu")),
      h("div", { class: "row" },
        h("button", { type: "button", class: "button", onclick: () => base && bringDishes({ tenant, items: () => items, done: bring }) }, icon("file"), t("menu.bring")),
        h("button", { type: "button", class: "button", onclick: () => base && exportFile() }, icon("down"), t("menu.export")),
        h("button", { type: "button", class: "button primary", onclick: () => base && add("") }, icon("plus"), t("menu.add")))),
    said, tools, table.node, bar.node);

  const dirty = () => {
    if (base === null || items === base.value.items) return false;
    const { added, changed, removed, moved } = differences(base.value.items, items);
    return added.length + changed.length + removed.length > 0 || moved;
  };

  async function load() {
    try {
      const fresh = await getTagged(address);
      if (closed) return;
      const draft = base ? null : drafts.get(tenant);
      if (draft) {
        ({ base, items, steps } = draft);
        drafts.delete(tenant);
        fill(said, note("wait", t("menu.waited")));
      }
      if (base === null || base.tag !== fresh.tag) await adopt(fresh);
      isUnsaved = () => !closed && dirty();
      draw();
    } catch (problem) {
      if (closed || base !== null) return;
      fill(said, note("bad", words(problem), h("p", null, h("button", { type: "button", class: "button small", onclick: () => { fill(said); load(); } }, icon("refresh"), t("retry")))));
    }
  }

  /** What is saved by now, with our changes made again on it. False: somebody could not decide, and all is as it was. */
  async function adopt(fresh) {
    if (base === null || !dirty()) {
      base = fresh;
      items = fresh.value.items;
      steps = [];
      return true;
    }
    const { items: joined, conflicts } = rebased(base.value.items, items, fresh.value.items);
    let next = joined;
    if (conflicts.length > 0) {
      const mine = await settleConflicts(conflicts);
      if (mine === null || closed) return false;
      next = insisted(yielded(joined, conflicts.filter((one) => !mine.includes(one))), mine);
    }
    base = fresh;
    items = next;
    steps = [];
    flaws = new Map();
    return true;
  }

  /** A step that can be taken back. */
  function change(name, next) {
    if (next === items) return;
    steps = [...steps, { name, items }].slice(-STEPS);
    items = next;
    for (const id of flaws.keys()) recheck(id);
    draw();
  }

  function recheck(id) {
    const item = items.find((one) => one.id === id);
    if (!item || flawsOf(item).length === 0) flaws.delete(id);
  }

  function undo() {
    const step = steps.at(-1);
    if (!step) return;
    steps = steps.slice(0, -1);
    items = step.items;
    if (!dirty()) fill(said);
    draw();
    toast(t("menu.undone", { step: step.name }));
  }

  async function discard() {
    if (!(await confirm(t("menu.discard.title"), t("menu.discard.text"), t("discard")))) return;
    change(t("menu.discarded"), base.value.items);
    flaws = new Map();
    fill(said);
    draw();
  }

  const categories = () => [...new Set(items.map(({ category }) => category))].filter(Boolean);
  const ids = () => new Set([...items, ...base.value.items, ...steps.flatMap((step) => step.items)].map(({ id }) => id));

  function add(category) {
    editDish({ item: null, category, categories: categories(), flaws: {}, done: (item) => {
      change(t("menu.added", { name: label(item.name) }), placed(items, item));
      table.reveal(item.id);
    }, taken: ids });
  }

  function edit(item) {
    editDish({ item, categories: categories(), flaws: flaws.get(item.id) ?? {}, done: (next) => {
      flaws.delete(item.id);
      // What was typed goes over what the dish is by now, field by field.
      const { items: [joined], conflicts } = rebased([item], [next], items.filter(({ id }) => id === item.id));
      change(t("menu.changed", { name: label(next.name) }), joined ? changed(items, insisted([joined], conflicts)[0]) : items);
    } });
  }

  function move(item, step) {
    change(t("menu.moved", { name: label(item.name) }), moved(items, item.id, step));
  }

  function remove(item) {
    change(t("menu.removed", { name: label(item.name) }), items.filter(({ id }) => id !== item.id));
    toast(t("menu.removed.toast", { name: label(item.name) }));
  }

  function rename(category) {
    renameCategory(category, (next) => change(t("menu.renamed", { name: label(next) }), items.map((item) => (item.category === category ? { ...item, category: next } : item))));
  }

  function bring(next) {
    change(t("menu.brought"), next);
    fill(said, note("wait", t("menu.brought.note")));
  }

  /** One after the other: each needs the version that the one before it made. */
  const inTurn = (work) => {
    queue = queue.then(work, work);
    return queue;
  };

  /** Sold out, or there again: saved at once, and without what else is not saved yet. */
  function flip(item) {
    const available = !item.available;
    const turned = (all) => all.map((one) => (one.id === item.id ? { ...one, available } : one));
    const turn = (all) => { items = all(items); steps = steps.map((step) => ({ ...step, items: all(step.items) })); draw(); };
    turn(turned);
    const back = () => turn((all) => all.map((one) => (one.id === item.id ? { ...one, available: item.available } : one)));
    return inTurn(async () => {
      for (let tries = 0; tries < TRIES && !closed; tries += 1) {
        const saved = base.value.items.find(({ id }) => id === item.id);
        // One that is not saved itself is saved with all of it.
        if (!saved || saved.available === available) return;
        try {
          const before = base;
          base = await putTagged(address, { ...before.value, items: turned(before.value.items) }, before.tag);
          if (items === before.value.items) items = base.value.items;
          toast(t(available ? "menu.there" : "menu.soldout.saved", { name: label(item.name) }));
          return draw();
        } catch (problem) {
          if (closed) return;
          const settled = problem.code === "wrong_version" && (await getTagged(address).then(adopt).catch(() => false));
          if (!settled || tries === TRIES - 1) {
            back();
            return toast(words(problem));
          }
          turn(turned);
        }
      }
    });
  }

  const save = () => inTurn(async () => {
    fill(said);
    flaws = new Map(items.map((item) => [item.id, flawsOf(item)]).filter(([, names]) => names.length > 0).map(([id, names]) => [id, Object.fromEntries(names.map((one) => [one, t(`menu.flaw.${one}`)]))]));
    if (isTooLong(items)) return fill(said, note("bad", t("menu.flaw.items")));
    if (flaws.size > 0) return complain();
    const sent = items;
    try {
      const saved = await putTagged(address, { ...base.value, items: sent }, base.tag);
      // What was changed while it was on its way is not saved yet.
      items = items === sent ? saved.value.items : rebased(sent, items, saved.value.items).items;
      base = saved;
      steps = [];
      if (!closed) toast(t("menu.saved"));
    } catch (problem) {
      if (closed) return;
      if (problem.code === "wrong_version") await meet(problem);
      else refuse(problem, sent);
    }
    draw();
  });

  async function meet(problem) {
    const settled = await getTagged(address).then(adopt);
    if (!closed) fill(said, note("wait", settled ? t("menu.met") : words(problem)));
  }

  /** What the server says of `items[3].price` belongs to the fourth dish that was sent. */
  function refuse(problem, sent) {
    const rest = [];
    for (const { field: named, message } of problem.errors ?? []) {
      const [, at, name] = /^items\[(\d+)\]\.?(\w*)/.exec(named) ?? [];
      const id = sent[at]?.id;
      const known = ["id", "name", "price", "description", "aliases"].includes(name) ? t(`menu.flaw.${name}`) : fieldWords(message).text;
      if (id === undefined) rest.push(`${named}: ${fieldWords(message).text}`);
      else flaws.set(id, { ...flaws.get(id), [name || "name"]: known });
    }
    if (flaws.size > 0 && rest.length === 0) complain();
    else fill(said, note("bad", rest.join("; ") || words(problem)));
  }

  function complain() {
    fill(said, note("bad", t("menu.flaws", { n: flaws.size })));
    search.value = "";
    filter.choose("all");
    draw();
    table.focus(items.find(({ id }) => flaws.has(id))?.id);
  }

  function exportFile() {
    const url = URL.createObjectURL(new Blob([`${JSON.stringify({ ...base.value, items }, null, 2)}\n`], { type: "application/json" }));
    h("a", { href: url, download: `menu-${label(tenant).replace(/[^\w.-]/g, "_")}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  function draw() {
    if (closed || base === null) return;
    const changes = differences(base.value.items, items);
    table.draw({ items, query: search.value, filter: filter.input.value, flaws, unsaved: new Set([...changes.added, ...changes.changed]) });
    fill(count, t("menu.count", { n: items.length, out: items.filter(({ available }) => !available).length }));
    tools.hidden = items.length === 0;
    bar.draw(changes, steps.at(-1)?.name);
    guard();
  }

  function keys(event) {
    if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.target.closest("input, textarea, dialog") || !node.isConnected) return;
    event.preventDefault();
    undo();
  }

  /** Who comes back sees what others have saved; unless there is something of ours, which meets it when it is saved. */
  function looksAgain() {
    if (!document.hidden && base !== null && !dirty()) inTurn(load);
  }

  document.addEventListener("keydown", keys);
  document.addEventListener("visibilitychange", looksAgain);
  tools.hidden = true;
  load();
  return {
    node,
    close() {
      if (dirty()) {
        drafts.set(tenant, { base, items, steps });
        toast(t("menu.waits"));
      }
      closed = true;
      guard();
      document.removeEventListener("keydown", keys);
      document.removeEventListener("visibilitychange", looksAgain);
    },
  };
}

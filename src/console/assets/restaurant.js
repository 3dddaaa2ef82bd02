// The restaurant's settings: the bot's switch, which is saved at once, and a form for the rest. All of it is replaced at a save, so what this
// form does not show goes back as it came; what somebody else saved meanwhile is taken in, and what was typed here stays.

import { get, getTagged, isSignedIn, path, putTagged } from "./api.js";
import { fill, h } from "./dom.js";
import { action, form, note, toast, words } from "./dialog.js";
import { icon } from "./icons.js";
import { advancedPart, awayPart, mannersPart, modelPart, sellingPart, whoPart } from "./restaurant_basics.js";
import { hoursPart } from "./restaurant_hours.js";
import { changed, merged, same } from "./restaurant_merge.js";
import { deliveryPart, paymentPart } from "./restaurant_money.js";
import { rulesPart } from "./restaurant_rules.js";
import { textsPart } from "./restaurant_texts.js";
import { t } from "./words.js";

const w = (key, values) => t(`restaurant.${key}`, values);

/** What was typed and not saved when this part was left, or made anew in another language: it waits for whoever comes back. */
const drafts = new Map();

export function restaurantPart({ tenant }) {
  const route = path`api/${tenant}/bot/settings`;
  const lever = h("div");
  const notice = h("div", { role: "alert", tabindex: -1 });
  const place = h("div");
  const node = h("div", { class: "restaurant" }, lever, notice, place);
  let closed = false;
  let told = null;
  /** As the server has them, and their version. */
  let base = null;
  let tag = null;
  /** The parts of the form, and what they read when nothing was typed. */
  let parts = [];
  let initial = {};
  let state = null;

  const read = () => Object.assign({}, ...parts.map(([, part]) => part.read()));
  const here = location.hash;
  const dirty = () => base !== null && !same(initial, read());

  async function load() {
    fill(notice);
    fill(place, h("p", { role: "status" }, t("loading")));
    try {
      const [settings, texts] = await Promise.all([getTagged(route), get(path`api/${tenant}/bot/texts`)]);
      if (closed) return;
      told = texts;
      const draft = drafts.get(tenant);
      drafts.delete(tenant);
      if (!draft) return open(settings);
      takeIn(settings, draft);
      if (notice.childElementCount === 0) fill(notice, note("wait", w("waited")));
    } catch (problem) {
      if (closed) return;
      fill(place, note("bad", words(problem), " ", h("button", { type: "button", class: "button small", onclick: load }, icon("refresh"), t("retry"))));
    }
  }

  /** Shows what the server has, or `values` upon it. */
  function open(settings, values = settings.value) {
    base = settings.value;
    tag = settings.tag;
    draw(base);
    initial = read();
    if (!same(values, base)) draw(values);
    drawLever();
    dress();
  }

  /** Somebody else's version under what was typed here; whether there was anything in it to look over. */
  function takeIn(settings, { base: before, initial: untouched, mine }) {
    const theirs = changed(before, settings.value);
    const both = changed(untouched, mine).filter((key) => theirs.includes(key));
    open(settings, merged(settings.value, untouched, mine));
    const others = theirs.filter((key) => key !== "active");
    fill(notice);
    if (others.length === 0) return false;
    const names = (keys) => [...new Set(keys.map((key) => parts.find(([, part]) => key in part.read())?.[0]).filter(Boolean))].map((name) => w(name)).join(", ");
    fill(notice, note("wait", w("meanwhile"), both.length > 0 && h("p", null, w("meanwhile.both", { names: names(both) }))));
    // The form is long: the note is at its head.
    notice.focus();
    notice.scrollIntoView({ block: "center" });
    return true;
  }

  function drawLever() {
    const on = base.active;
    const turn = action(async () => {
      // Of the newest: nothing else changes by it.
      const newest = await getTagged(route);
      const answer = await putTagged(route, { ...newest.value, active: !on }, newest.tag);
      if (closed) return;
      if (changed(base, answer.value).every((key) => key === "active")) {
        base = answer.value;
        tag = answer.tag;
        drawLever();
      } else {
        takeIn(answer, { base, initial, mine: read() });
      }
      toast(w(answer.value.active ? "switched_on" : "switched_off"));
      if (notice.childElementCount === 0) lever.querySelector("[role=switch]").focus();
    });
    fill(lever, h("section", { class: `panel lever${on ? " on" : ""}` },
      h("button", { type: "button", class: "lever-button", role: "switch", "aria-checked": String(on), "aria-describedby": "lever-words", onclick: turn },
        h("span", { class: "lever-track", "aria-hidden": "true" }), h("span", null, w(on ? "on" : "off"))),
      h("p", { id: "lever-words" }, w(on ? "on.text" : "off.text")),
      base.suspended && note("wait", w("suspended"))));
  }

  function draw(settings) {
    const rules = rulesPart(settings);
    const shows = (takes) => { rules.node.hidden = takes; };
    const who = whoPart(settings, { onlanguage: () => texts.dress() });
    const texts = textsPart(settings, told, { language: who.language, restaurant: who.name });
    who.fields[0].input.addEventListener("change", texts.dress);
    parts = [
      ["who", who], ["selling", sellingPart(settings, { onorders: shows })], ["rules", rules], ["hours", hoursPart(settings)],
      ["delivery", deliveryPart(settings)], ["payment", paymentPart(settings)], ["away", awayPart(settings)],
      ["manners", mannersPart(settings)], ["model.title", modelPart(settings)], ["texts", texts], ["advanced", advancedPart(settings)],
    ];
    shows(settings.takesOrders);
    state = h("p", { class: "muted", role: "status" });
    const fields = [];
    const element = form({
      fields,
      submit: () => save(fields),
      props: { class: "parts" },
      children: parts.map(([, part]) => part.node),
      foot: h("div", { class: "row end save-bar" }, state,
        h("button", { type: "button", class: "button", onclick: undo }, w("undo")),
        h("button", { type: "submit", class: "button primary" }, icon("check"), w("save"))),
    });
    for (const event of ["input", "change", "click"]) element.addEventListener(event, () => queueMicrotask(dress));
    fill(place, element);
  }

  function dress() {
    if (!closed && state) fill(state, dirty() && w("unsaved"));
  }

  function undo() {
    fill(notice);
    open({ value: base, tag });
    place.querySelector(".save-bar .button.primary").focus();
  }

  async function save(fields) {
    // What is out of sight could not be mended.
    fields.splice(0, fields.length, ...parts.filter(([, part]) => !part.node.hidden).flatMap(([, part]) => part.fields));
    const wrong = fields.map((one) => [one, one.flaw?.()]).filter(([, flaw]) => flaw);
    if (wrong.length > 0) {
      for (const [one, flaw] of wrong) one.say(flaw);
      const { input } = wrong[0][0];
      input.closest("details")?.setAttribute("open", "");
      return input.focus();
    }
    const mine = read();
    let answer;
    try {
      answer = await putTagged(route, merged(base, initial, mine), tag);
    } catch (problem) {
      if (problem.code !== "wrong_version") throw problem;
      const newest = await getTagged(route);
      if (closed) return;
      // Nothing but the switch: it does not belong to the form.
      return takeIn(newest, { base, initial, mine }) ? null : save(fields);
    }
    if (closed) return;
    base = answer.value;
    tag = answer.tag;
    for (const [, part] of parts) part.saved?.(base);
    initial = read();
    fill(notice);
    drawLever();
    dress();
    toast(w("saved"));
  }

  /** The whole console goes: nothing could wait. */
  function leaves(event) {
    if (dirty()) event.preventDefault();
  }

  addEventListener("beforeunload", leaves);
  load();
  return {
    node,
    close() {
      if (isSignedIn() && dirty()) {
        drafts.set(tenant, { base, initial, mine: read() });
        if (location.hash !== here) toast(w("waits"));
      }
      closed = true;
      removeEventListener("beforeunload", leaves);
    },
  };
}

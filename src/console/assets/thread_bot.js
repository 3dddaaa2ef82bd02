// What the bot does in an open conversation, in its head, and the two buttons with which a human comes before it.

import { action } from "./dialog.js";
import { fill, h } from "./dom.js";
import { clockTime, when } from "./format.js";
import { icon } from "./icons.js";
import { serverWords } from "./text.js";
import { t } from "./words.js";

/** How each state looks. Of others nothing is shown: a bot that is off is no matter of one chat's. */
const LOOKS = { answers: "good", owner: "stopped", takenOver: "stopped", humanCalled: "call", loop: "call", broken: "bad", muted: "stopped" };
const TAKES = new Set(["answers", "humanCalled", "loop"]);
const GIVES = new Set(["owner", "takenOver", "humanCalled", "loop", "broken"]);

/** Longer ones are written with their day. */
const SAME_DAY_MS = 20 * 3_600_000;

/** The chip of a state, in the list and in the head. */
export function standing(state) {
  return h("span", { class: `chip ${LOOKS[state]}`, "data-bot": state }, t(`takeover.${state}`));
}

/** `bots` knows what the bot does in `chat`. Gives `{ node, close }`. */
export function threadBot({ bots, chat }) {
  const said = h("p", { class: "thread-standing", role: "status" });
  const take = button("take", "person", () => bots.take(chat));
  const give = button("give", "reply", () => bots.giveBack(chat));
  const node = h("div", { class: "thread-bot" }, said, take, give);
  let shown = null;

  function button(name, sign, work) {
    return h("button", { type: "button", class: "button small", title: t(`takeover.${name}.hint`), onclick: action(work) }, icon(sign), t(`takeover.${name}`));
  }

  function draw() {
    const { state = null, until = null, broken = null } = bots.of(chat) ?? {};
    const now = JSON.stringify([state, until, broken]);
    // It is said when it changes, and only then.
    if (now === shown) return;
    shown = now;
    const isFocused = document.activeElement === take || document.activeElement === give;
    node.hidden = !(state in LOOKS);
    take.hidden = !TAKES.has(state);
    give.hidden = !GIVES.has(state);
    take.classList.toggle("primary", state !== "answers");
    fill(said, !node.hidden && [standing(state), " ", reason({ state, until, broken })]);
    // What was pressed gives its place to the other one, and the focus with it.
    if (isFocused) [take, give].find((one) => !one.hidden)?.focus();
  }

  function reason({ state, until, broken }) {
    if (state === "broken") return serverWords(broken ?? "", "span", { class: "muted small" });
    if (!until) return null;
    const at = new Date(until);
    return h("span", { class: "muted small" }, t("takeover.until", { at: at - Date.now() < SAME_DAY_MS ? clockTime(at) : when(at).textContent }));
  }

  const stop = bots.watch(chat);
  const unlisten = bots.listen(draw);
  draw();
  return {
    node,
    close() {
      stop();
      unlisten();
    },
  };
}

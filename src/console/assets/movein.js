// A tenant that comes from another gateway: the order of the switch, its store by drop or by choice, a look at what would come, the import.

import { path, upload } from "./api.js";
import { fill, h } from "./dom.js";
import { field, form, note, picker, toast, unique, words } from "./dialog.js";
import { phone, size } from "./format.js";
import { icon } from "./icons.js";
import { label } from "./text.js";
import { t } from "./words.js";

/** Each gateway, and the page of the guide that says how its store is taken out. */
const GATEWAYS = { baileys: "move-in-baileys", evolution: "move-in-evolution", waha: "move-in-waha", whatsmeow: "move-in-whatsmeow", rtdb: "move-in-databases", firestore: "move-in-databases" };

/** Kinds of entries that an operator decides by, in the order in which they are told. */
const KINDS = ["session", "sender_key", "pre_key", "identity", "lid_mapping", "contact_token", "sync_key", "menu_item", "bot_setting"];

/** Problems of single entries that are shown. */
const SHOWN = 8;

export function moveInPart(tenant, look) {
  let files = [];
  const steps = ["movein.step1", "movein.step2", "movein.step3", "movein.step4"];
  const from = picker({ label: t("movein.from"), options: Object.keys(GATEWAYS).map((gateway) => [gateway, t(`movein.from.${gateway}`)]), value: "baileys", onchange: turn });
  const number = field({ label: t("movein.number"), hint: t("movein.number.hint"), names: ["expectedNumber"], type: "tel", inputmode: "tel", oninput: forget });
  const name = field({ label: t("movein.name"), hint: t("movein.name.hint"), names: ["name"], oninput: forget });
  const keys = field({ label: t("movein.keys"), hint: t("movein.keys.hint"), names: ["keys"], oninput: forget });
  const margin = field({ label: t("movein.margin"), hint: t("movein.margin.hint"), names: ["margin"], inputmode: "numeric", oninput: forget });
  const how = h("a", { href: guide(from.input.value) }, t("movein.how"));
  const stopped = checkbox("movein.stopped", "movein.stopped.hint", forget);
  const chosen = h("p", { class: "muted small", role: "status" }, t("movein.none"));
  const place = source(take);
  const found = h("div", { class: "body-form", role: "status" });
  const failed = h("div", { role: "alert" });

  /** What was seen is of other files, or of another choice. */
  function forget() {
    fill(found);
    fill(failed);
  }

  function turn() {
    how.href = guide(from.input.value);
    forget();
  }

  function take(next) {
    files = next;
    forget();
    const bytes = files.reduce((sum, one) => sum + one.file.size, 0);
    fill(chosen, files.length === 0 ? t("movein.none") : t("movein.chosen", { n: files.length, size: size(bytes) }));
  }

  function body(more) {
    const parts = new FormData();
    const fields = { from: from.input.value, stopped: stopped.input.checked, expectedNumber: number.input.value.trim(), name: name.input.value.trim(), keys: keys.input.value.trim(), margin: margin.input.value.trim(), ...more };
    for (const [key, value] of Object.entries(fields)) parts.append(key, String(value));
    for (const one of files) parts.append("files", one.file, one.path);
    return parts;
  }

  const send = (more) => upload(path`api/sessions/${tenant}/import`, body(more));

  async function see() {
    forget();
    if (files.length === 0) return fill(failed, note("bad", t("movein.choose")));
    const report = await send({ dryRun: true });
    const bring = (connect) => async (event) => {
      const button = event.currentTarget;
      if (button.getAttribute("aria-busy") === "true") return;
      button.setAttribute("aria-busy", "true");
      fill(failed);
      try {
        await send({ connect });
        toast(t("movein.done"));
        await look();
      } catch (error) {
        fill(failed, note("bad", words(error)));
      } finally {
        button.removeAttribute("aria-busy");
      }
    };
    fill(found, told(report),
      h("div", { class: "row" },
        h("button", { type: "button", class: "button primary", onclick: bring(true) }, icon("play"), t("movein.connect")),
        h("button", { type: "button", class: "button", onclick: bring(false) }, t("movein.only"))));
  }

  const node = h("section", { class: "panel", "aria-labelledby": "movein-title" },
    h("header", null, h("h2", { id: "movein-title" }, t("movein.title"))),
    h("div", { class: "body" },
      h("p", null, t("movein.text")),
      h("ol", { class: "steps" }, steps.map((step) => h("li", null, h("span", null, t(step))))),
      note("wait", t("movein.noway")),
      form({
        fields: [number, name, keys, margin],
        submit: see,
        props: { class: "body-form" },
        children: [
          from.node,
          h("p", { class: "small" }, how),
          place,
          chosen,
          stopped.node,
          h("details", null, h("summary", null, t("movein.more")), h("div", { class: "body-form" }, number.node, name.node, keys.node, margin.node)),
        ],
        foot: h("div", { class: "row" }, h("button", { type: "submit", class: "button" }, icon("search"), t("movein.see"))),
      }),
      found,
      failed));
  return { node };
}

const guide = (gateway) => `../docs/guide/${GATEWAYS[gateway]}`;

/** What would come over. */
function told(report) {
  const counts = KINDS.map((kind) => [kind, report.entries?.[kind]]).filter(([, of]) => of && of.kept + of.dropped > 0);
  const fact = (words, value) => [h("dt", null, words), h("dd", null, value)];
  const problems = (report.problems ?? []).slice(0, SHOWN);
  const more = (report.problems ?? []).length - problems.length + (report.unlisted_problems ?? 0);
  return [
    note("good", h("strong", null, t(`movein.outcome.${report.outcome}`))),
    h("dl", { class: "facts" },
      fact(t("tenants.phone"), h("span", { class: "numbers" }, phone(report.number) || "—")),
      counts.map(([kind, of]) => fact(t(`movein.kind.${kind}`), t("movein.count", { kept: of.kept, all: of.kept + of.dropped })))),
    report.bot_on && h("p", { class: "muted small" }, t("movein.bot_on")),
    report.finality !== "final" && h("p", { class: "muted small" }, t("movein.stale")),
    problems.length > 0 && h("ul", { class: "small" }, problems.map((one) => h("li", { lang: "en" }, `${label(one.entry)}: ${label(one.reason)}`))),
    more > 0 && h("p", { class: "muted small" }, t("movein.problems", { n: more })),
  ];
}

function checkbox(words, hint, onchange) {
  const id = unique("check");
  const input = h("input", { type: "checkbox", id, onchange });
  const node = h("div", { class: "field" },
    h("label", { class: "check", for: id }, input, h("span", null, t(words))),
    h("p", { class: "hint" }, t(hint)));
  return { node, input };
}

/** Where files are dropped, and the ways to choose them without a mouse. */
function source(take) {
  const listed = (list) => [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  const chooser = (words, props) => {
    const input = h("input", { type: "file", multiple: true, hidden: true, "aria-label": t(words), onchange: () => input.files.length > 0 && take(listed(input.files)), ...props });
    return [h("button", { type: "button", class: "button", onclick: () => input.click() }, icon("file"), t(words)), input];
  };
  const over = (is) => (event) => {
    event.preventDefault();
    node.classList.toggle("over", is);
  };
  const drop = async (event) => {
    over(false)(event);
    const { items, files } = event.dataTransfer;
    // All at once: they are gone after the first wait.
    const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    try {
      take(entries.length > 0 ? (await Promise.all(entries.map(walk))).flat() : listed(files));
    } catch (error) {
      toast(words(error));
    }
  };
  const node = h("div", { class: "drop", ondragover: over(true), ondragleave: over(false), ondrop: drop },
    h("p", null, t("movein.drop")),
    h("div", { class: "row" }, chooser("movein.folder", { webkitdirectory: true }), chooser("movein.file")));
  return node;
}

/** All files of what was dropped, with their paths. */
async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, path: entry.fullPath.replace(/^\/+/, "") }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A hundred at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return found;
    for (const one of some) found.push(...(await walk(one)));
  }
}

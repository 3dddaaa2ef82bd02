// The page before all others: asks for the operator's key.

import { signIn } from "./api.js";
import { h } from "./dom.js";
import { field, form, note } from "./dialog.js";
import { brand, switches } from "./shell.js";
import { t } from "./words.js";

/** `rejected`: there was a key, and the server no longer takes it. */
export function signInView({ rejected, done }) {
  const key = field({ label: t("signin.key"), hint: t("signin.hint"), type: "password", autocomplete: "current-password", required: true });
  const submit = async () => {
    const given = key.input.value.trim();
    if (!given) {
      key.say("is required");
      return key.input.focus();
    }
    try {
      await signIn(given);
    } catch (problem) {
      if (problem.status !== 401 && problem.status !== 403) throw problem;
      key.tell(t(problem.status === 401 ? "signin.wrong" : "signin.not_operator"));
      key.input.select();
      return;
    }
    done();
  };
  const sheet = form({
    fields: [key],
    submit,
    props: { class: "panel", "aria-label": t("signin.title") },
    children: [
      brand(),
      h("h1", { tabindex: -1 }, t("signin.title")),
      rejected && note("wait", t("signin.rejected")),
      key.node,
    ],
    foot: [
      h("button", { type: "submit", class: "button primary" }, t("signin.do")),
      switches(),
    ],
  });
  return { title: t("signin.title"), node: h("main", { id: "main", class: "sign-in" }, sheet), focus: () => key.input.focus() };
}

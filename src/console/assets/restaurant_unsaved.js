// Whoever would leave a form that is not saved is asked before.

import { confirm } from "./dialog.js";
import { t } from "./words.js";

/** While `dirty()`, another place of the console is reached after a question only; `dropped()` hears a yes. Gives what ends that. */
export function guard(dirty, dropped) {
  const here = location.hash;
  let asking = false;

  async function moves(event) {
    if (location.hash === here || !dirty()) return;
    // Ours is asked before the page's own, since it listens at the way down.
    event.stopImmediatePropagation();
    const wanted = location.hash;
    history.pushState(history.state, "", here);
    if (asking) return;
    asking = true;
    const leaves = await confirm(t("restaurant.leave.title"), t("restaurant.leave.text"), t("restaurant.leave"));
    asking = false;
    if (!leaves) return;
    dropped();
    location.hash = wanted;
  }

  function closes(event) {
    if (dirty()) event.preventDefault();
  }

  addEventListener("hashchange", moves, { capture: true });
  addEventListener("beforeunload", closes);
  return () => {
    removeEventListener("hashchange", moves, { capture: true });
    removeEventListener("beforeunload", closes);
  };
}

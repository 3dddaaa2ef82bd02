// Collects what comes within a moment: when a line is back, everything that it missed comes at once, and is to be said once.

/**
 * `done(items)` hears what was added, in its order: `quiet` milliseconds after the last of it, at the latest `longest` after the first. Gives
 * `{ add, close }`.
 */
export function gathering(done, { quiet = 250, longest = 2_000 } = {}) {
  let items = [];
  let timer = 0;
  let deadline = 0;

  function end() {
    const all = items;
    items = [];
    done(all);
  }

  return {
    add(item) {
      if (items.length === 0) deadline = Date.now() + longest;
      items.push(item);
      clearTimeout(timer);
      timer = setTimeout(end, Math.max(0, Math.min(quiet, deadline - Date.now())));
    },
    close() {
      clearTimeout(timer);
      items = [];
    },
  };
}

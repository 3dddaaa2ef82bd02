// What happens to one tenant, as it happens, however often the line breaks: connects again with growing waits, and asks for what it missed
// by the id of the last event that it has seen. Keeps no events.

import { credential, signOut, socketAddress } from "./api.js";
import { connect } from "./wire.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/**
 * Follows `tenant`. `onevent(name, payload)` hears every event, repeats included; `onregistered(resumed)` is called at each start, with false when
 * events may have been missed; `online(bool)` when the line comes and goes. Gives `{ saw, close }`; `saw(id)` tells of an event that was learnt of
 * elsewhere.
 */
export function follow(tenant, { onevent, onregistered, online }) {
  let cursor = null;
  let line = null;
  let waiting = null;
  let failures = 0;
  let closed = false;

  function saw(id) {
    // ULIDs: they sort as texts.
    if (typeof id === "string" && (cursor === null || id > cursor)) cursor = id;
  }

  function dial() {
    waiting = null;
    let resumed = false;
    line = connect(socketAddress(), credential(), {
      onopen() {
        resumed = cursor !== null;
        line.emit("register", resumed ? { tenantId: tenant, cursor } : tenant);
      },
      onevent(name, payload) {
        if (name === "error" && payload?.code === "unauthorized") return signOut(true);
        if (payload?.tenantId !== tenant) return;
        if (name === "registered") {
          failures = 0;
          online(true);
          return onregistered(resumed);
        }
        onevent(name, payload);
        // Only now: an event that could not be dealt with comes again.
        saw(name === "events:gap" ? payload.until : payload.eventId);
      },
      onclose(reason) {
        line = null;
        if (closed) return;
        online(false);
        if (reason.startsWith("refused: unauthorized")) return signOut(true);
        // Not all at once after a restart of the daemon: a half is chance.
        const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures) * (0.5 + Math.random() / 2);
        failures += 1;
        waiting = setTimeout(dial, wait);
      },
    });
  }

  /** The network is back, or somebody looks again: no reason to wait. */
  function hurry() {
    if (waiting === null || document.hidden) return;
    clearTimeout(waiting);
    dial();
  }

  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  dial();

  return {
    saw,
    close() {
      closed = true;
      clearTimeout(waiting);
      removeEventListener("online", hurry);
      document.removeEventListener("visibilitychange", hurry);
      line?.close();
    },
  };
}

// The events that a webhook may ask for, in the groups in which they are shown. The API's names; a test compares them with the daemon's.

export const EVENTS = [
  ["messages", ["message", "message.any", "message.ack", "message.ack.group", "message.waiting", "message.reaction", "message.edited", "message.revoked", "poll.vote", "message.marked"]],
  ["session", ["session.status", "account.refused", "account.changed"]],
  ["bot", ["order.created", "order.updated", "owner.called", "pacing.held"]],
  ["groups", ["group.v2.join", "group.v2.leave", "group.v2.participants", "group.v2.participants.join-request", "group.v2.update"]],
  ["others", ["call.received", "call.accepted", "call.rejected", "label.upsert", "label.deleted", "label.chat.added", "label.chat.deleted", "chat.archive", "presence.update"]],
];

/** All there are and will be. */
export const EVERY = "*";

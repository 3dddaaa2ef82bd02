//! The table of spaces: every kind of record that a tenant has, where it lives and when it dies.
//!
//! A space's number is part of what the vault holds: it never changes and is never given to another kind. A number that
//! this build does not know (a newer build wrote it) is kept and journaled like any other, so that going back to an older
//! build loses nothing.

pub use crate::journal::Space;

/// Where the records of a space live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In the vault: every change goes to the journal, and a start brings it back.
    Journal,
    /// Only in the working copy: gone at every start.
    Local,
}

/// The effect that a wipe of the credentials has on a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wipe {
    /// It belongs to the pairing that ended.
    Dies,
    /// It belongs to the tenant.
    Stays,
}

/// One line of [`TABLE`].
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub space: Space,
    pub name: &'static str,
    pub home: Home,
    pub wipe: Wipe,
    /// Why it has this home.
    pub reason: &'static str,
}

/// Own keys, account, counters: [`whatsapp_rust::wacore::store::Device`] as JSON, under the empty key.
pub const DEVICE: Space = Space(1);
/// Address → identity key of a correspondent.
pub const IDENTITIES: Space = Space(2);
/// Address → the library's `SessionRecord`.
pub const SESSIONS: Space = Space(3);
/// `group:address` → the library's `SenderKeyRecord`.
pub const SENDER_KEYS: Space = Space(4);
/// Id → the library's `PreKeyRecord`.
pub const PRE_KEYS: Space = Space(5);
/// Id → the library's `SignedPreKeyRecord`.
pub const SIGNED_PRE_KEYS: Space = Space(6);
/// Key id → [`super::records::SyncKeyRecord`].
pub const SYNC_KEYS: Space = Space(7);
/// LID → [`super::records::LidMappingRecord`].
pub const LID_MAPPINGS: Space = Space(8);
/// (chat, sender, id) → [`super::records::PendingInboundRecord`].
pub const PENDING_INBOUND: Space = Space(9);
/// LID → [`super::records::TcTokenRecord`].
pub const TC_TOKENS: Space = Space(10);
/// User → [`super::records::DeviceListRecord`].
pub const DEVICE_LISTS: Space = Space(11);
/// File → its content, of a device that leaves; under the empty key [`super::Exported`].
pub const EXPORTED: Space = Space(12);

/// (chat, id, sender) → [`super::records::InboxRecord`].
pub const INBOX: Space = Space(32);
/// Message id → [`super::records::OutboxRecord`].
pub const OUTBOX: Space = Space(33);
/// ULID → an event, as the event log writes it.
pub const EVENTS: Space = Space(34);
/// First ULID → a closed piece of the events that is in the vault, as the event log writes it.
pub const SEGMENTS: Space = Space(36);
/// Records of the parts above the store: settings, cursors.
pub const SETTINGS: Space = Space(35);
/// (webhook, ULID of the event) → what a webhook could not deliver, as it writes it.
pub const WEBHOOK_FAILURES: Space = Space(40);
/// Jid → a person of the address book, as [`crate::message::synced`] writes it.
pub const PEOPLE: Space = Space(48);
/// Label → its name and colour, as [`crate::message::synced`] writes them.
pub const LABELS: Space = Space(49);
/// (label, chat) → nothing.
pub const LABELLED: Space = Space(50);
/// (chat, ULID) → an older message that the phone told, [`super::records::PastRecord`].
pub const PAST: Space = Space(51);

/// Jid → the bot's conversation with a customer, as [`crate::bot::service`] writes it.
pub const BOT_CONVERSATIONS: Space = Space(56);
/// ULID → an order, as [`crate::bot::service`] writes it.
pub const BOT_ORDERS: Space = Space(57);
/// The six digits of an order → its ULID in [`BOT_ORDERS`].
pub const BOT_ORDER_IDS: Space = Space(58);
/// Name → the bot's menu, settings, and place in the events, as [`crate::bot::service`] writes them.
pub const BOT: Space = Space(59);

/// Collection → [`super::records::CollectionRecord`].
pub const COLLECTIONS: Space = Space(128);
/// (collection, index MAC) → value MAC.
pub const MUTATION_MACS: Space = Space(129);
/// Group → the library's serialised metadata.
pub const GROUP_METADATA: Space = Space(131);
/// (group, device) → has our sender key, or not.
pub const SENDER_KEY_MARKS: Space = Space(132);
/// (address, message id) → base key of the session at the first retry.
pub const BASE_KEYS: Space = Space(133);
/// (chat, id) → [`super::records::SentMessageRecord`].
pub const SENT_MESSAGES: Space = Space(134);
/// (chat, sender, id) → [`super::records::MsgSecretRecord`].
pub const MSG_SECRETS: Space = Space(135);
/// (phone number, LID) → nothing: the index of [`LID_MAPPINGS`].
pub const LIDS_OF_NUMBERS: Space = Space(136);

/// Every space.
pub const TABLE: &[Row] = &[
    journaled(DEVICE, "device", Wipe::Dies, "without it the phone must scan again"),
    journaled(
        IDENTITIES,
        "identities",
        Wipe::Dies,
        "trust on first use: a lost one hides that a correspondent changed",
    ),
    journaled(
        SESSIONS,
        "sessions",
        Wipe::Dies,
        "ratchets and leases: a lost step costs retries, a lost lease reuses counters",
    ),
    journaled(SENDER_KEYS, "sender keys", Wipe::Dies, "as sessions, for groups"),
    journaled(
        PRE_KEYS,
        "pre-keys",
        Wipe::Dies,
        "WhatsApp hands them out for weeks: a lost one makes a first message unreadable",
    ),
    journaled(
        SIGNED_PRE_KEYS,
        "signed pre-keys",
        Wipe::Dies,
        "as pre-keys, and used by every first message until the next rotation",
    ),
    journaled(SYNC_KEYS, "app-state keys", Wipe::Dies, "only the phone can send them again"),
    journaled(
        LID_MAPPINGS,
        "LID mappings",
        Wipe::Dies,
        "sessions are filed by LID; and the library skips the write that gates pairing when it knows the own mapping, \
         so it must die with the credentials",
    ),
    journaled(
        PENDING_INBOUND,
        "pending inbound",
        Wipe::Stays,
        "a message already off the ratchet and not yet in the inbox",
    ),
    journaled(
        TC_TOKENS,
        "contact tokens",
        Wipe::Dies,
        "without them WhatsApp refuses sends (463) until the contact writes",
    ),
    journaled(
        DEVICE_LISTS,
        "device lists",
        Wipe::Dies,
        "the library leaves the first retry receipt of a device that it does not know unanswered; changes come while offline, too",
    ),
    journaled(
        EXPORTED,
        "exported",
        Wipe::Dies,
        "until the folder is complete nothing else has the device; the mark says that it must not connect from here",
    ),
    journaled(INBOX, "inbox", Wipe::Stays, "the messages"),
    journaled(OUTBOX, "outbox", Wipe::Stays, "the messages"),
    journaled(EVENTS, "events", Wipe::Stays, "each consumer gets each at least once"),
    journaled(SETTINGS, "settings", Wipe::Stays, "the tenant's own"),
    journaled(SEGMENTS, "segments", Wipe::Stays, "without its reference a piece of the history is nobody's"),
    journaled(
        WEBHOOK_FAILURES,
        "webhook failures",
        Wipe::Stays,
        "sent again when the tenant asks for it, however late",
    ),
    journaled(PEOPLE, "people", Wipe::Dies, "the phone tells them at the pairing, and later only what changes"),
    journaled(LABELS, "labels", Wipe::Dies, "as people"),
    journaled(LABELLED, "labelled chats", Wipe::Dies, "as people"),
    journaled(PAST, "told by the phone", Wipe::Dies, "a phone is asked once; the next may be another's"),
    journaled(
        BOT_CONVERSATIONS,
        "bot conversations",
        Wipe::Stays,
        "what a customer was asked, and how far the chat is answered: a lost one is answered twice or not at all",
    ),
    journaled(BOT_ORDERS, "bot orders", Wipe::Stays, "the truth of an order; everything else is a projection"),
    journaled(BOT_ORDER_IDS, "bot order ids", Wipe::Stays, "as bot orders: the way from the number that people say"),
    journaled(BOT, "bot", Wipe::Stays, "the restaurant's own: menu, hours, switches"),
    local(
        COLLECTIONS,
        "app-state versions",
        "version 0 makes the library fetch a snapshot at the next change. Kept, a cut between the two calls that write \
         a version and its MACs would restore one without the other, and every patch after it fails",
    ),
    local(
        MUTATION_MACS,
        "mutation MACs",
        "one a contact and chat setting, thousands, and of no use without their version",
    ),
    local(GROUP_METADATA, "group metadata", "asked again at the first send"),
    local(
        SENDER_KEY_MARKS,
        "sender-key marks",
        "a mark that outlives the key it speaks of leaves members with unreadable messages; without marks the key is sent again",
    ),
    local(BASE_KEYS, "base keys", "alive only between two retries of one message"),
    local(SENT_MESSAGES, "sent messages", "the outbox has them for longer, see `take_sent_message`"),
    local(
        MSG_SECRETS,
        "message secrets",
        "one a message, thousands at pairing; inbox and outbox hold the messages whole, their secrets too, for the \
         library's `original_message_resolver`",
    ),
    local(LIDS_OF_NUMBERS, "LIDs of numbers", "an index, built again from the mappings"),
];

const fn journaled(space: Space, name: &'static str, wipe: Wipe, reason: &'static str) -> Row {
    Row { space, name, home: Home::Journal, wipe, reason }
}

/// All that is local is the library's memory of the pairing, and dies with it.
const fn local(space: Space, name: &'static str, reason: &'static str) -> Row {
    Row { space, name, home: Home::Local, wipe: Wipe::Dies, reason }
}

pub fn home(space: Space) -> Home {
    TABLE.iter().find(|row| row.space == space).map_or(Home::Journal, |row| row.home)
}

/// The spaces that a wipe empties.
pub fn credentials() -> impl Iterator<Item = Space> {
    TABLE.iter().filter(|row| row.wipe == Wipe::Dies).map(|row| row.space)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_spaces_share_a_number_or_a_name() {
        assert_eq!(TABLE.iter().map(|row| row.space.0).collect::<HashSet<_>>().len(), TABLE.len());
        assert_eq!(TABLE.iter().map(|row| row.name).collect::<HashSet<_>>().len(), TABLE.len());
    }

    /// Vaults hold records under these numbers. This test is changed by adding lines only.
    #[test]
    fn numbers_are_for_ever() {
        let numbers: Vec<_> = TABLE.iter().map(|row| (row.space.0, row.name)).collect();
        let expected = [
            (1, "device"),
            (2, "identities"),
            (3, "sessions"),
            (4, "sender keys"),
            (5, "pre-keys"),
            (6, "signed pre-keys"),
            (7, "app-state keys"),
            (8, "LID mappings"),
            (9, "pending inbound"),
            (10, "contact tokens"),
            (11, "device lists"),
            (12, "exported"),
            (32, "inbox"),
            (33, "outbox"),
            (34, "events"),
            (35, "settings"),
            (36, "segments"),
            (40, "webhook failures"),
            (48, "people"),
            (49, "labels"),
            (50, "labelled chats"),
            (51, "told by the phone"),
            (56, "bot conversations"),
            (57, "bot orders"),
            (58, "bot order ids"),
            (59, "bot"),
            (128, "app-state versions"),
            (129, "mutation MACs"),
            (131, "group metadata"),
            (132, "sender-key marks"),
            (133, "base keys"),
            (134, "sent messages"),
            (135, "message secrets"),
            (136, "LIDs of numbers"),
        ];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn a_space_of_a_newer_build_is_kept() {
        assert_eq!(home(Space(77)), Home::Journal);
        assert!(credentials().all(|space| space != Space(77)));
    }
}

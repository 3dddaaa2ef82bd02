//! The labels: each has the values of an enum here and no others, so that no input of anybody makes a series. A test holds the guide to
//! them.

use std::marker::PhantomData;

use http::Method;

/// A label, with all its values.
pub trait LabelValue: Copy + 'static {
    const ALL: &'static [Self];

    fn text(self) -> &'static str;
    fn index(self) -> usize;
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $name { $($(#[$value_doc])* $value),* }

            impl LabelValue for $name {
                const ALL: &'static [Self] = &[$(Self::$value),*];

                fn text(self) -> &'static str {
                    match self { $(Self::$value => $text),* }
                }

                fn index(self) -> usize {
                    self as usize
                }
            }
        )*
    };
}

labels! {
    Direction { In = "in", Out = "out", }

    /// What a message says: `message::Content` without what it says.
    MessageKind {
        Text = "text",
        Image = "image",
        Video = "video",
        Audio = "audio",
        Document = "document",
        Sticker = "sticker",
        Location = "location",
        Contact = "contact",
        Poll = "poll",
        Vote = "vote",
        Reaction = "reaction",
        Edit = "edit",
        Revoke = "revoke",
        Choice = "choice",
        Order = "order",
        Product = "product",
        Mark = "mark",
        Unknown = "unknown",
        Undecryptable = "undecryptable",
    }

    /// `message::FailureReason`.
    SendFailure {
        Refused = "refused",
        NotOnWhatsapp = "not_on_whatsapp",
        Unconfirmed = "unconfirmed",
        Expired = "expired",
        OtherAccount = "other_account",
        Unsendable = "unsendable",
        Superseded = "superseded",
    }

    Consumer { SocketIo = "socketio", Webhook = "webhook", }

    /// `session::connection::disconnect::DisconnectReason` without its details.
    ConnectionEnd {
        LoggedOut = "logged_out",
        Unlinked = "unlinked",
        Replaced = "replaced",
        Banned = "banned",
        Outdated = "outdated",
        Refused = "refused",
        Unwell = "unwell",
        Dropped = "dropped",
        Unreachable = "unreachable",
        Unanswered = "unanswered",
        Garbled = "garbled",
        Quiet = "quiet",
        QrExhausted = "qr_exhausted",
        PairingFailed = "pairing_failed",
        OtherAccount = "other_account",
        PasskeyExpired = "passkey_expired",
        PasskeyFailed = "passkey_failed",
        GivenUp = "given_up",
        Stopped = "stopped",
        NoDescriptor = "no_descriptor",
    }

    PairingOutcome {
        Paired = "paired",
        NotScanned = "not_scanned",
        Failed = "failed",
        OtherAccount = "other_account",
        PasskeyExpired = "passkey_expired",
        PasskeyFailed = "passkey_failed",
        GivenUp = "given_up",
    }

    DeliveryOutcome {
        Taken = "taken",
        /// It answered, and not with 2xx.
        Refused = "refused",
        Unreachable = "unreachable",
        /// It took the request and did not answer in time.
        TimedOut = "timed_out",
    }

    /// What the vault is asked for.
    VaultOperation {
        Ping = "ping",
        DirectoryRead = "directory_read",
        DirectoryWrite = "directory_write",
        Append = "append",
        StartOver = "start_over",
        JournalRead = "journal_read",
        JournalWrite = "journal_write",
        JournalDelete = "journal_delete",
        SnapshotRead = "snapshot_read",
        SnapshotWrite = "snapshot_write",
        SnapshotDelete = "snapshot_delete",
        SegmentRead = "segment_read",
        SegmentWrite = "segment_write",
        SegmentDelete = "segment_delete",
        InstanceRead = "instance_read",
        InstanceWrite = "instance_write",
        LetterRead = "letter_read",
        LetterWrite = "letter_write",
        LetterDelete = "letter_delete",
        CheckValue = "check_value",
        AccessRead = "access_read",
        AccessWrite = "access_write",
    }

    VaultOutcome {
        Ok = "ok",
        /// Somebody else has written there, or what it stands on is gone: nothing was written.
        Conflict = "conflict",
        Unavailable = "unavailable",
        Refused = "refused",
        Malformed = "malformed",
        /// Nobody waited for the answer any longer.
        Abandoned = "abandoned",
    }

    /// Why this process opened a tenant: it had none, or its session ended by itself.
    TakeoverReason {
        First = "first",
        Moved = "moved",
        CopyFailed = "copy_failed",
        Crashed = "crashed",
        VaultRefused = "vault_refused",
    }

    /// What became of an ask for a tenant.
    GivingOutcome {
        Given = "given",
        /// It was let go of before, for a process that is gone.
        GivenAgain = "given_again",
        /// Somebody is pairing it, it has ended, or the asker does not stay.
        Kept = "kept",
        /// The vault did not take its last changes: it is kept, or offered when it has ended.
        Unwritten = "unwritten",
    }

    /// What the owner of a tenant answered before it was taken over.
    TakingOutcome { Given = "given", Silent = "silent", }

    /// What came of one try to have another process answer a request.
    ForwardOutcome {
        /// Its answer went to the client, whatever it was.
        Answered = "answered",
        /// It does not have the tenant.
        Elsewhere = "elsewhere",
        /// As many are under way as may be.
        Busy = "busy",
        /// It has not heard of the request.
        Unreached = "unreached",
        /// It does not speak.
        Silent = "silent",
        /// It may have begun, and its answer did not come.
        Unanswered = "unanswered",
    }

    FetchOutcome {
        Fetched = "fetched",
        Offline = "offline",
        Gone = "gone",
        Damaged = "damaged",
        TooLarge = "too_large",
        Hosts = "hosts",
        Storage = "storage",
        Unknown = "unknown",
        Slow = "slow",
        TooMany = "too_many",
    }

    /// What a turn of the bot's came to.
    BotTurnOutcome {
        /// It says something.
        Replied = "replied",
        /// It has nothing to say, or may not.
        Silent = "silent",
        /// The engine crashed: the chat waits for a human.
        Broke = "broke",
    }

    BotOrderOutcome { Placed = "placed", Delivered = "delivered", Cancelled = "cancelled", }

    /// What came of a question to the language model.
    ModelOutcome {
        Read = "read",
        Nothing = "nothing",
        Refused = "refused",
        Late = "late",
        Failed = "failed",
        Busy = "busy",
        Resting = "resting",
        Menu = "menu",
    }

    WebhookState { Ok = "ok", Failing = "failing", Gone = "gone", }

    DocumentOperation { Read = "read", Write = "write", Delete = "delete", }
}

impl ConnectionEnd {
    /// How a pairing went that ends so; `None`: it is no pairing's end.
    pub(super) fn pairing(self) -> Option<PairingOutcome> {
        Some(match self {
            Self::QrExhausted => PairingOutcome::NotScanned,
            Self::PairingFailed => PairingOutcome::Failed,
            Self::OtherAccount => PairingOutcome::OtherAccount,
            Self::PasskeyExpired => PairingOutcome::PasskeyExpired,
            Self::PasskeyFailed => PairingOutcome::PasskeyFailed,
            Self::GivenUp => PairingOutcome::GivenUp,
            _ => return None,
        })
    }
}

/// The route of requests that no route is for.
pub const UNMATCHED: &str = "unmatched";

/// HTTP takes any word as a method.
pub(super) fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| method.as_str() == *known).unwrap_or("other")
}

/// One meter for each value of a label.
pub(super) struct By<L, M> {
    meters: Vec<M>,
    label: PhantomData<L>,
}

impl<L: LabelValue, M> By<L, M> {
    pub fn new(make: impl Fn(L) -> M) -> Self {
        Self { meters: L::ALL.iter().map(|value| make(*value)).collect(), label: PhantomData }
    }

    pub fn at(&self, value: L) -> &M {
        &self.meters[value.index()]
    }
}

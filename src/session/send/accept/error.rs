//! Why a request did not become a message, in all its kinds. Sends nothing, and has no words for HTTP.

use std::time::Duration;

use crate::{
    message::{Delivery, Failure, Flaw},
    pacing::Held,
    session::{End, RequestError},
};

/// Why a message was not accepted. Nothing was sent and nothing will be, but for [`Self::OutcomeUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("the session is not connected to WhatsApp")]
    NotConnected,
    /// The next session can be asked.
    #[error("the session is over: {0}")]
    Ended(End),
    #[error("the recipient is neither a phone number nor a jid")]
    Recipient,
    #[error(transparent)]
    Draft(#[from] Flaw),
    /// The message that it answers or is about is not kept here.
    #[error("there is no such message here")]
    UnknownMessage,
    /// WhatsApp takes edits of a message for so long.
    #[error("the message is older than {0:?}")]
    EditTooLate(Duration),
    /// Of those whom a status is for.
    #[error("nobody whom the status is for is on WhatsApp")]
    NobodyKnown,
    /// Why not.
    #[error("{0}")]
    NotInChannels(&'static str),
    /// Nothing was written.
    #[error("the vault does not answer")]
    VaultDown,
    /// It was written, and the vault has not confirmed it in time. As long as this process lives it will be sent; should it die, only
    /// the vault knows.
    #[error("the vault has not confirmed the message {id} yet")]
    OutcomeUnknown { id: String },
    /// The idempotency key was used for another message.
    #[error("the idempotency key was used for another message")]
    KeyReused,
    /// It is the id of a message that somebody else wrote here, or the owner on the phone.
    #[error("a message of this id is there already")]
    IdTaken,
    /// A repeat of what was accepted for the account that was paired before: it is not sent from another number.
    #[error("the message {id} was accepted for another account")]
    OtherAccount { id: String, delivery: Delivery, failure: Option<Failure> },
    #[error("the file has more than {0} bytes")]
    TooLarge(u64),
    /// The file's URL did not give it; in words for whoever named it.
    #[error("the file cannot be fetched: {0}")]
    Unfetched(String),
    /// A first message to somebody who never wrote would not leave in its time.
    #[error("too many first messages to strangers: {}", .0.reason.words())]
    Strangers(Held),
    /// So much was accepted and is not sent that more would harm everybody.
    #[error("as much waits to be sent as may")]
    BacklogFull,
    /// Others that send files have all places.
    #[error("too many files are on their way")]
    Busy,
    /// Others that read conversations have all places, or the disk is slow.
    #[error("too many conversations are being read")]
    ReadersBusy,
    /// WhatsApp's media hosts do not take the file now.
    #[error("WhatsApp's media hosts do not answer")]
    MediaDown,
    /// WhatsApp takes no file, with its code.
    #[error("WhatsApp takes no file: {0}")]
    RefusedFile(u16),
    #[error("the local disk fails")]
    Disk,
    /// The tenant asks WhatsApp for more of it than is good for the account.
    #[error("too many requests")]
    TooMany { wait: Duration },
    /// WhatsApp was asked whom it is for, and does not say.
    #[error(transparent)]
    Unasked(RequestError),
}

impl From<RequestError> for AcceptError {
    fn from(refused: RequestError) -> Self {
        match refused {
            RequestError::NotConnected => Self::NotConnected,
            RequestError::Ended(end) => Self::Ended(end),
            RequestError::Input { field, expected } => Self::Draft(Flaw { field, expected: expected.to_owned() }),
            RequestError::TooMany { wait } => Self::TooMany { wait },
            other => Self::Unasked(other),
        }
    }
}

impl From<End> for AcceptError {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

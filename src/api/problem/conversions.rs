//! The problem that each error of the parts below becomes. A caller reads its words: they name no internals.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;

use super::{FieldError, Problem};
use crate::{
    api::stream,
    fleet::FleetError,
    listener::RequestRejection,
    message::Flaw,
    session::{AcceptError, End, HistoryError, PasskeyStepError, RequestError},
    store::StoreError,
};

impl From<RequestRejection> for Problem {
    fn from(rejection: RequestRejection) -> Self {
        match rejection {
            RequestRejection::TooManyConnections => Self::too_many(Duration::from_secs(1))
                .detailed("this address has as many connections as it may: use them again, or close some"),
            RequestRejection::Hosts => Self::invalid("The request names more than one host", Vec::new()),
            RequestRejection::NoWebSocket => Self::unavailable("busy", "There are as many WebSockets as there may be"),
        }
    }
}

impl From<FleetError> for Problem {
    fn from(error: FleetError) -> Self {
        match error {
            FleetError::Draining => Self::unavailable("draining", "The daemon is stopping"),
            FleetError::Unknown => Self::unknown_tenant(),
            FleetError::NotOpen => Self::not_connected(),
            FleetError::Unconfirmed => Self::unreadable(StoreError::Unconfirmed),
            FleetError::VaultDown => Self::unavailable("vault_down", "The vault does not answer"),
            FleetError::Restoring => Self::unavailable("restoring", "The session is being restored: try again"),
            FleetError::Moved => Self::owned_elsewhere(),
            FleetError::Exported(where_to) => Self::conflict(
                "exported",
                "The tenant has moved out",
                format!("it was {where_to}; log it out, or delete it, to pair it anew"),
            ),
            FleetError::Failed(reason) => Self::conflict("session_failed", "The session cannot be opened", reason),
        }
    }
}

impl From<End> for Problem {
    fn from(end: End) -> Self {
        match end {
            End::Moved => Self::owned_elsewhere(),
            End::CopyFailed(_) | End::Crashed | End::VaultRefused(_) => {
                let mut problem = Self::from(FleetError::Restoring);
                problem.detail = Some(end.to_string());
                problem
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::unreadable(error)
    }
}

impl From<RequestError> for Problem {
    fn from(refused: RequestError) -> Self {
        match refused {
            RequestError::NotConnected => Self::not_connected(),
            RequestError::Ended(end) => end.into(),
            RequestError::Unreachable => Self::unavailable("whatsapp_unreachable", "WhatsApp does not answer now"),
            RequestError::Unreadable => {
                let mut problem =
                    Self::unprocessable("whatsapp_unreadable", "WhatsApp answers, and the answer cannot be read");
                problem.detail = Some("asking again would bring the same: the daemon may be too old".to_owned());
                problem
            }
            RequestError::NoKeys => Self::conflict(
                "no_settings_keys",
                "The phone has not shared the keys of its settings",
                "switch the phone on, and try again later",
            ),
            RequestError::NameTaken(what) => Self::conflict(
                "name_taken",
                "There is one of this name already",
                format!("another {what} has this name"),
            ),
            RequestError::Full { most, of } => {
                let mut problem = Self::unprocessable("limit_reached", "There are as many as WhatsApp allows");
                problem.detail = Some(format!("at most {most} {of}"));
                problem
            }
            RequestError::Input { field, expected } => Self::invalid(
                format!("{field}: {expected}"),
                vec![FieldError { field: field.into(), message: expected.to_owned() }],
            ),
            RequestError::Unknown(what) => {
                let mut problem = Self::missing("not_at_whatsapp", "WhatsApp knows no such thing");
                problem.detail = Some(format!("there is no such {what}"));
                problem
            }
            RequestError::NotAllowed => Self::forbidden("WhatsApp does not allow this to this account"),
            RequestError::Conflict => Self::conflict(
                "conflict_at_whatsapp",
                "WhatsApp has it otherwise",
                "it was changed meanwhile, or is so already; look again",
            ),
            RequestError::TooMany { wait } => Self::too_many(wait),
            RequestError::WhatsApp(said) => {
                let mut problem =
                    Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused_by_whatsapp", "WhatsApp refuses this");
                problem.detail = Some(said);
                problem
            }
            RequestError::ReadersBusy => stream::busy(),
            RequestError::Store(error) => Self::unreadable(error),
        }
    }
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Refused(refused) => refused.into(),
            HistoryError::NothingKnown => Self::conflict(
                "nothing_known",
                "No message of this chat is known",
                "the phone is asked for what is older than a message: the first must come by itself",
            ),
            HistoryError::Busy { wait } => Self::too_many(wait),
            HistoryError::Silent => {
                Self::unavailable("phone_silent", "The phone does not answer: is it switched on, and online?")
            }
            HistoryError::Unreadable => Self::unavailable("phone_unreadable", "The phone's answer cannot be read"),
            HistoryError::VaultDown => Self::unavailable("vault_down", "The vault does not answer"),
        }
    }
}

impl From<PasskeyStepError> for Problem {
    fn from(refused: PasskeyStepError) -> Self {
        match refused {
            PasskeyStepError::NotAsked => {
                Self::conflict("no_passkey", "WhatsApp asks for no passkey now", "begin to pair, and scan the QR code")
            }
            PasskeyStepError::NotNow(detail) => {
                Self::conflict("passkey_step", "The pairing with a passkey is at another step", detail)
            }
            PasskeyStepError::Wrong { field, expected } => {
                let mut problem = Self::unprocessable("wrong_assertion", "This answers another challenge");
                problem.errors = vec![FieldError { field: field.into(), message: expected.to_owned() }];
                problem
            }
            PasskeyStepError::WhatsApp(said) => {
                let mut problem = Self::unprocessable("refused_by_whatsapp", "WhatsApp refuses the passkey");
                problem.detail = Some(format!("{said}: begin again with a new QR code"));
                problem
            }
            PasskeyStepError::Lost => Self::unavailable("whatsapp_unreachable", "WhatsApp does not answer now"),
        }
    }
}

impl From<AcceptError> for Problem {
    fn from(refused: AcceptError) -> Self {
        match refused {
            AcceptError::NotConnected => Self::not_connected(),
            AcceptError::Ended(end) => end.into(),
            AcceptError::Recipient => {
                let message = "expected a phone number with its country code, or a jid".to_owned();
                Self::invalid(message.clone(), vec![FieldError { field: "to".into(), message }])
            }
            AcceptError::Draft(Flaw { field, expected }) => Self::invalid(
                format!("{field}: {expected}"),
                vec![FieldError { field: field.into(), message: expected }],
            ),
            AcceptError::NotInChannels(reason) => {
                let mut problem = Self::unprocessable("not_in_channels", "This cannot be said in a channel");
                problem.detail = Some(reason.to_owned());
                problem
            }
            AcceptError::UnknownMessage => {
                Self::new(StatusCode::NOT_FOUND, "unknown_message", "There is no such message here")
            }
            AcceptError::EditTooLate(window) => {
                let mut problem = Self::unprocessable("edit_too_late", "The message is too old to be edited");
                problem.detail =
                    Some(format!("WhatsApp takes edits for {} minutes: send another message", window.as_secs() / 60));
                problem
            }
            AcceptError::NobodyKnown => Self::conflict(
                "nobody_known",
                "Nobody is known to whom it could go",
                "name somebody in contacts who is on WhatsApp",
            ),
            AcceptError::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This key, or this `id`, was used for another message",
            ),
            AcceptError::IdTaken => Self::conflict(
                "id_taken",
                "A message of this id is there already",
                "somebody else wrote it, or the owner on the phone: leave `id` out, or make a new one",
            ),
            AcceptError::OtherAccount { id, delivery, failure } => {
                let why = failure.map(|failure| format!(" ({failure})")).unwrap_or_default();
                let mut problem = Self::conflict(
                    "other_account",
                    "The message was accepted for the account that was paired before",
                    format!("it is `{}`{why}, and is not sent again from another number", delivery.as_str()),
                );
                problem.message_id = Some(Box::new(id));
                problem
            }
            AcceptError::Strangers(held) => {
                let mut problem = Self::unprocessable("bulk_to_strangers", "Too many first messages to strangers");
                let until = Timestamp::from_millisecond(held.until_ms).unwrap_or(Timestamp::MAX);
                problem.detail = Some(format!("{}: it could not leave before {until:.0}", held.reason.words()));
                problem
            }
            AcceptError::TooLarge(limit) => Self::too_large(limit, "a file of this kind"),
            AcceptError::Unfetched(reason) => {
                let mut problem = Self::unprocessable("file_unavailable", "The file's URL does not give it");
                problem.detail = Some(reason);
                problem
            }
            AcceptError::BacklogFull => {
                let title = "As much waits to be sent as may: nothing was sent";
                let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "backlog_full", title);
                problem.detail = Some("what waits goes when WhatsApp is reached, or expires".to_owned());
                problem.retry_after_s = Some(30);
                problem
            }
            AcceptError::Busy => Self::unavailable("busy", "Too many files are on their way: nothing was sent"),
            AcceptError::ReadersBusy => stream::busy(),
            AcceptError::MediaDown => {
                Self::unavailable("media_down", "WhatsApp's media hosts do not answer: nothing was sent")
            }
            AcceptError::RefusedFile(code) => {
                let mut problem = Self::unprocessable("refused_by_whatsapp", "WhatsApp refuses this");
                problem.detail = Some(format!("WhatsApp takes no file: {code}"));
                problem
            }
            AcceptError::TooMany { wait } => Self::too_many(wait),
            AcceptError::Unasked(refused) => refused.into(),
            AcceptError::Disk => Self::unavailable("storage", "The local disk fails: nothing was sent"),
            AcceptError::VaultDown => Self::unavailable("vault_down", "The vault does not answer: nothing was sent"),
            AcceptError::OutcomeUnknown { id } => {
                let title = "The vault has not confirmed the message: it may still be sent";
                let mut problem = Self::unavailable("send_outcome_unknown", title);
                problem.detail =
                    Some("repeat the request with the same Idempotency-Key: it is the same message".into());
                problem.message_id = Some(Box::new(id));
                problem
            }
        }
    }
}

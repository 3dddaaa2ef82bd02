//! The table from send error to what happens to the message. Pure.
//!
//! A refusal is an answer. What WhatsApp refuses for good is final; what it cannot do now, and what it does not answer, is tried
//! again; a line that is gone says nothing of the message.

use std::time::Duration;

use whatsapp_rust::{ClientError, ErrorChainExt as _, SendError};

use crate::{
    message::{Failure, FailureReason},
    session::connection::disconnect::is_passing,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Trying again would end the same way.
    Final(Failure),
    /// Not now; after so long at the earliest, where WhatsApp says so.
    Later(Option<Duration>),
    /// There was no answer to a request that goes with the message.
    Unanswered,
    /// The library cannot do it, and does not say why.
    Broken,
    /// The connection ends.
    LineGone,
}

/// The library's sentence for a status of which WhatsApp knows nobody whom it is for; it has no type for it.
const NO_VIEWERS: &str = "No valid status recipients after LID resolution";

/// The tenant has asked WhatsApp for as many people as it may for now.
#[derive(Debug, thiserror::Error)]
#[error("the allowance of lookups is used up for {} s", wait.as_secs_f32())]
pub struct LookupsSpentError {
    pub wait: Duration,
}

impl Judgement {
    pub fn of(error: &SendError) -> Self {
        if let SendError::InvalidRequest(_) = error {
            return Self::Final(FailureReason::Unsendable.into());
        }
        if let Some(rejection) = error.server_rejection() {
            let asks_to_wait = rejection.error_type == Some("wait") || rejection.backoff.is_some();
            return match is_passing(rejection.code) || asks_to_wait {
                true => Self::Later(rejection.backoff.map(|seconds| Duration::from_secs(seconds.into()))),
                false => Self::Final(Failure::refused(Some(rejection.code))),
            };
        }
        if let Some(spent) = error.sources().find_map(|cause| cause.downcast_ref::<LookupsSpentError>()) {
            return Self::Later(Some(spent.wait));
        }
        if error.is_timeout() {
            return Self::Unanswered;
        }
        if error.is_transport_unavailable() {
            return Self::LineGone;
        }
        // The working copy: it says of itself what is wrong.
        if error.store_failure().is_some() {
            return Self::Later(None);
        }
        match error {
            SendError::NotLoggedIn | SendError::Client(ClientError::NotLoggedIn) => Self::LineGone,
            SendError::Internal(cause) if cause.to_string() == NO_VIEWERS => {
                Self::Final(FailureReason::NotOnWhatsapp.into())
            }
            _ => Self::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::{
        Jid, anyhow,
        request::IqError,
        socket::error::{EncryptSendError, SocketError},
        wacore::send::assemble_status_participants,
        wacore_binary::error::BinaryError,
    };

    use super::*;

    fn refusal(code: u16, error_type: Option<&str>, backoff: Option<u32>) -> IqError {
        IqError::ServerError { code, text: String::new(), error_type: error_type.map(str::to_owned), backoff }
    }

    #[test]
    fn a_refusal_is_final_wherever_it_is_wrapped() {
        for code in [400, 401, 403, 404, 405, 406, 409, 410, 419, 463, 479] {
            let gone = Judgement::Final(Failure::refused(Some(code)));
            assert_eq!(Judgement::of(&SendError::Iq(refusal(code, None, None))), gone);
            assert_eq!(Judgement::of(&SendError::Client(ClientError::Iq(refusal(code, None, None)))), gone);
            let wrapped = anyhow::Error::from(refusal(code, None, None)).context("group");
            assert_eq!(Judgement::of(&SendError::Internal(wrapped)), gone);
        }
        let nonsense = SendError::InvalidRequest("no".into());
        assert_eq!(Judgement::of(&nonsense), Judgement::Final(FailureReason::Unsendable.into()));
    }

    /// It would hold up all later ones.
    #[test]
    fn a_status_that_nobody_can_see_has_failed() {
        let nobody = assemble_status_participants([None, None], &Jid::lid("100000000000001")).unwrap_err();
        let failed = Judgement::Final(FailureReason::NotOnWhatsapp.into());
        assert_eq!(Judgement::of(&SendError::Internal(nobody)), failed);
    }

    #[test]
    fn what_passes_is_tried_again() {
        for code in [408, 429, 500, 503] {
            assert_eq!(Judgement::of(&SendError::Iq(refusal(code, None, None))), Judgement::Later(None));
        }
        let spent = LookupsSpentError { wait: Duration::from_secs(3) };
        assert_eq!(Judgement::of(&SendError::Internal(spent.into())), Judgement::Later(Some(Duration::from_secs(3))));
        let wait = SendError::Iq(refusal(419, Some("wait"), Some(7)));
        assert_eq!(Judgement::of(&wait), Judgement::Later(Some(Duration::from_secs(7))));
    }

    #[test]
    fn silence_and_a_lost_line_are_told_apart() {
        assert_eq!(Judgement::of(&SendError::Iq(IqError::Timeout)), Judgement::Unanswered);
        for lost in
            [SendError::Iq(IqError::NotConnected), SendError::NotLoggedIn, IqError::InternalChannelClosed.into()]
        {
            assert_eq!(Judgement::of(&lost), Judgement::LineGone);
        }
        let unknown = SendError::Internal(anyhow::anyhow!("encryption failed for all 2 recipient device(s)"));
        assert_eq!(Judgement::of(&unknown), Judgement::Broken);
    }

    /// The library refuses what it cannot write, and the connection goes on: no word of the line's end.
    #[test]
    fn what_cannot_be_written_is_the_messages_fault() {
        let too_large = || anyhow::anyhow!("a frame has 16 MiB at the most");
        let errors: [ClientError; 4] = [
            SocketError::Marshal(BinaryError::EmptyData).into(),
            EncryptSendError::framing(too_large()).into(),
            EncryptSendError::crypto(too_large()).into(),
            EncryptSendError::join(too_large()).into(),
        ];
        for error in errors {
            assert_eq!(Judgement::of(&SendError::Client(error)), Judgement::Broken);
        }
        for lost in [EncryptSendError::poisoned(), EncryptSendError::channel_closed()] {
            assert_eq!(Judgement::of(&SendError::Client(lost.into())), Judgement::LineGone);
        }
    }
}

//! Which requests are the same message: its id, made from the client's key, and the digest of what was asked for. A repeat is told of
//! the first. Writes nothing.

use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use whatsapp_rust::{Jid, waproto::codec};

use super::AcceptError;
use crate::{
    message::{Accepted, SendRequest},
    session::{
        Session,
        send::compose::{ComposeContext, Composed, recompose},
    },
    tenant::TenantId,
};

impl Session {
    /// Whether a message that a client names so can be told from those of the chat.
    pub(super) async fn check_id(&self, id: &str, names: &[Jid]) -> Result<(), AcceptError> {
        for name in names {
            let found = self.0.inbox.find(&name.to_string(), id).await.map_err(|error| self.lookup_error(&error))?;
            if found.is_some() {
                return Err(AcceptError::IdTaken);
            }
        }
        Ok(())
    }

    pub(super) async fn is_of_former_account(&self, known: &Accepted) -> Result<bool, AcceptError> {
        if known.chat.is_empty() {
            return Ok(true);
        }
        let account = self.status().phone_number;
        if known.account.is_empty() || account.as_ref().is_none_or(|account| *account == known.account) {
            return Ok(false);
        }
        // A person who changes the number stays the same account.
        let own = self.0.store.own_account().await.map_err(|error| self.lookup_error(&error))?;
        Ok(!own.is_some_and(|own| own.has_had(&known.account)))
    }

    pub(in crate::session) async fn accepted(&self, id: &str) -> Result<Option<Accepted>, AcceptError> {
        self.0.outbox.accepted(id).await.map_err(|error| self.lookup_error(&error))
    }

    /// An id that a client may give to a message.
    pub fn new_message_id(&self) -> String {
        message_id(&self.0.tenant, None)
    }
}

/// The same request, what it is about named as the chat is in `names[at]`.
pub(super) fn under_name(request: &SendRequest, names: &[Jid], at: usize) -> SendRequest {
    let mut request = request.clone();
    if let Some(target) = request.draft.target_mut()
        && target.sender.parse::<Jid>().is_ok_and(|sender| names.contains(&sender.to_non_ad()))
    {
        target.sender = names[at].to_string();
    }
    request
}

/// Of what a consumer asked for, so that a repeat can be told from another message.
fn digest(chat: &Jid, request: &SendRequest) -> [u8; 32] {
    let said = serde_json::to_vec(&(&request.draft, &request.answers)).unwrap_or_default();
    Sha256::new().chain_update(chat.to_string()).chain_update([0]).chain_update(said).finalize().into()
}

/// As [`digest`]; of a repeat that of the first, which may have been accepted when the chat had another of its names.
pub(super) fn digest_of(known: Option<&Accepted>, names: &[Jid], request: &SendRequest) -> [u8; 32] {
    let mut digests = (0..names.len()).map(|at| digest(&names[at], &under_name(request, names, at)));
    let first = known.and_then(|known| digests.find(|digest| known.digest == *digest));
    first.unwrap_or_else(|| digest(&names[0], request))
}

/// What was accepted before under the same id: a file is uploaded once.
pub(super) fn repeated(
    known: &Accepted,
    digest: &[u8; 32],
    setting: &ComposeContext<'_>,
) -> Result<Composed, AcceptError> {
    if known.digest != *digest {
        return Err(AcceptError::KeyReused);
    }
    let message = codec::message_decode(&known.body).map_err(|_| AcceptError::UnknownMessage)?;
    Ok(recompose(message, setting))
}

/// In the form of WhatsApp Web's ids: random, or made from the key.
#[expect(clippy::disallowed_methods, reason = "an id is made here")]
pub(super) fn message_id(tenant: &TenantId, key: Option<&str>) -> String {
    let mut id = [0; 9];
    match key {
        Some(key) => {
            let digest = Sha256::new().chain_update(tenant.as_str()).chain_update([0]).chain_update(key).finalize();
            id.copy_from_slice(&digest[..9]);
        }
        None => rand::rng().fill_bytes(&mut id),
    }
    format!("3EB0{}", hex::encode_upper(id))
}

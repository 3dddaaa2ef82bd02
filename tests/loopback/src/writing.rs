//! How device 0 of an account writes: to every device of the addressee and every other of its own, each with its
//! own ciphertext; and again to one that asks for it.

use wacore::adv::{AdvValidation, validate_adv_with_identity_key};
use wacore::messages::{MessageUtils, wrap_device_sent};
use wacore::protocol::retry::MAX_RETRY_COUNT;
use wacore_binary::{Jid, Node};
use waproto::whatsapp as wa;

use crate::account::{AccountId, DeviceAddress, Form};
use crate::contact::Refused;
use crate::keys::read_retry_keys;
use crate::routing::{Envelope, enc_node};
use crate::signal::{Bundle, Sealed};
use crate::stanza::{attr, child};
use crate::world::World;

/// A message that was written, kept for retries.
#[derive(Clone)]
pub(crate) struct Sent {
    to: AccountId,
    form: Form,
    message: wa::Message,
    category: Option<&'static str>,
}

impl World {
    /// A `<receipt>` arrived. Only one that asks again wants anything.
    pub(crate) fn contact_receipt(&mut self, account: AccountId, from: DeviceAddress, stanza: &Node) {
        let Some(retry) = child(stanza, "retry") else {
            return;
        };
        let count: u8 = attr(retry, "count").and_then(|c| c.parse().ok()).unwrap_or(1);
        let Some(id) = attr(stanza, "id") else { return };
        let Some(sent) = self.directory.get(account).contact.sent.get(id.as_ref()).cloned() else {
            return;
        };
        let addressed = from.account == sent.to || from.account == account;
        if count >= MAX_RETRY_COUNT || !addressed {
            return;
        }
        let bundle = read_retry_keys(stanza).or_else(|| self.take_bundle(from));
        let Some(bundle) = bundle else { return };
        if let Err(reason) = self.start_session(account, from, &bundle) {
            tracing::warn!(message = %id, %from, %reason, "cannot answer a retry receipt");
            return;
        }
        self.write_to(account, &id, &sent, &[from], true);
    }

    /// The owner of a phone or a customer writes: to every device of the addressee and every other of its own.
    pub(crate) fn write(&mut self, account: AccountId, to: &str, text: &str) -> Result<String, String> {
        let peer = self.directory.find_text(to).ok_or_else(|| format!("nobody has the number {to}"))?;
        if peer == account {
            return Err("nobody writes to themselves here".to_owned());
        }
        let contact = &self.directory.get(account).contact;
        let form = match to.parse::<Jid>() {
            Ok(jid) if to.contains('@') => Form::of(&jid),
            _ => contact.forms.get(&peer).copied().unwrap_or(self.addressing),
        };
        let message = wa::Message { conversation: Some(text.to_owned()), ..Default::default() };
        let sent = Sent { to: peer, form, message, category: None };
        let id = self.message_id();
        let devices = |account: AccountId| {
            let companions = self.directory.get(account).companions.keys().map(move |d| account.device(*d));
            std::iter::once(account.primary()).chain(companions)
        };
        let targets: Vec<DeviceAddress> =
            devices(peer).chain(devices(account)).filter(|a| *a != account.primary()).collect();
        self.directory.get_mut(account).contact.sent.insert(id.clone(), sent.clone());
        self.archive(account, account, &id, &sent.message);
        self.write_to(account, &id, &sent, &targets, false);
        self.deliver_mail();
        Ok(id)
    }

    /// A phone writes to one of its own devices, as apps do among themselves.
    pub(crate) fn write_peer(&mut self, device: DeviceAddress, message: wa::Message) {
        let sent = Sent { to: device.account, form: Form::Pn, message, category: Some("peer") };
        let id = self.message_id();
        self.directory.get_mut(device.account).contact.sent.insert(id.clone(), sent.clone());
        self.write_to(device.account, &id, &sent, &[device], false);
    }

    fn write_to(&mut self, account: AccountId, id: &str, sent: &Sent, targets: &[DeviceAddress], resend: bool) {
        let from = account.primary();
        let chat = sent.form.jid(sent.to.primary());
        let plain = MessageUtils::encode_and_pad(&sent.message);
        let copy = || MessageUtils::encode_and_pad(&wrap_device_sent(sent.message.clone(), chat.to_string()));
        let envelope = Envelope { from, to: &chat, id, kind: "text", category: sent.category, device_identity: None };
        let time = self.time_ms();
        self.ledger.message(&envelope, time, resend);
        self.ledger.acked(from, id);
        for target in targets {
            let own = target.account == account && sent.category.is_none();
            let sealed = if own { self.seal(account, *target, &copy()) } else { self.seal(account, *target, &plain) };
            match sealed {
                Ok(sealed) => {
                    let enc = enc_node(sealed.kind, sealed.bytes);
                    self.forward(&envelope, &sent.form.jid(*target), *target, &[enc]);
                }
                Err(reason) => tracing::warn!(message = %id, %target, %reason, "cannot encrypt"),
            }
        }
    }

    fn seal(&mut self, account: AccountId, to: DeviceAddress, plaintext: &[u8]) -> Result<Sealed, Refused> {
        let peer = to.protocol_address();
        if !self.directory.get(account).contact.endpoint.has_session(&peer) {
            let bundle = self.take_bundle(to).ok_or(Refused::NoKeys)?;
            self.start_session(account, to, &bundle)?;
        }
        Ok(self.directory.get_mut(account).contact.endpoint.encrypt(&peer, plaintext)?)
    }

    fn start_session(&mut self, account: AccountId, with: DeviceAddress, bundle: &Bundle) -> Result<(), Refused> {
        if with.device != 0 {
            self.verify_device(with, bundle.device_identity.as_deref(), &bundle.identity)?;
        }
        let endpoint = &mut self.directory.get_mut(account).contact.endpoint;
        Ok(endpoint.start_session(&with.protocol_address(), bundle, &mut self.rng)?)
    }

    /// A linked device is who its account says it is.
    pub(crate) fn verify_device(
        &self,
        device: DeviceAddress,
        signed: Option<&[u8]>,
        identity: &[u8; 32],
    ) -> Result<(), Refused> {
        let owner = self.directory.get(device.account).contact.endpoint.identity();
        let by_owner = signed
            .and_then(|bytes| waproto::codec::adv_signed_device_identity_decode(bytes).ok())
            .is_some_and(|id| id.account_signature_key.is_none_or(|key| key.is_empty() || key == owner));
        match validate_adv_with_identity_key(signed.unwrap_or_default(), identity, Some(&owner)) {
            AdvValidation::Valid if by_owner => Ok(()),
            _ => Err(Refused::Identity),
        }
    }
}

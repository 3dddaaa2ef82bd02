//! The running network: its listener, its connections, and the methods a test or the control API calls.
//!
//! `shutdown` ends every task it began. How the world is reached is in `shell`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::timeout;
use wacore::download::MediaType;
use waproto::whatsapp::message::ImageMessage;

use crate::account::{AccountId, Form, Kind};
use crate::adoption::AdoptedDevice;
use crate::app_state::Setting;
use crate::calls::{Call, CallEnd};
use crate::channels::{ChannelInfo, ChannelPost};
use crate::contact::Contact;
use crate::control;
use crate::faults::Fault;
use crate::groups::{Change, GroupId, GroupInfo, GroupRules};
use crate::history::Lie;
use crate::inbox::Received;
use crate::ledger::WireMessage;
use crate::link_code::TypedCode;
use crate::media::{Authority, host};
use crate::pairing::Qr;
use crate::passkey::Passkey;
use crate::phone::PhoneState;
use crate::presence::{ChatState, Seen};
use crate::profile::ProfileInfo;
use crate::say::Say;
use crate::shell::Shared;
use crate::stats::Stats;
use crate::world::{Babble, Effect, Ticket, World};

/// How long a client may take to sign its identity once it is offered.
const PAIRING_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the media host listens; port 0 takes a free one. Clients are told this address.
    pub media: SocketAddr,
    /// Where the HTTP control API listens, if anywhere.
    pub control: Option<SocketAddr>,
    /// Makes keys, ids and everything else random repeatable.
    pub seed: Option<u64>,
    /// How a customer addresses somebody who never wrote to them.
    pub addressing: Form,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen: free, media: free, control: None, seed: None, addressing: Form::Pn }
    }
}

/// Why a request to the network failed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum NetworkError {
    #[error("nobody has the number {0}")]
    UnknownNumber(String),
    #[error("{0}")]
    Refused(String),
}

/// An account, under both its names.
#[derive(Debug, Clone, Serialize)]
pub struct PhoneInfo {
    pub number: String,
    pub jid: String,
    pub lid: String,
    pub name: String,
    /// How many devices were ever linked to it: a rescan shows here.
    pub pairings: u64,
}

/// Counters of one ratchet that are noted as used.
const MOST_SENT: u32 = 100_000;

#[derive(Debug, Clone, Serialize)]
pub struct DeviceInfo {
    pub id: u16,
    pub jid: String,
    pub online: bool,
    /// Unix time in seconds.
    pub paired_at: u64,
    pub logins: u64,
    /// How long it was offline before its last login; 0 when that login replaced another.
    pub offline_ms: u64,
    /// One-time pre-keys left.
    pub pre_keys: usize,
    /// The highest id of those.
    pub newest_pre_key: Option<u32>,
    /// Id of the signed pre-key that bundles carry.
    pub signed_pre_key: u32,
    /// Ids of messages that wait or were not acknowledged, oldest first.
    pub waiting: Vec<String>,
}

/// A handle to the network; clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

impl Network {
    /// Binds and begins to serve.
    pub async fn start(config: NetworkConfig) -> io::Result<Self> {
        let mut world = World::new(config.seed, config.addressing);
        let listener = TcpListener::bind(config.listen).await?;
        let control = match config.control {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let media = TcpListener::bind(config.media).await?;
        let media_address = media.local_addr()?;
        world.media.hostname = media_address.to_string();
        let authority = Authority::generate(media_address.ip()).map_err(io::Error::other)?;
        let control_address = control.as_ref().map(TcpListener::local_addr).transpose()?;
        let shared = Arc::new(Shared::new(world, listener.local_addr()?, control_address, authority.pem.clone()));
        shared.open(listener);
        shared.tasks.spawn(host::serve(Arc::clone(&shared), media, authority));
        let network = Self(shared);
        if let Some(listener) = control {
            network.0.tasks.spawn(control::serve(network.clone(), listener, network.0.ended.clone()));
        }
        Ok(network)
    }

    /// Where clients connect.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws/chat", self.0.listen)
    }

    pub fn control_url(&self) -> Option<String> {
        self.0.control.map(|address| format!("http://{address}"))
    }

    /// Public key of the certificate root.
    pub fn root_public_key(&self) -> [u8; 32] {
        self.0.identity().root_public
    }

    /// Certificate of the authority that the media host's certificate is signed by.
    pub fn media_ca_pem(&self) -> &str {
        &self.0.media_ca
    }

    /// `host:port` of the media host.
    pub fn media_host(&self) -> String {
        self.0.with(|world| world.media.hostname.clone())
    }

    /// A phone, with an owner, to which devices can be linked.
    pub async fn add_phone(&self, name: Option<String>) -> PhoneInfo {
        self.add(Kind::Phone, name)
    }

    /// The same with a number that is chosen, for a device that was linked elsewhere.
    pub async fn add_phone_numbered(&self, number: &str, name: Option<String>) -> Result<PhoneInfo, NetworkError> {
        self.0.with(|world| {
            let contact = Contact::generate(&mut world.rng);
            let time = world.time_ms();
            let phone = PhoneState::generate(&mut world.rng, time);
            let added = world.directory.add_numbered(number, Kind::Phone, name, contact, phone);
            let refused = || NetworkError::Refused(format!("{number} is no number, or somebody has it"));
            Ok(phone_info(world, added.ok_or_else(refused)?))
        })
    }

    /// Somebody who writes and is written to; returns the number.
    pub async fn add_customer(&self) -> String {
        self.add(Kind::Customer, None).number
    }

    /// From now on nobody is told a customer's number, who then writes under its LID; or everybody is again.
    pub async fn hide_number(&self, number: &str, hidden: bool) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.directory.get_mut(id).hides_number = hidden)
    }

    /// From now on an account says, when it is asked, that it may begin no new chats until then, seconds since 1970; 0: that it may.
    pub async fn lock_new_chats(&self, number: &str, until: u64) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.directory.get_mut(id).locked_until = until)
    }

    /// From now on an account says, when it is asked, that it was warned for the last time of too many new chats, or that it was not.
    pub async fn warn_of_new_chats(&self, number: &str, warned: bool) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.directory.get_mut(id).warned_of_new_chats = warned)
    }

    /// Another number that leads to a customer.
    pub async fn add_number(&self, number: &str, another: &str) -> Result<(), NetworkError> {
        let added = self.of(number, |world, id| world.directory.add_number(id, another))?;
        if added { Ok(()) } else { Err(NetworkError::Refused(format!("somebody has the number {another}"))) }
    }

    fn add(&self, kind: Kind, name: Option<String>) -> PhoneInfo {
        self.0.with(|world| {
            let contact = Contact::generate(&mut world.rng);
            let time = world.time_ms();
            let phone = PhoneState::generate(&mut world.rng, time);
            let id = world.directory.add(kind, name, contact, phone);
            phone_info(world, id)
        })
    }

    pub async fn phone(&self, number: &str) -> Result<PhoneInfo, NetworkError> {
        self.of(number, |world, id| phone_info(world, id))
    }

    /// The owner makes a passkey: from now on a device is linked only with its signature.
    pub async fn add_passkey(&self, number: &str, passkey: Passkey) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.directory.get_mut(id).phone.passkey = Some(passkey))
    }

    /// The code on the phone while a device is being linked with a passkey: the device must show the same.
    pub async fn passkey_code(&self, number: &str) -> Result<Option<String>, NetworkError> {
        self.of(number, |world, id| world.directory.get(id).phone.passkey_code.clone())
    }

    /// The owner scans a QR code: returns the new device's id once the device has signed its identity, with a passkey where
    /// the account has one.
    pub async fn scan(&self, number: &str, qr: &str) -> Result<u16, NetworkError> {
        let qr = Qr::parse(qr).map_err(NetworkError::Refused)?;
        self.pair(number, |world, id| world.scan(id, &qr)).await
    }

    /// The owner types a link code: returns the new device's id.
    pub async fn link_code(&self, number: &str, code: &str) -> Result<u16, NetworkError> {
        let request = self.of(number, |world, id| world.link_request(id))?.map_err(NetworkError::Refused)?;
        let code = code.to_owned();
        let typed = tokio::task::spawn_blocking(move || TypedCode::compute(request, &code))
            .await
            .map_err(|e| NetworkError::Refused(e.to_string()))?
            .map_err(NetworkError::Refused)?;
        self.pair(number, |world, id| world.code_typed(id, typed)).await
    }

    async fn pair(
        &self,
        number: &str,
        begin: impl FnOnce(&mut World, AccountId) -> Result<Ticket, String>,
    ) -> Result<u16, NetworkError> {
        let outcome = self.0.begin_pairing(|world| {
            let id = account(world, number)?;
            begin(world, id).map_err(NetworkError::Refused)
        })?;
        // Somebody must find the passkey first.
        let patience = self.of(number, |world, id| {
            world.directory.get(id).phone.passkey.as_ref().map_or(Duration::ZERO, |passkey| passkey.patience)
        })?;
        match timeout(PAIRING_LIMIT + patience, outcome).await {
            Ok(Ok(result)) => result.map_err(NetworkError::Refused),
            Ok(Err(_)) => Err(NetworkError::Refused("the network was shut down".to_owned())),
            Err(_) => Err(NetworkError::Refused("the client did not answer".to_owned())),
        }
    }

    /// The account has a device that was linked elsewhere, and may log in here.
    pub async fn adopt(&self, number: &str, device: AdoptedDevice) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.adopt(id, device))?.map_err(NetworkError::Refused)
    }

    /// Notes the counters that a device, linked elsewhere, has used there: to whom, in which ratchet, and the next
    /// one. From now on a lower one counts as used twice.
    pub async fn has_sent(
        &self,
        number: &str,
        device: u16,
        to: &str,
        ratchet: [u8; 32],
        next: u32,
    ) -> Result<(), NetworkError> {
        if next > MOST_SENT {
            return Err(NetworkError::Refused(format!("more than {MOST_SENT} messages of one ratchet")));
        }
        self.of(number, |world, id| {
            let to = to.parse().ok().and_then(|jid| world.directory.find_device(&jid));
            let to = to.ok_or_else(|| NetworkError::Refused("nobody has that address".to_owned()))?;
            world.ledger.sent_elsewhere(id.device(device), to, &ratchet, next);
            Ok(())
        })?
    }

    pub async fn devices(&self, number: &str) -> Result<Vec<DeviceInfo>, NetworkError> {
        self.of(number, |world, id| {
            let companions = world.directory.get(id).companions.iter();
            companions
                .map(|(device, companion)| DeviceInfo {
                    id: *device,
                    jid: id.device(*device).to_string(),
                    online: companion.conn.is_some(),
                    paired_at: companion.paired_at,
                    logins: companion.logins,
                    offline_ms: companion.was_offline.as_millis() as u64,
                    pre_keys: companion.keys.count(),
                    newest_pre_key: companion.keys.newest(),
                    signed_pre_key: companion.keys.signed.id,
                    waiting: companion.queue.message_ids(),
                })
                .collect()
        })
    }

    /// The owner unlinks a device.
    pub async fn unlink(&self, number: &str, device: u16) -> Result<(), NetworkError> {
        let found = self.of(number, |world, id| world.unlink(id.device(device)))?;
        if found { Ok(()) } else { Err(NetworkError::Refused(format!("there is no device {device}"))) }
    }

    /// Sends the account's devices that are online something that no server would; false when none is.
    pub async fn babble(&self, number: &str, babble: Babble) -> Result<bool, NetworkError> {
        self.of(number, |world, id| {
            let online: Vec<_> = world.directory.get(id).companions.values().filter_map(|device| device.conn).collect();
            let effects = online.iter().map(|conn| Effect::Babble(*conn, babble.clone()));
            world.effects.extend(effects);
            !online.is_empty()
        })
    }

    /// The owner writes from the phone itself; returns the message's id.
    pub async fn phone_send(&self, number: &str, to: &str, say: impl Into<Say>) -> Result<String, NetworkError> {
        let say = say.into();
        self.of(number, |world, id| world.write(id, to, &say))?.map_err(NetworkError::Refused)
    }

    /// The phone sends a device what it has of all its chats, as a history sync.
    pub async fn phone_history(&self, number: &str, device: u16) -> Result<(), NetworkError> {
        self.of(number, |world, id| {
            let address = id.device(device);
            if world.directory.companion(address).is_none() {
                return Err(NetworkError::Refused(format!("there is no device {device}")));
            }
            world.send_all_history(address);
            Ok(())
        })?
    }

    /// The phone hands out something else in place of its history; `None`: no more.
    pub async fn phone_lies(&self, number: &str, lie: Option<Lie>) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.directory.get_mut(id).phone.lie = lie)
    }

    /// The owner sets something on the phone, which all devices of the account are told.
    pub async fn phone_sets(&self, number: &str, setting: &Setting) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.set_on_phone(id, setting))?.map_err(NetworkError::Refused)
    }

    /// The settings of the phone and its devices, as the phone reads them: by the setting's name and its object.
    pub async fn settings(&self, number: &str) -> Result<BTreeMap<String, Value>, NetworkError> {
        self.of(number, |world, id| world.directory.get(id).phone.app_state.settings())
    }

    /// How often devices of an account have asked for a collection of settings: with the first answer they know what there was before.
    pub async fn settings_reads(&self, number: &str, collection: &str) -> Result<u64, NetworkError> {
        self.of(number, |world, id| world.directory.get(id).phone.app_state.reads(collection))
    }

    /// Numbers that an account has blocked.
    pub async fn blocked(&self, number: &str) -> Result<Vec<String>, NetworkError> {
        self.of(number, |world, id| {
            let blocked = world.directory.get(id).blocked.iter();
            blocked.map(|peer| world.directory.get(*peer).number()).collect()
        })
    }

    /// An account's profile, as others see it.
    pub async fn profile(&self, number: &str) -> Result<ProfileInfo, NetworkError> {
        self.of(number, |world, id| world.profile_info(id))
    }

    /// Somebody calls; it rings at the devices of the called. Returns the call's id.
    pub async fn customer_calls(&self, number: &str, to: &str) -> Result<String, NetworkError> {
        self.of(number, |world, id| {
            let peer = account(world, to)?;
            let form = world.form_for(id, peer, to);
            Ok(world.call(id, peer, form))
        })?
    }

    /// A call that rings ends.
    pub async fn end_call(&self, id: &str, end: CallEnd) -> Result<(), NetworkError> {
        self.0.with(|world| world.end_call(id, end)).map_err(NetworkError::Refused)
    }

    /// Every call there was, oldest first.
    pub async fn calls(&self) -> Vec<Call> {
        self.0.with(|world| world.calls.clone())
    }

    /// Somebody makes a channel; returns its JID.
    pub async fn create_channel(&self, by: &str, name: &str, description: &str) -> Result<ChannelInfo, NetworkError> {
        self.of(by, |world, by| {
            let at = world.create_channel(by, name, description);
            world.channel_infos().swap_remove(at)
        })
    }

    /// The owner of a channel writes there on a phone; returns the id of the post.
    pub async fn write_in_channel(&self, by: &str, jid: &str, text: &str) -> Result<String, NetworkError> {
        let message = waproto::whatsapp::Message { conversation: Some(text.to_owned()), ..Default::default() };
        self.of(by, |world, by| world.write_in_channel(by, jid, &message))?.map_err(NetworkError::Refused)
    }

    /// The posts of a channel.
    pub async fn channel_posts(&self, jid: &str) -> Vec<ChannelPost> {
        self.0.with(|world| world.channel_posts(jid))
    }

    /// Every channel there is.
    pub async fn channels(&self) -> Vec<ChannelInfo> {
        self.0.with(|world| world.channel_infos())
    }

    /// Somebody opens a group with its code; asks, where an admin must let them in.
    pub async fn join_group(&self, number: &str, code: &str) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.join_by_code(id, code))?.map_err(NetworkError::Refused)
    }

    /// `by`, who must be an admin, changes who may do what in a group.
    pub async fn group_rules(&self, jid: &str, by: &str, rules: GroupRules) -> Result<(), NetworkError> {
        self.of(by, |world, by| {
            let group = group(world, jid)?;
            world.change_rules(group, by, rules).map_err(NetworkError::Refused)
        })?
    }

    /// Sets an account's profile: its "about" text and its picture. An absent one stays as it is.
    pub async fn set_profile(
        &self,
        number: &str,
        about: Option<String>,
        picture: Option<Vec<u8>>,
    ) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.set_profile(id, about, picture))
    }

    /// The owner of a phone takes another name.
    pub async fn rename_owner(&self, number: &str, name: &str) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.rename_owner(id, name))
    }

    /// The messages on the phone itself: those of others, and copies of those that its devices sent.
    pub async fn phone_inbox(&self, number: &str) -> Result<Vec<Received>, NetworkError> {
        self.of(number, |world, id| world.directory.get(id).contact.inbox.messages().to_vec())
    }

    /// A customer writes; returns the message's id. `to` is a number, or a JID whose kind then is the chat's.
    pub async fn customer_send(&self, number: &str, to: &str, say: impl Into<Say>) -> Result<String, NetworkError> {
        self.phone_send(number, to, say).await
    }

    /// A message of a customer without a ciphertext reaches the devices of `to`, as WhatsApp sends some; returns its id.
    pub async fn customer_sends_nothing(&self, number: &str, to: &str) -> Result<String, NetworkError> {
        self.of(number, |world, id| Ok(world.write_bare(id, account(world, to)?, None)))?
    }

    /// The same; it says that its content is not for linked devices, which have to ask the phone.
    pub async fn customer_sends_unavailable(&self, number: &str, to: &str) -> Result<String, NetworkError> {
        self.of(number, |world, id| Ok(world.write_bare(id, account(world, to)?, Some("unavailable"))))?
    }

    /// A customer writes to a broadcast list that these are in; returns the message's id.
    pub async fn customer_broadcasts(
        &self,
        number: &str,
        to: &[&str],
        say: impl Into<Say>,
    ) -> Result<String, NetworkError> {
        let say = say.into();
        self.of(number, |world, id| {
            let to = accounts(world, to)?;
            world.broadcast(id, &to, &say).map_err(NetworkError::Refused)
        })?
    }

    /// A member hands its key of a group to all who are in it, and no message with it; returns the id of that.
    pub async fn customer_hands_out_key(&self, number: &str, group_jid: &str) -> Result<String, NetworkError> {
        self.of(number, |world, id| {
            let group = group(world, group_jid)?;
            world.hand_out_key(id, group).map_err(NetworkError::Refused)
        })?
    }

    /// Somebody installs WhatsApp anew: all keys are others. `told`: those who have written to them hear of it.
    pub async fn reinstall(&self, number: &str, told: bool) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.reinstall(id, told))
    }

    /// A person goes from a number to another, that of an account which nobody has written to: those who have written to the old one
    /// hear of it.
    pub async fn change_number(&self, old: &str, new: &str) -> Result<(), NetworkError> {
        self.of(old, |world, old| {
            let new = account(world, new)?;
            world.tell_changed_number(old, new);
            Ok(())
        })?
    }

    /// As [`Self::customer_sends_unavailable`]; the phone has it.
    pub async fn customer_sends_for_phone(
        &self,
        number: &str,
        to: &str,
        say: impl Into<Say>,
    ) -> Result<String, NetworkError> {
        let say = say.into();
        self.of(number, |world, id| {
            let peer = account(world, to)?;
            world.write_for_phone(id, peer, &say).map_err(NetworkError::Refused)
        })?
    }

    /// Somebody posts a status for those accounts; for everybody who has written to it, without any. Returns its id.
    pub async fn post_status(
        &self,
        number: &str,
        audience: &[&str],
        say: impl Into<Say>,
    ) -> Result<String, NetworkError> {
        let say = say.into();
        self.of(number, |world, id| {
            let audience = accounts(world, audience)?;
            world.post_status(id, &audience, &say).map_err(NetworkError::Refused)
        })?
    }

    pub async fn customer_inbox(&self, number: &str) -> Result<Vec<Received>, NetworkError> {
        self.phone_inbox(number).await
    }

    /// A customer looks at a message: its sender gets a read receipt.
    pub async fn customer_read(&self, number: &str, id: &str) -> Result<(), NetworkError> {
        self.of(number, |world, account| world.look_at(account, id, "read"))?.map_err(NetworkError::Refused)
    }

    /// A customer plays a voice message or a video: its sender gets a receipt that says so.
    pub async fn customer_play(&self, number: &str, id: &str) -> Result<(), NetworkError> {
        self.of(number, |world, account| world.look_at(account, id, "played"))?.map_err(NetworkError::Refused)
    }

    /// A customer types, records or stops, in the chat with somebody.
    pub async fn customer_chat_state(&self, number: &str, to: &str, state: ChatState) -> Result<(), NetworkError> {
        self.of(number, |world, id| {
            let peer = account(world, to)?;
            let form = world.form_for(id, peer, to);
            world.set_chat_state(id.primary(), peer, form, state);
            Ok(())
        })?
    }

    /// A customer opens WhatsApp, or closes it. Who subscribed to that is told.
    pub async fn customer_available(&self, number: &str, available: bool) -> Result<(), NetworkError> {
        self.of(number, |world, id| world.set_available(id.primary(), available))
    }

    /// The presences that a customer sees in its chats: online, typing.
    pub async fn customer_sees(&self, number: &str) -> Result<Vec<Seen>, NetworkError> {
        self.of(number, |world, id| world.seen_by(id))
    }

    /// `by` makes a group with the others as members; their devices are told. Its messages are sent to its JID.
    pub async fn create_group(&self, by: &str, subject: &str, others: &[&str]) -> Result<GroupInfo, NetworkError> {
        self.of(by, |world, by| {
            let others = accounts(world, others)?;
            let group = world.create_group(by, subject, &others);
            Ok(world.group_info(group))
        })?
    }

    /// How groups that are made from now on name their members, and customers those who never wrote to them.
    pub async fn set_addressing(&self, form: Form) {
        self.0.with(|world| world.addressing = form);
    }

    pub async fn group(&self, jid: &str) -> Result<GroupInfo, NetworkError> {
        self.0.with(|world| Ok(world.group_info(group(world, jid)?)))
    }

    /// `by`, who must be an admin unless they leave, changes who is in a group or what they are.
    pub async fn change_group(&self, jid: &str, by: &str, change: Change, who: &[&str]) -> Result<(), NetworkError> {
        self.of(by, |world, by| {
            let (group, who) = (group(world, jid)?, accounts(world, who)?);
            world.change_members(group, by, change, &who).map(drop).map_err(NetworkError::Refused)
        })?
    }

    pub async fn group_subject(&self, jid: &str, by: &str, subject: &str) -> Result<(), NetworkError> {
        self.of(by, |world, by| {
            let group = group(world, jid)?;
            world.set_subject(group, by, subject).map_err(NetworkError::Refused)
        })?
    }

    /// `by` lets the group's messages disappear after so many seconds; 0: they stay. Its members' devices are told.
    pub async fn group_timer(&self, jid: &str, by: &str, seconds: u32) -> Result<(), NetworkError> {
        self.of(by, |world, by| {
            let group = group(world, jid)?;
            world.set_timer(group, by, seconds).map_err(NetworkError::Refused)
        })?
    }

    /// The media host forgets all files, as WhatsApp's do after weeks. Phones have those of their messages, and put one there again when
    /// a device asks for it.
    pub async fn media_forgets(&self) {
        self.0.with(|world| {
            let secret = world.rng.random();
            world.media.forget(secret);
        });
    }

    /// A picture on the media host, in a message that says the truth of it: for tests that then make it lie.
    pub async fn media_put(&self, data: &[u8]) -> Result<ImageMessage, NetworkError> {
        let sealed = self.0.with(|world| {
            let World { media, rng, .. } = world;
            media.seal(data, MediaType::Image, rng)
        });
        let sealed = sealed.map_err(NetworkError::Refused)?;
        Ok(ImageMessage {
            url: Some(sealed.url),
            direct_path: Some(sealed.direct_path),
            media_key: Some(sealed.media_key),
            file_sha256: Some(sealed.file_sha256),
            file_enc_sha256: Some(sealed.file_enc_sha256),
            file_length: Some(sealed.file_length),
            mimetype: Some("image/jpeg".to_owned()),
            ..ImageMessage::default()
        })
    }

    /// The phones do not have the files any more that the media host has forgotten.
    pub async fn phones_lose_files(&self) {
        self.0.with(|world| world.media.lose());
    }

    /// References of so many random bytes from the next connection on: WhatsApp has made them longer before.
    pub async fn set_reference_bytes(&self, bytes: usize) {
        self.0.with(|world| world.reference_bytes = bytes);
    }

    /// Injects a fault, on live connections at once.
    pub async fn fault(&self, fault: Fault) -> Result<(), NetworkError> {
        self.0.with(|world| world.inject(&fault)).map_err(NetworkError::Refused)
    }

    /// Ends all faults: what they kept back is sent.
    pub async fn clear_faults(&self) {
        self.0.with(World::clear_faults);
    }

    pub async fn stats(&self) -> Stats {
        self.0.with(|world| Stats::of(world))
    }

    /// Every message that crossed the network, in order of its first appearance.
    pub async fn messages(&self, from: Option<&str>) -> Result<Vec<WireMessage>, NetworkError> {
        let Some(number) = from else {
            return Ok(self.0.with(|world| world.ledger.messages().to_vec()));
        };
        self.of(number, |world, id| {
            let number = world.directory.get(id).number();
            let by = |m: &&WireMessage| m.from.split(['@', ':']).next() == Some(number.as_str());
            world.ledger.messages().iter().filter(by).cloned().collect()
        })
    }

    /// Closes the listener and every socket; what the network knows is kept.
    pub async fn stop(&self) {
        if let Some(front) = self.0.front().take() {
            front.cancel();
        }
        self.0.sockets.close();
        self.0.sockets.wait().await;
    }

    /// Listens again on the same port.
    pub async fn resume(&self) -> io::Result<()> {
        if self.0.front().is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.0.listen).await?;
        self.0.open(listener);
        Ok(())
    }

    /// Ends everything.
    pub async fn shutdown(&self) {
        self.stop().await;
        self.0.ended.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn of<T>(&self, number: &str, f: impl FnOnce(&mut World, AccountId) -> T) -> Result<T, NetworkError> {
        self.0.with(|world| Ok(f(world, account(world, number)?)))
    }
}

fn account(world: &World, number: &str) -> Result<AccountId, NetworkError> {
    let unknown = || NetworkError::UnknownNumber(number.to_owned());
    world.directory.find_text(number).ok_or_else(unknown)
}

fn accounts(world: &World, numbers: &[&str]) -> Result<Vec<AccountId>, NetworkError> {
    numbers.iter().map(|number| account(world, number)).collect()
}

fn group(world: &World, jid: &str) -> Result<GroupId, NetworkError> {
    world.groups.find_text(jid).ok_or_else(|| NetworkError::Refused(format!("there is no group {jid}")))
}

fn phone_info(world: &World, id: AccountId) -> PhoneInfo {
    let account = world.directory.get(id);
    PhoneInfo {
        number: account.number(),
        jid: Form::Pn.jid(id.primary()).to_string(),
        lid: Form::Lid.jid(id.primary()).to_string(),
        name: account.name.clone(),
        pairings: account.pairings,
    }
}

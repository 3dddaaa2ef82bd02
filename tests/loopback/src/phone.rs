//! A phone's services to its linked devices beyond chatting: it vouches for which of them exist, shares the keys of
//! the app state, and sends messages again that a device could not read.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use wacore::appstate::{ExpandedAppStateKeys, expand_app_state_keys};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::peer_data_operation_request_response_message::PeerDataOperationResult;
use waproto::whatsapp::message::peer_data_operation_request_response_message::peer_data_operation_result::PlaceholderMessageResendResponse;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId, AppStateSyncKeyShare,
    PeerDataOperationRequestMessage, PeerDataOperationRequestResponseMessage, PeerDataOperationRequestType,
    ProtocolMessage,
};
use waproto::whatsapp::{ADVKeyIndexList, ADVSignedKeyIndexList};

use crate::account::{Account, AccountId, DeviceAddress, Kind};
use crate::app_state::AppState;
use crate::compose::length_delimited;
use crate::faults::FaultKind;
use crate::history::Lie;
use crate::passkey::Passkey;
use crate::world::World;

/// The prefix of the bytes that the account signs as its list of devices.
const KEY_INDEX_SIGNATURE_PREFIX: [u8; 2] = [6, 2];
/// The one app state key an account has.
pub(crate) const APP_STATE_KEY_ID: [u8; 6] = [0, 0, 0, 0, 0, 1];

/// The state that only the owner's phone has.
pub(crate) struct PhoneState {
    /// Identifies the account's set of devices; stays as long as the phone's identity does.
    pub(crate) raw_id: u32,
    app_state_key: [u8; 32],
    app_state_key_time: i64,
    /// The app state that the server has, sealed with that key, and the phone's reading of it.
    pub(crate) app_state: AppState,
    /// The nonsense that it hands out in place of its history.
    pub(crate) lie: Option<Lie>,
    /// Without it no device is linked.
    pub(crate) passkey: Option<Passkey>,
    /// The code that the owner compares while a device is being linked.
    pub(crate) passkey_code: Option<String>,
    /// Which devices exist, signed; renewed when one comes or goes.
    key_index_list: (u64, Vec<u8>),
}

impl PhoneState {
    pub(crate) fn generate(rng: &mut StdRng, time_ms: u64) -> Self {
        Self {
            raw_id: rng.random(),
            app_state_key: rng.random(),
            app_state_key_time: i64::try_from(time_ms).unwrap_or(i64::MAX),
            app_state: AppState::default(),
            lie: None,
            passkey: None,
            passkey_code: None,
            key_index_list: (0, Vec::new()),
        }
    }
}

impl PhoneState {
    pub(crate) fn app_state_keys(&self) -> Arc<ExpandedAppStateKeys> {
        Arc::new(expand_app_state_keys(&self.app_state_key))
    }
}

impl Account {
    /// The signed list of devices and its time; peers believe a linked device only with it.
    pub(crate) fn key_index_list(&self) -> (u64, &[u8]) {
        let (time, list) = &self.phone.key_index_list;
        (*time, list)
    }
}

/// Field number of `WebMessageInfo.message`.
const WEB_MESSAGE: u32 = 2;

impl World {
    /// A device came or went: the phone signs the new list.
    pub(crate) fn renew_key_index_list(&mut self, account: AccountId) {
        let time = self.time();
        let owner = self.directory.get_mut(account);
        let indexes = owner.companions.values().map(|companion| companion.key_index);
        let details = ADVKeyIndexList {
            raw_id: Some(owner.phone.raw_id),
            timestamp: Some(time),
            current_index: Some(u32::from(owner.next_device - 1)),
            valid_indexes: std::iter::once(0).chain(indexes).collect(),
            account_type: None,
        }
        .encode_to_vec();
        let message = [&KEY_INDEX_SIGNATURE_PREFIX[..], &details].concat();
        let signed = ADVSignedKeyIndexList {
            account_signature: Some(owner.contact.endpoint.sign(&message, &mut self.rng).to_vec()),
            account_signature_key: Some(owner.contact.endpoint.identity().to_vec()),
            details: Some(details),
        };
        owner.phone.key_index_list = (time, signed.encode_to_vec());
    }

    /// Once for each device, at its first login: without these keys it waits before it calls itself ready.
    pub(crate) fn share_app_state_keys(&mut self, device: DeviceAddress) {
        if self.faults.hits(FaultKind::WithholdKeys, device.account) {
            return;
        }
        let Some(companion) = self.directory.companion_mut(device) else {
            return;
        };
        if std::mem::replace(&mut companion.keys_shared, true) {
            return;
        }
        self.send_app_state_keys(device);
    }

    fn send_app_state_keys(&mut self, device: DeviceAddress) {
        let owner = self.directory.get(device.account);
        let key = AppStateSyncKey {
            key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(APP_STATE_KEY_ID.to_vec()) }),
            key_data: MessageField::some(AppStateSyncKeyData {
                key_data: Some(owner.phone.app_state_key.to_vec()),
                fingerprint: MessageField::some(AppStateSyncKeyFingerprint {
                    raw_id: Some(owner.phone.raw_id),
                    current_index: Some(u32::from(owner.next_device - 1)),
                    device_indexes: std::iter::once(0).chain(owner.companions.values().map(|c| c.key_index)).collect(),
                }),
                timestamp: Some(owner.phone.app_state_key_time),
            }),
        };
        let share = AppStateSyncKeyShare { keys: vec![key] };
        self.write_protocol(
            device,
            ProtocolMessage {
                r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE),
                app_state_sync_key_share: MessageField::some(share),
                ..Default::default()
            },
        );
    }

    /// A message among the apps of one account.
    pub(crate) fn protocol_message(
        &mut self,
        account: AccountId,
        from: DeviceAddress,
        id: &str,
        message: &ProtocolMessage,
    ) {
        if from.account != account || self.directory.get(account).kind != Kind::Phone {
            return;
        }
        if let Some(request) = message.peer_data_operation_request_message.as_option() {
            self.ledger.counts.placeholder_requests += request.placeholder_message_resend_request.len() as u64;
        }
        if self.faults.hits(FaultKind::PhoneSilent, account) {
            return;
        }
        match message.r#type {
            Some(Type::APP_STATE_SYNC_KEY_REQUEST) if self.faults.hits(FaultKind::WithholdKeys, account) => {}
            Some(Type::APP_STATE_SYNC_KEY_REQUEST) => self.send_app_state_keys(from),
            Some(Type::PEER_DATA_OPERATION_REQUEST_MESSAGE) => {
                if let Some(request) = message.peer_data_operation_request_message.as_option() {
                    self.resend_placeholders(from, id, request);
                    if let Some(page) = request.history_sync_on_demand_request.as_option() {
                        self.history_on_demand(from, id, page);
                    }
                }
            }
            _ => {}
        }
    }

    /// A device could not read some messages; the phone, which could, sends it what they say.
    fn resend_placeholders(&mut self, device: DeviceAddress, id: &str, request: &PeerDataOperationRequestMessage) {
        let archive = &self.directory.get(device.account).contact.archive;
        let results: Vec<PeerDataOperationResult> = request
            .placeholder_message_resend_request
            .iter()
            .filter_map(|wanted| {
                let key = wanted.message_key.as_option()?;
                let archived = archive.get(key.id.as_deref()?)?;
                let mut info = wa::WebMessageInfo {
                    key: MessageField::some(key.clone()),
                    message_timestamp: Some(archived.time),
                    push_name: Some(self.directory.get(archived.sender).name.clone()),
                    ..Default::default()
                };
                let mut beyond = Vec::new();
                if archived.beyond.is_empty() {
                    info.message = MessageField::some(archived.message.clone());
                } else {
                    let message = [archived.message.encode_to_vec(), archived.beyond.clone()].concat();
                    beyond = length_delimited(WEB_MESSAGE, &message);
                }
                let info = [info.encode_to_vec(), beyond].concat();
                Some(PeerDataOperationResult {
                    placeholder_message_resend_response: MessageField::some(PlaceholderMessageResendResponse {
                        web_message_info_bytes: Some(info),
                    }),
                    ..Default::default()
                })
            })
            .collect();
        if results.is_empty() {
            return;
        }
        let response = PeerDataOperationRequestResponseMessage {
            peer_data_operation_request_type: Some(PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND),
            stanza_id: Some(id.to_owned()),
            peer_data_operation_result: results,
        };
        self.write_protocol(
            device,
            ProtocolMessage {
                r#type: Some(Type::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE),
                peer_data_operation_request_response_message: MessageField::some(response),
                ..Default::default()
            },
        );
    }

    pub(crate) fn write_protocol(&mut self, device: DeviceAddress, message: ProtocolMessage) {
        let message = wa::Message { protocol_message: MessageField::some(message), ..Default::default() };
        self.write_peer(device, message);
    }
}

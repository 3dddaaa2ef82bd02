//! What a phone does for its linked devices beyond chatting: it shares the keys of the app state, and sends again
//! what a device could not read.

use rand::RngExt;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId, AppStateSyncKeyShare,
    ProtocolMessage,
};

use crate::account::{AccountId, DeviceAddress};
use crate::world::World;

impl World {
    /// Once for each device, at its first login: without these keys it waits before it calls itself ready.
    pub(crate) fn share_app_state_keys(&mut self, device: DeviceAddress) {
        let Some(companion) = self.directory.companion_mut(device) else {
            return;
        };
        if std::mem::replace(&mut companion.keys_shared, true) {
            return;
        }
        let key = AppStateSyncKey {
            key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(vec![0, 0, 0, 0, 0, 1]) }),
            key_data: MessageField::some(AppStateSyncKeyData {
                key_data: Some(self.rng.random::<[u8; 32]>().to_vec()),
                fingerprint: MessageField::some(AppStateSyncKeyFingerprint {
                    raw_id: Some(self.rng.random()),
                    current_index: Some(0),
                    device_indexes: vec![0, u32::from(device.device)],
                }),
                timestamp: i64::try_from(self.time_ms()).ok(),
            }),
        };
        let share = ProtocolMessage {
            r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE),
            app_state_sync_key_share: MessageField::some(AppStateSyncKeyShare { keys: vec![key] }),
            ..Default::default()
        };
        self.write_peer(device, wa::Message { protocol_message: MessageField::some(share), ..Default::default() });
    }

    /// A message among the apps of one account.
    pub(crate) fn protocol_message(&mut self, account: AccountId, from: DeviceAddress, message: &wa::Message) {
        let kind = message.protocol_message.as_option().and_then(|m| m.r#type);
        tracing::debug!(account = %self.directory.get(account).number(), %from, ?kind, "protocol message");
    }
}

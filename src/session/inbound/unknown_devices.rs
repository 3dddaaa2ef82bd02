//! Devices that people link, and that WhatsApp has not told of: somebody writes from one. The library asks for them when one writes in a
//! group, and not when it writes to the tenant (whatsapp-rust 0.7.0 `message/receive.rs`); until the list is too old, what the tenant
//! writes would not reach it. So the next message to that person asks.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard},
};

use tracing::debug;
use whatsapp_rust::{Jid, traits::ProtocolStore as _};

use crate::{store::Store, sync::lock};

/// People whose devices are asked for once more, without their server. Bounded by those who write.
#[derive(Debug, Default)]
pub(in crate::session) struct UnknownDevices(Mutex<HashSet<String>>);

impl UnknownDevices {
    /// As many people's devices are asked for once more at the same time.
    const MOST: usize = 10_000;

    /// Somebody wrote from a device.
    pub async fn heard(&self, store: &Store, sender: &Jid) {
        if sender.device == 0 || !(sender.is_pn() || sender.is_lid()) {
            return;
        }
        for name in store.names(&sender.to_string()).await.unwrap_or_default() {
            let user = name.split('@').next().unwrap_or_default();
            // Without a list all are asked for before the first message.
            let Ok(Some(list)) = store.get_devices(user).await else { continue };
            let is_known = list.devices.iter().any(|known| known.device_id == u32::from(sender.device));
            let mut people = self.people();
            if !is_known && people.len() < Self::MOST {
                debug!(device = sender.device, "a message from a device that is not in its owner's list");
                people.insert(user.to_owned());
            }
            return;
        }
    }

    /// True: the devices of somebody with one of these names must be asked for, by this message alone. When nothing comes of it, the next
    /// word from that device asks again; other messages do not wait for an answer that may not come.
    pub fn take<'a>(&self, names: impl IntoIterator<Item = &'a Jid>) -> bool {
        let mut people = self.people();
        // All of them: one person has several names.
        !people.is_empty() && names.into_iter().filter(|name| people.remove(name.user.as_str())).count() > 0
    }

    fn people(&self) -> MutexGuard<'_, HashSet<String>> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_messages_asks_whatever_names_they_have() {
        let devices = UnknownDevices::default();
        let (customer, own) = (Jid::pn("573001112233"), [Jid::pn("573009998877"), Jid::lid("100000012345678")]);
        assert!(!devices.take([&customer].into_iter().chain(&own)), "nobody wrote from an unknown device");
        devices.people().extend([own[0].user.to_string(), own[1].user.to_string()]);
        let asks: Vec<_> = (0..3).map(|_| devices.take([&customer].into_iter().chain(&own))).collect();
        assert_eq!(asks, [true, false, false]);
        // The next word from the device asks again.
        devices.people().insert(own[1].user.to_string());
        assert!(devices.take(&own) && !devices.take(&own));
    }
}

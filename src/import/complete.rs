//! What follows from what was read, for every reader: our own names, identities that stores leave out, senders' second names.

use super::{AddressServer, EntryKind, SignalAddress, TenantCopy, key};

impl TenantCopy {
    /// Fills up the copy and counts what it keeps. Readers call it once, at their end.
    pub(super) fn complete(&mut self) {
        let device = &self.device;
        // The phone's identity is the account's.
        if let Some(lid) = &device.lid {
            self.lid_mappings.insert(&lid.user, &device.me.user);
            self.identities.insert(SignalAddress { device: 0, ..lid.clone() }, device.account.account_key);
        }
        self.identities.insert(SignalAddress { device: 0, ..device.me.clone() }, device.account.account_key);
        // Stores without identities of their own: the open session knows it.
        for (address, record) in &self.sessions {
            let remote = record.current_session.as_ref().and_then(|session| session.remote_identity_public.as_deref());
            if let Some(identity) = remote.and_then(|identity| key::public_key(identity).ok()) {
                self.identities.entry(address.clone()).or_insert(identity);
            }
        }
        self.tally.keep(EntryKind::SenderKey, self.sender_keys.len());
        self.name_senders_twice();
        for (kind, kept) in [
            (EntryKind::PreKey, self.pre_keys.len()),
            (EntryKind::Session, self.sessions.len()),
            (EntryKind::Identity, self.identities.len()),
            (EntryKind::LidMapping, self.lid_mappings.len()),
            (EntryKind::ContactToken, self.contact_tokens.len()),
            (EntryKind::SyncKey, self.sync_keys.len()),
            (EntryKind::DeviceList, self.device_lists.len()),
        ] {
            self.tally.keep(kind, kept);
        }
    }

    /// The library looks a sender key up by the name that the group uses; others file it by the one that they prefer.
    fn name_senders_twice(&mut self) {
        let mut named = Vec::new();
        for ((group, sender), record) in &self.sender_keys {
            let other = match sender.server {
                AddressServer::Phone => self.lid_mappings.lid_of(&sender.user).map(|lid| (lid, AddressServer::Lid)),
                AddressServer::Lid => {
                    self.lid_mappings.number_of(&sender.user).map(|number| (number, AddressServer::Phone))
                }
                AddressServer::Hosted | AddressServer::HostedLid => None,
            };
            named.extend(other.map(|(user, server)| ((group.clone(), sender.renamed(user, server)), record.clone())));
        }
        for (name, record) in named {
            self.sender_keys.entry(name).or_insert(record);
        }
    }
}

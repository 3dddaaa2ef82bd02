//! Files that the host has forgotten, as WhatsApp's hosts do after weeks, and how a device gets one again: it says in a receipt that it
//! could not fetch it, the phone, which still has it, puts it there again, and the device is told where.

use rand::RngExt;
use wacore::crypto::hkdf_sha256_into;
use wacore::proto_helpers::MessageExt;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::crypto::aes_256_gcm_encrypt;
use waproto::buffa::Message as _;
use waproto::whatsapp as wa;
use waproto::whatsapp::media_retry_notification::ResultType;

use super::{Blob, MediaStore};
use crate::account::{DeviceAddress, Form};
use crate::faults::FaultKind;
use crate::inbox::file_of;
use crate::queue::Class;
use crate::stanza::{attr, child};
use crate::world::World;

impl MediaStore {
    /// Nothing is found any more under the paths that were given out.
    pub(crate) fn forget(&mut self, secret: [u8; 16]) {
        self.secret = secret;
        self.forgotten.extend(self.blobs.drain());
    }

    /// The phones do not have them either.
    pub(crate) fn lose(&mut self) {
        self.forgotten.clear();
    }

    /// A forgotten file, put there again; found under another path than before.
    fn remember(&mut self, direct_path: &str) -> Option<Blob> {
        let path = direct_path.split('?').next()?.to_owned();
        let bytes = self.forgotten.remove(&path)?.bytes;
        let direct_path = self.signed(&path);
        let blob = Blob { bytes, direct_path };
        self.blobs.insert(path, blob.clone());
        Some(blob)
    }
}

impl World {
    /// `<receipt type="server-error">`: a device could not fetch the file of a message.
    pub(crate) fn media_retry(&mut self, from: DeviceAddress, stanza: &Node) {
        let (Some(id), Some(named)) = (attr(stanza, "id"), child(stanza, "rmr")) else {
            return;
        };
        self.ledger.counts.media_retries += 1;
        if self.faults.hits(FaultKind::PhoneSilent, from.account) {
            return;
        }
        let id = id.into_owned();
        let archived = self.directory.get(from.account).contact.archive.get(&id);
        let place = archived.and_then(|archived| {
            let (file, _) = file_of(archived.message.get_base_message())?;
            Some((file.media_key()?.to_vec(), file.direct_path()?.to_owned()))
        });
        let answer = match place {
            None => NodeBuilder::new("error").attr("code", 2u8).build(),
            Some((key, path)) => {
                let blob = self.media.remember(&path);
                let result = if blob.is_some() { ResultType::SUCCESS } else { ResultType::NOT_FOUND };
                let notification = wa::MediaRetryNotification {
                    stanza_id: Some(id.clone()),
                    direct_path: blob.map(|blob| blob.direct_path),
                    result: Some(result),
                    ..Default::default()
                };
                let iv: [u8; 12] = self.rng.random();
                let Some(sealed) = seal(&notification, &key, &id, &iv) else { return };
                NodeBuilder::new("encrypt")
                    .children([
                        NodeBuilder::new("enc_p").bytes(sealed).build(),
                        NodeBuilder::new("enc_iv").bytes(iv.to_vec()).build(),
                    ])
                    .build()
            }
        };
        let notification = NodeBuilder::new("notification")
            .attr("type", "mediaretry")
            .attr("id", id.as_str())
            .attr("from", Form::Pn.jid(from.account.primary()))
            .attr("t", self.time())
            .children([answer, named.clone()])
            .build();
        self.deliver(from.account.primary(), from, Class::Notification, &id, notification);
    }
}

fn seal(notification: &wa::MediaRetryNotification, media_key: &[u8], id: &str, iv: &[u8; 12]) -> Option<Vec<u8>> {
    let mut key = [0; 32];
    hkdf_sha256_into(media_key, None, b"WhatsApp Media Retry Notification", &mut key).ok()?;
    let plain = notification.encode_to_vec();
    let mut sealed = Vec::new();
    aes_256_gcm_encrypt(&key, iv, id.as_bytes(), &plain, &mut sealed).ok()?;
    Some(sealed)
}

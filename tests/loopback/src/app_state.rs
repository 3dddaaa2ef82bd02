//! The settings that all devices of an account share ("app state"): what is archived, starred and labelled, the address book.
//!
//! The server has them sealed, as patches in numbered order; it takes a patch on top of the newest alone, hands out what a device
//! lacks and tells the others. It never compacts: a device that has nothing gets every patch from the first. The phone, which has the
//! key, checks every patch as a device would, and knows what it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use serde::Deserialize;
use serde_json::Value;
use wacore::appstate::hash::{HashState, generate_patch_mac};
use wacore::appstate::schemas::{self, Schema};
use wacore::appstate::{AppStateError, ExpandedAppStateKeys, encode_record, process_patch};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::sync_action_value as action;
use waproto::whatsapp::syncd_mutation::SyncdOperation;

use crate::account::{AccountId, DeviceAddress, Form};
use crate::faults::FaultKind;
use crate::phone::APP_STATE_KEY_ID;
use crate::queue::Class;
use crate::stanza::{attr, child_content, first_child, iq_error, iq_result};
use crate::world::World;

/// The collections that clients ask for.
const NAMES: [&str; 5] = ["critical_block", "critical_unblock_low", "regular", "regular_high", "regular_low"];

/// Something that the owner sets on the phone itself. Chats are numbers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Setting {
    Person { number: String, name: String, first: String },
    Label { id: String, name: String, color: i32 },
    LabelGone { id: String },
    Labelled { id: String, chat: String, on: bool },
    Archived { chat: String, on: bool },
}

/// One account's settings.
#[derive(Default)]
pub(crate) struct AppState(BTreeMap<String, Collection>);

#[derive(Default)]
struct Collection {
    hash: HashState,
    patches: Vec<wa::SyncdPatch>,
    /// Authentication codes of what is set, by those of their index.
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The settings, by their index.
    settings: BTreeMap<Vec<String>, Value>,
    /// How often a device has asked for it and was answered.
    reads: u64,
}

impl AppState {
    /// The settings, by their index: the setting's name and its object, with spaces between.
    pub(crate) fn settings(&self) -> BTreeMap<String, Value> {
        let all = self.0.values().flat_map(|collection| &collection.settings);
        all.map(|(index, value)| (index.join(" "), value.clone())).collect()
    }

    /// How often devices have asked for a collection and were answered.
    pub(crate) fn reads(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |collection| collection.reads)
    }
}

/// Why a patch is not taken.
enum PatchError {
    /// It is not on top of the newest.
    Old,
    Broken(String),
}

impl Collection {
    fn version(&self) -> u64 {
        self.hash.version
    }

    /// Takes a patch on top of all others, as the phone reads it.
    fn take(&mut self, name: &str, patch: wa::SyncdPatch, keys: &Arc<ExpandedAppStateKeys>) -> Result<(), String> {
        let of = |id: &[u8]| if id == APP_STATE_KEY_ID { Ok(keys.clone()) } else { Err(AppStateError::KeyNotFound) };
        let before = |index: &[u8]| Ok(self.values.get(index).cloned());
        let mut hash = self.hash.clone();
        let read = process_patch(&patch, &mut hash, of, before, true, name).map_err(|e| e.to_string())?;
        self.hash = read.state;
        for mac in read.added_macs {
            self.values.insert(mac.index_mac, mac.value_mac);
        }
        for index in read.removed_index_macs {
            self.values.remove(&index);
        }
        for mutation in read.mutations {
            if mutation.operation == SyncdOperation::SET {
                let value = mutation.action_value.as_ref().and_then(|value| serde_json::to_value(value).ok());
                self.settings.insert(mutation.index, value.and_then(crate::inbox::prune).unwrap_or_default());
            } else {
                self.settings.remove(&mutation.index);
            }
        }
        self.patches.push(patch);
        Ok(())
    }
}

impl World {
    /// `xmlns="w:sync:app:state"`: a device asks for what it lacks, or brings something.
    pub(crate) fn app_state_iq(&mut self, from: DeviceAddress, iq: &Node) -> Node {
        let Some(asked) = first_child(iq).and_then(Node::children) else {
            return iq_error(iq, 400, "bad-request");
        };
        let answers: Vec<Node> =
            asked.iter().filter(|n| n.tag == "collection").map(|n| self.collection(from, n)).collect();
        iq_result(iq, [NodeBuilder::new("sync").children(answers).build()])
    }

    fn collection(&mut self, from: DeviceAddress, asked: &Node) -> Node {
        let name = attr(asked, "name").unwrap_or_default().into_owned();
        let base: u64 = attr(asked, "version").and_then(|version| version.parse().ok()).unwrap_or_default();
        let mut error = (!NAMES.contains(&name.as_str())).then(|| (400u16, "bad-request".to_owned()));
        if let Some(code) = self.faults.missing_app_state(from.account) {
            let missing = NodeBuilder::new("error").attr("code", code).attr("text", "item-not-found").build();
            let answer = NodeBuilder::new("collection").attr("name", name.as_str()).attr("type", "error");
            return answer.children([missing]).build();
        }
        if error.is_none() {
            self.directory.get_mut(from.account).phone.app_state.0.entry(name.clone()).or_default().reads += 1;
        }
        let brought = child_content(asked, "patch").map(<[u8]>::to_vec);
        if let Some(bytes) = brought.filter(|_| error.is_none()) {
            match self.bring(from.account, &name, base, &bytes) {
                Ok(()) => self.tell_devices(from, &name),
                Err(PatchError::Old) => error = Some((409, "conflict".to_owned())),
                Err(PatchError::Broken(reason)) => {
                    tracing::warn!(device = %from, collection = name, reason, "a patch is refused");
                    error = Some((400, reason));
                }
            }
        }
        let empty = Collection::default();
        let state = &self.directory.get(from.account).phone.app_state;
        let collection = state.0.get(&name).unwrap_or(&empty);
        let mut answer =
            NodeBuilder::new("collection").attr("name", name.as_str()).attr("version", collection.version());
        let mut children = Vec::new();
        if let Some((code, text)) = error {
            answer = answer.attr("type", "error");
            children.push(NodeBuilder::new("error").attr("code", code).attr("text", text).build());
        }
        let known = usize::try_from(base).unwrap_or(usize::MAX).min(collection.patches.len());
        let lacking = &collection.patches[known..];
        let is_paged = lacking.len() > 1 && self.faults.hits(FaultKind::PagedAppState, from.account);
        if is_paged {
            answer = answer.attr("has_more_patches", "true");
        }
        let lacking: Vec<Node> = lacking
            .iter()
            .take(if is_paged { 1 } else { usize::MAX })
            .map(|patch| NodeBuilder::new("patch").bytes(patch.encode_to_vec()).build())
            .collect();
        if !lacking.is_empty() {
            children.push(NodeBuilder::new("patches").children(lacking).build());
        }
        if children.is_empty() { answer.build() } else { answer.children(children).build() }
    }

    fn bring(&mut self, account: AccountId, name: &str, base: u64, bytes: &[u8]) -> Result<(), PatchError> {
        let mut patch =
            wa::SyncdPatch::decode_from_slice(bytes).map_err(|_| PatchError::Broken("it is no patch".to_owned()))?;
        let phone = &mut self.directory.get_mut(account).phone;
        let keys = phone.app_state_keys();
        let collection = phone.app_state.0.entry(name.to_owned()).or_default();
        if base != collection.version() {
            return Err(PatchError::Old);
        }
        // The server numbers it; its maker has counted on that number.
        patch.version = MessageField::some(wa::SyncdVersion { version: Some(base + 1) });
        collection.take(name, patch, &keys).map_err(PatchError::Broken)
    }

    /// All but the one that knows.
    fn tell_devices(&mut self, knows: DeviceAddress, name: &str) {
        let account = self.directory.get(knows.account);
        let version = account.phone.app_state.0.get(name).map_or(0, Collection::version);
        let devices: Vec<DeviceAddress> =
            account.companions.keys().map(|id| knows.account.device(*id)).filter(|device| *device != knows).collect();
        let id = self.stanza_id();
        let changed = NodeBuilder::new("collection").attr("name", name).attr("version", version).build();
        let notification = NodeBuilder::new("notification")
            .attr("from", Form::Pn.jid(knows.account.primary()))
            .attr("type", "server_sync")
            .attr("id", id.as_str())
            .attr("t", self.time())
            .children([changed])
            .build();
        for device in devices {
            self.deliver(knows, device, Class::Notification, &id, notification.clone());
        }
    }

    /// The owner sets something on the phone; the devices are told.
    pub(crate) fn set_on_phone(&mut self, account: AccountId, setting: &Setting) -> Result<(), String> {
        let jid = |number: &str| {
            let peer = self.directory.find_text(number).ok_or_else(|| format!("nobody has the number {number}"))?;
            Ok::<_, String>(Form::Pn.jid(peer.primary()).to_string())
        };
        let (schema, index, mut value) = match setting {
            Setting::Person { number, name, first } => {
                let contact = action::ContactAction {
                    full_name: Some(name.clone()),
                    first_name: Some(first.clone()).filter(|first| !first.is_empty()),
                    ..Default::default()
                };
                let value = wa::SyncActionValue { contact_action: MessageField::some(contact), ..Default::default() };
                (&schemas::CONTACT, vec![jid(number)?], value)
            }
            Setting::Label { id, name, color } => (&schemas::LABEL_EDIT, vec![id.clone()], label(Some(name), *color)),
            Setting::LabelGone { id } => (&schemas::LABEL_EDIT, vec![id.clone()], label(None, 0)),
            Setting::Labelled { id, chat, on } => {
                let labelled = action::LabelAssociationAction { labeled: Some(*on), ..Default::default() };
                let value = wa::SyncActionValue {
                    label_association_action: MessageField::some(labelled),
                    ..Default::default()
                };
                (&schemas::LABEL_JID, vec![id.clone(), jid(chat)?], value)
            }
            Setting::Archived { chat, on } => {
                let archived = action::ArchiveChatAction { archived: Some(*on), ..Default::default() };
                let value =
                    wa::SyncActionValue { archive_chat_action: MessageField::some(archived), ..Default::default() };
                (&schemas::ARCHIVE, vec![jid(chat)?], value)
            }
        };
        value.timestamp = i64::try_from(self.time_ms()).ok();
        self.set(account, schema, index, &value)
    }

    fn set(
        &mut self,
        account: AccountId,
        schema: &Schema,
        index: Vec<String>,
        value: &wa::SyncActionValue,
    ) -> Result<(), String> {
        let name = schema.collection.as_str();
        let index: Vec<String> = std::iter::once(schema.name.to_owned()).chain(index).collect();
        let index = serde_json::to_vec(&index).map_err(|e| e.to_string())?;
        let iv: [u8; 16] = self.rng.random();
        let phone = &mut self.directory.get_mut(account).phone;
        let keys = phone.app_state_keys();
        let collection = phone.app_state.0.entry(name.to_owned()).or_default();
        let version = i32::try_from(schema.version).unwrap_or(i32::MAX);
        let (mutation, _) = encode_record(SyncdOperation::SET, &index, value, &keys, &APP_STATE_KEY_ID, &iv, version);
        let mutations = vec![mutation];
        let mut hash = collection.hash.clone();
        hash.update_hash(&mutations, |index, _| Ok(collection.values.get(index).cloned()))
            .1
            .map_err(|e| e.to_string())?;
        hash.version += 1;
        let mut patch = wa::SyncdPatch {
            version: MessageField::some(wa::SyncdVersion { version: Some(hash.version) }),
            mutations,
            snapshot_mac: Some(hash.generate_snapshot_mac(name, &keys.snapshot_mac)),
            key_id: MessageField::some(wa::KeyId { id: Some(APP_STATE_KEY_ID.to_vec()) }),
            ..Default::default()
        };
        patch.patch_mac = Some(generate_patch_mac(&patch, name, &keys.patch_mac, hash.version));
        collection.take(name, patch, &keys)?;
        self.tell_devices(account.primary(), name);
        Ok(())
    }
}

fn label(name: Option<&String>, color: i32) -> wa::SyncActionValue {
    let edit = action::LabelEditAction {
        name: name.cloned(),
        color: Some(color),
        deleted: Some(name.is_none()),
        ..Default::default()
    };
    wa::SyncActionValue { label_edit_action: MessageField::some(edit), ..Default::default() }
}

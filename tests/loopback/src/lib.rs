//! A WhatsApp network on loopback: the real protocol, for tests and the demo.
//!
//! [`Network`] is a server that real clients cannot tell from WhatsApp's, with the phones and the customers that
//! belong to it. It owns the accounts, their Signal state and everything that waits for a device; it promises that
//! a stanza is delivered until it is acknowledged, and that it verifies what it is given. It keeps nothing on disk
//! and never dials out.
//!
//! | module | owns |
//! |---|---|
//! | `network`, `shell`, `transport`, `control` | the rim: methods, lock and tasks, sockets, HTTP |
//! | `cert`, `handshake` | the Noise identity and handshake |
//! | `world` | the state and logins; pure, effects out |
//! | `account`, `keys`, `queue` | accounts and linked devices, their keys, what waits for them |
//! | `pairing`, `link_code`, `passkey` | linking by QR and by code; the passkey that some accounts ask for |
//! | `adoption` | devices that were linked elsewhere |
//! | `media` | the media host |
//! | `iq`, `routing` | requests; messages, receipts, acks |
//! | `news` | what is told of people: devices that come and go, new keys, new numbers; broadcast lists |
//! | `groups`, `group_rules`, `group_chat` | groups and their changes; who may do what and come in; messages in them |
//! | `statuses` | what is shown to many for a day |
//! | `app_state` | the settings that an account's devices share |
//! | `blocks`, `calls` | whom one blocks; calls that ring |
//! | `mex`, `channels` | WhatsApp's GraphQL; channels |
//! | `presence`, `profile` | who is there, who types; pictures and what people say of themselves |
//! | `history` | what a phone tells its devices of its chats |
//! | `signal`, `contact`, `writing`, `phone` | the endpoints that live here: phones and customers |
//! | `say`, `compose`, `inbox`, `archive` | what they say, what that is on the wire, what they read and remember |
//! | `faults`, `ledger`, `stats` | what goes wrong, what has crossed, what is counted |

#![allow(clippy::disallowed_methods, reason = "a network has its own clock, and its own chance unless a seed is given")]

mod account;
mod adoption;
mod app_state;
mod archive;
mod blocks;
mod calls;
mod cert;
mod channels;
mod compose;
mod contact;
mod control;
mod faults;
mod group_chat;
mod group_rules;
mod groups;
mod handshake;
mod history;
mod inbox;
mod iq;
mod keys;
mod ledger;
mod link_code;
mod media;
mod mex;
mod network;
mod news;
mod pairing;
mod passkey;
mod phone;
mod presence;
mod profile;
mod queue;
mod routing;
mod say;
mod shell;
pub mod signal;
mod stanza;
mod stats;
mod statuses;
mod transport;
mod world;
mod writing;

pub use account::Form;
pub use adoption::AdoptedDevice;
pub use app_state::Setting;
pub use calls::{Call, CallEnd};
pub use cert::is_taken_for_whatsapp;
pub use channels::{ChannelInfo, ChannelPost};
pub use faults::{Fault, FaultKind};
pub use groups::{Change, GroupInfo, GroupRules, Rank};
pub use history::Lie;
pub use inbox::{Attachment, Received};
pub use ledger::{Counts, Nack, Reuse, WireMessage};
pub use network::{DeviceInfo, Network, NetworkConfig, NetworkError, PhoneInfo};
pub use passkey::Passkey;
pub use presence::{ChatState, Seen};
pub use profile::ProfileInfo;
pub use queue::Class;
pub use say::{Card, File, Say};
pub use stats::{Stats, Stuck};
pub use world::Babble;

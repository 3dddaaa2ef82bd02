//! Files of messages: where they are kept, under which names, for how long, and what they are. Never speaks to WhatsApp: whoever
//! wants a file that is not here asks the session.
//!
//! A file is kept under its tenant and the name of its message ([`FileName`]), so that its URL ([`Links`]) is known as soon as the
//! message is. What is kept can be lost at any time: it is fetched from WhatsApp again. Nothing here holds a file in memory.
//!
//! Promises: no tenant keeps more than its share ([`MediaConfig`](crate::config::MediaConfig)), all together no more than theirs, at
//! any time; and none of it goes on a disk that has less than the reserve left ([`DiskReserve`]).

mod attachment;
mod disk_watch;
mod keeper;
mod kind;
mod name;
mod place;
mod quota;
mod reserve;
mod sound;
mod spool;
mod sweep;
mod thumbnail;
pub mod title;

pub use self::{
    attachment::{Attachment, AttachmentKind, Fit, Origin},
    disk_watch::DiskWatch,
    keeper::{Keeper, MediaStoreError, StoredFile},
    kind::{HEAD, is_document, is_shown, of_document, sniff},
    name::{FileName, InvalidFileName, Links},
    place::open as open_place,
    reserve::{DiskReserve, DiskSpace, Disks, FULL_PART},
    sound::seconds,
    spool::{STEP as SPOOL_STEP, Spool, SpoolWriter, Spooled, TooLarge, UrlFetchError},
    sweep::{MessageLookup, Sweeper},
    thumbnail::{Preview, portrait, preview},
};

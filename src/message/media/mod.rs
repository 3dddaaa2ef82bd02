//! Files of messages: where they are kept, under which names, for how long, and what they are. Never speaks to WhatsApp: whoever
//! wants a file that is not here asks the session.
//!
//! A file is kept under its tenant and the name of its message ([`FileName`]), so that its URL ([`Links`]) is known as soon as the
//! message is. What is kept can be lost at any time: it is fetched from WhatsApp again. Nothing here holds a file in memory.

mod attachment;
mod keeper;
mod kind;
mod name;
mod place;
mod sound;
mod spool;
mod sweep;
mod thumbnail;

pub use self::{
    attachment::{Attachment, AttachmentKind, Fit, Origin},
    keeper::{Keeper, Kept, Unkept},
    kind::{HEAD, is_shown, sniff},
    name::{FileName, InvalidFileName, Links},
    place::open as open_place,
    sound::seconds,
    spool::{Pen, Spool, Spooled, TooLarge, Unfetched},
    sweep::{Sweeper, Witness},
    thumbnail::{Preview, preview},
};

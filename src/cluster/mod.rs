//! The processes on one vault: which of them live, who should own a tenant, and how one asks another for it.
//!
//! Pure: it is told what was seen, when, and what others have written, and says what to do. The fleet reads, writes and acts
//! (`fleet::handover`), and `api::forward` asks a peer for what only that one can answer. It decides nothing: the journal's takeover
//! alone says who owns a tenant. A guess that is wrong here costs politeness, which is one login more, never a message.
//!
//! A tenant changes hands like this. The owner offers it in a letter, because it is about to stop. The next owner reads the tenant's state,
//! asks for it, and waits. The owner lets go of it and answers; the next owner reads the rest, takes over, and dials. An owner that
//! does not answer in time, or is dead, is not waited for.

mod giver;
mod introduction;
mod joiner;
mod letter;
mod peers;
mod post;
mod process_identity;
mod rendezvous;
#[cfg(test)]
mod schedules;

pub use self::{
    giver::Giver,
    introduction::{
        HELLO_HEADER, HELLO_PATH, Hello, IntroductionError, IntroductionNonce, Introductions, PROOF_HEADER, ProvenPeer,
        head_digest, is_of_connection,
    },
    joiner::{Joiner, JoinerMove},
    letter::{HandoverAnswer, HandoverAsk, HandoverVerdict, Letter},
    peers::{BOX_PAUSE, LETTER_BOX, PeerLook, Peers},
    post::{LetterReading, Post},
    process_identity::this_process,
    rendezvous::should_own,
};

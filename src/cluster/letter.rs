//! What one process writes to another: all that it has to say to it now. The next letter replaces the one before, so that reading the
//! newest is enough, and one that is read twice changes nothing.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{tenant::TenantId, vault::Seq};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Letter {
    /// Higher in each that the sender writes: see [`super::Post`].
    pub number: u64,
    /// Asks for a sign of life: the reader repeats it as `heard`.
    pub knock: u64,
    pub heard: u64,
    /// The sender is about to stop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// The sender has stopped, and has nothing any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Tenants that the sender has, and the reader should: it may ask for them, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<TenantId>,
    /// Tenants that the sender wants of the reader.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<HandoverAsk>,
    /// To what the reader has asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<HandoverAnswer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverAsk {
    pub tenant: TenantId,
    /// Of the asker, never used again: an answer belongs to one ask.
    pub number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverAnswer {
    pub tenant: TenantId,
    pub number: u64,
    #[serde(flatten)]
    pub verdict: HandoverVerdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum HandoverVerdict {
    /// Heard: the owner is letting go of it.
    Coming,
    /// It is free, and everything up to this document is in the vault.
    Given { last: u64 },
    /// The owner cannot let go of it now, or does not have it.
    Kept,
}

impl HandoverVerdict {
    pub fn given(last: Seq) -> Self {
        Self::Given { last: last.0 }
    }
}

impl Letter {
    pub fn write(&self) -> Bytes {
        serde_json::to_vec(self).expect("a letter has nothing that is no JSON").into()
    }

    /// `None`: a later version wrote something that this one does not know. Then it is as if there were no letter.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_comes_back_as_it_was_written() {
        let tenant: TenantId = "trattoria".parse().unwrap();
        let letter = Letter {
            number: 5,
            knock: 1,
            heard: 2,
            draining: true,
            stopped: false,
            offers: vec![tenant.clone()],
            asks: vec![HandoverAsk { tenant: tenant.clone(), number: 7 }],
            answers: vec![HandoverAnswer { tenant, number: 3, verdict: HandoverVerdict::given(Seq(12)) }],
        };
        assert_eq!(Letter::read(&letter.write()), Some(letter.clone()));
        let written = serde_json::to_value(&letter).unwrap();
        assert_eq!(written["answers"][0]["verdict"], "given");
        assert_eq!(Letter::read(b"not JSON"), None);
        assert_eq!(Letter::read(b"{\"later\": 1}"), Some(Letter::default()));
    }
}

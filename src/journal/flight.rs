//! One group of frozen documents on its way into the vault: what to ask next, and what an answer means. No I/O.
//!
//! An append whose answer is lost may have happened, may still happen, or never will. So after a lost answer the document
//! is read before anything else is done, and what is sent again is the same, byte for byte: whichever of the copies
//! lands, it says the same, and it lands once. When a lost answer turns out to have been a yes, the document after the
//! group is read too: this process may have slept, and another may have taken over since.

use std::ops::Range;

use super::{Loss, chain::Frozen};
use crate::{
    seal::Digest,
    vault::{AppendError, Decision, JournalDocument, Seq, VaultError},
};

/// What the driver is to ask the vault.
#[derive(Debug)]
pub(super) enum VaultRequest<'a> {
    /// After the document with this digest, if that is known.
    Append(Option<Digest>, &'a [JournalDocument], Option<&'a Decision>),
    Document(Seq),
}

/// What an answer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AppendVerdict {
    /// Ask again, now.
    Onward,
    /// Ask again after a while.
    BackOff,
    /// All of it is in the vault.
    Landed,
    /// Another owner's document stands in the way, or follows.
    Fenced,
    /// The vault has lost something that was there, or another owner has compacted it: who asks finds out.
    Lost(Loss),
    Refused(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The commit is to be sent.
    Send,
    /// The commit may have landed: its first document is to be read. Was it said to exist?
    Compare { exists: bool },
    /// It landed, but nobody knows when: nothing may follow it.
    LookBeyond,
}

#[derive(Debug)]
pub(super) struct PendingAppend {
    pub frozen: Frozen,
    /// What goes into each commit.
    commits: Vec<Range<usize>>,
    /// The commit that is on its way.
    at: usize,
    stage: Stage,
}

impl PendingAppend {
    pub fn new(frozen: Frozen, max_append: usize) -> Self {
        let commits = commits(&frozen.documents, max_append);
        Self { frozen, commits, at: 0, stage: Stage::Send }
    }

    pub fn ask(&self) -> VaultRequest<'_> {
        let documents = &self.frozen.documents;
        let Range { start, end } = self.commits[self.at].clone();
        let commit = &documents[start..end];
        match self.stage {
            Stage::Send => {
                let before = start.checked_sub(1).map_or(self.frozen.before, |before| Some(documents[before].digest()));
                VaultRequest::Append(before, commit, self.frozen.decision.as_ref().filter(|_| self.is_last()))
            }
            Stage::Compare { .. } => VaultRequest::Document(commit[0].seq),
            Stage::LookBeyond => VaultRequest::Document(self.frozen.after.last.next()),
        }
    }

    /// The answer to [`VaultRequest::Append`].
    pub fn appended(&mut self, answer: Result<(), AppendError>) -> AppendVerdict {
        match answer {
            Ok(()) => self.landed(),
            Err(AppendError::Exists) => {
                // Ours, when a layer below has sent it twice.
                self.stage = Stage::Compare { exists: true };
                AppendVerdict::Onward
            }
            Err(AppendError::Vault(VaultError::Unavailable(_))) => {
                self.stage = Stage::Compare { exists: false };
                AppendVerdict::BackOff
            }
            Err(AppendError::Gap) => {
                let first = &self.frozen.documents[self.commits[self.at].start];
                AppendVerdict::Lost(Loss::Entry(first.seq.previous().unwrap_or(first.seq)))
            }
            Err(AppendError::TenantGone) => AppendVerdict::Lost(Loss::Record),
            Err(AppendError::Vault(refused)) => AppendVerdict::Refused(refused.to_string()),
        }
    }

    /// The answer to [`VaultRequest::Document`].
    pub fn saw(&mut self, answer: Result<Option<JournalDocument>, VaultError>) -> AppendVerdict {
        match (self.stage, answer) {
            (_, Err(VaultError::Unavailable(_))) => AppendVerdict::BackOff,
            (_, Err(refused)) => AppendVerdict::Refused(refused.to_string()),
            (Stage::LookBeyond, Ok(None)) => AppendVerdict::Landed,
            (Stage::LookBeyond, Ok(Some(_))) => AppendVerdict::Fenced,
            (stage, Ok(None)) => {
                self.stage = Stage::Send;
                // An append that says "exists" and a read that says "does not" shall not chase each other.
                if stage == (Stage::Compare { exists: true }) { AppendVerdict::BackOff } else { AppendVerdict::Onward }
            }
            (_, Ok(Some(found))) => {
                let ours = &self.frozen.documents[self.commits[self.at].start];
                match found.payload == ours.payload && found.writer == ours.writer {
                    true if self.is_last() => {
                        self.stage = Stage::LookBeyond;
                        AppendVerdict::Onward
                    }
                    true => self.landed(),
                    false => AppendVerdict::Fenced,
                }
            }
        }
    }

    fn landed(&mut self) -> AppendVerdict {
        if self.is_last() {
            return AppendVerdict::Landed;
        }
        self.at += 1;
        self.stage = Stage::Send;
        AppendVerdict::Onward
    }

    fn is_last(&self) -> bool {
        self.at + 1 == self.commits.len()
    }
}

/// As many documents in each commit as fit.
fn commits(documents: &[JournalDocument], max_append: usize) -> Vec<Range<usize>> {
    let mut commits = Vec::with_capacity(1);
    let (mut start, mut bytes) = (0, 0);
    for (n, document) in documents.iter().enumerate() {
        if n > start && bytes + document.payload.len() > max_append {
            commits.push(start..n);
            (start, bytes) = (n, 0);
        }
        bytes += document.payload.len();
    }
    commits.push(start..documents.len());
    commits
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;
    use crate::{
        journal::chain::Head,
        vault::{DocumentKind, InstanceId},
    };

    fn document(seq: u64, payload: &'static str) -> JournalDocument {
        JournalDocument {
            seq: Seq(seq),
            kind: DocumentKind::Part,
            writer: InstanceId("me".into()),
            at: Timestamp::UNIX_EPOCH,
            payload: Bytes::from_static(payload.as_bytes()),
        }
    }

    /// Three documents of four bytes, at most two a commit.
    fn flight() -> PendingAppend {
        let documents = vec![document(5, "aaaa"), document(6, "bbbb"), document(7, "cccc")];
        let after = Head { last: Seq(7), ..Head::START };
        let before = Some(Digest::of([&b"before"[..]]));
        PendingAppend::new(Frozen { documents, before, decision: Some(Decision::default()), after }, 8)
    }

    fn asks(flight: &PendingAppend) -> (Vec<u64>, bool) {
        match flight.ask() {
            VaultRequest::Append(before, documents, decision) => {
                let expected = if documents[0].seq == Seq(5) { &b"before"[..] } else { b"bbbb" };
                assert_eq!(before, Some(Digest::of([expected])));
                (documents.iter().map(|d| d.seq.0).collect(), decision.is_some())
            }
            VaultRequest::Document(seq) => panic!("asks for {seq}"),
        }
    }

    fn looks_at(flight: &PendingAppend) -> u64 {
        match flight.ask() {
            VaultRequest::Document(seq) => seq.0,
            VaultRequest::Append(..) => panic!("appends"),
        }
    }

    fn unavailable() -> VaultError {
        VaultError::Unavailable("gone".into())
    }

    #[test]
    fn the_decision_goes_with_the_last_document() {
        let mut flight = flight();
        assert_eq!(asks(&flight), (vec![5, 6], false));
        assert_eq!(flight.appended(Ok(())), AppendVerdict::Onward);
        assert_eq!(asks(&flight), (vec![7], true));
        assert_eq!(flight.appended(Ok(())), AppendVerdict::Landed);
    }

    #[test]
    fn after_a_lost_answer_it_looks_before_it_sends_again() {
        let mut flight = flight();
        assert_eq!(flight.appended(Err(unavailable().into())), AppendVerdict::BackOff);
        assert_eq!(looks_at(&flight), 5);
        assert_eq!(flight.saw(Err(unavailable())), AppendVerdict::BackOff);
        assert_eq!(looks_at(&flight), 5);
        assert_eq!(flight.saw(Ok(None)), AppendVerdict::Onward);
        assert_eq!(asks(&flight), (vec![5, 6], false));
        assert_eq!(flight.appended(Err(unavailable().into())), AppendVerdict::BackOff);
        assert_eq!(flight.saw(Ok(Some(document(5, "aaaa")))), AppendVerdict::Onward);
        assert_eq!(asks(&flight), (vec![7], true));
    }

    #[test]
    fn a_lost_yes_counts_only_while_nothing_follows() {
        for (beyond, verdict) in [(None, AppendVerdict::Landed), (Some(document(8, "takeover")), AppendVerdict::Fenced)]
        {
            let mut flight = flight();
            assert_eq!(flight.appended(Ok(())), AppendVerdict::Onward);
            assert_eq!(flight.appended(Err(unavailable().into())), AppendVerdict::BackOff);
            assert_eq!(flight.saw(Ok(Some(document(7, "cccc")))), AppendVerdict::Onward);
            assert_eq!(looks_at(&flight), 8);
            assert_eq!(flight.saw(Ok(beyond)), verdict);
        }
    }

    #[test]
    fn another_document_of_the_number_means_fenced() {
        let mut flight = flight();
        assert_eq!(flight.appended(Err(AppendError::Exists)), AppendVerdict::Onward);
        assert_eq!(looks_at(&flight), 5);
        assert_eq!(flight.saw(Ok(Some(document(5, "zzzz")))), AppendVerdict::Fenced);
    }

    #[test]
    fn an_answer_of_no_is_no_lost_answer() {
        assert_eq!(flight().appended(Err(AppendError::TenantGone)), AppendVerdict::Lost(Loss::Record));
        assert_eq!(flight().appended(Err(AppendError::Gap)), AppendVerdict::Lost(Loss::Entry(Seq(4))));
        let refused = AppendError::Vault(VaultError::Refused("permission".into()));
        assert!(matches!(flight().appended(Err(refused)), AppendVerdict::Refused(_)));
    }
}

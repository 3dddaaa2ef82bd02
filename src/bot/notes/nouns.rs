//! Classifies a note's words: nouns, adjectives, quantities, items of the menu.

use super::{NoteReader, words::is_article};
use crate::bot::{
    lexicon,
    mention::{Circumstances, mention_at, value},
};

impl NoteReader<'_> {
    pub(super) fn word(&self, at: usize) -> &str {
        if at < self.end { self.reading.word(at) } else { "" }
    }

    pub(super) fn is_mark(&self, at: usize) -> bool {
        at >= self.end || !self.reading.tokens[at].token.is_word()
    }

    pub(super) fn is_of_host(&self, at: usize) -> bool {
        let Some(token) = self.reading.tokens.get(at) else { return false };
        let words: Vec<_> = token.hits.iter().map(|(word, _)| *word).collect();
        self.host.iter().any(|item| self.index.contains(*item, &words))
    }

    /// The word begins an item of the menu rather than names something on this one.
    pub(super) fn begins_item(&self, at: usize) -> bool {
        if self.is_of_host(at) || self.reading.tokens.get(at).is_none_or(|token| token.hits.is_empty()) {
            return false;
        }
        let here = Circumstances { scope: None, has_quantity: false, is_attribute: false };
        mention_at(self.index, self.reading, at, here).is_some_and(|mention| {
            // The drink of a combo.
            let included = mention.candidates.iter().all(|item| {
                self.host.iter().any(|host| self.index.contains(*host, &self.index.items[usize::from(*item)].kinds))
            });
            !included && mention.is_headed && (!lexicon::is_ingredient(self.word(at)) || mention.words >= 2)
        })
    }

    pub(super) fn is_quantity(&self, at: usize) -> bool {
        matches!(self.word(at), "un" | "una" | "unos" | "unas" | "otro" | "otra" | "otros" | "otras" | "par")
            || at < self.end
                && value(self.reading, at).is_some()
                && !matches!(self.word(at), "medio" | "media" | "cuarto")
    }

    pub(super) fn is_noun(&self, at: usize) -> bool {
        if self.is_mark(at) {
            return false;
        }
        let word = self.word(at);
        let food = lexicon::is_ingredient(word) || self.is_of_host(at);
        food || !lexicon::is_connector(word)
            && !lexicon::is_everyday(word)
            && word.len() >= 2
            && value(self.reading, at).is_none()
    }

    pub(super) fn is_adjective(&self, at: usize) -> bool {
        !self.is_mark(at) && lexicon::is_preparation(self.word(at)) && !self.begins_item(at)
    }

    /// A noun with what describes it: `queso rallado`, `carne de cerdo`, `salsa aparte`. The range, articles left out.
    pub(super) fn noun_phrase(&self, at: usize) -> Option<(usize, usize)> {
        let mut start = at;
        while is_article(self.word(start)) && start < at + 4 {
            start += 1;
        }
        if !self.is_noun(start) && !self.is_adjective(start) {
            return None;
        }
        let mut end = start + 1;
        loop {
            if matches!(self.word(end), "de" | "del")
                && self.is_noun(end + 1)
                && !self.is_quantity(end + 1)
                && end < start + 4
            {
                end += 2;
                continue;
            }
            let describes =
                matches!(self.word(end), "extra" | "aparte" | "encima" | "adicional") || self.is_adjective(end);
            let is_unheard = !self.is_mark(end)
                && lexicon::is_unheard(self.word(end))
                && !self.begins_item(end)
                && value(self.reading, end).is_none()
                && end < start + 3;
            if !describes && !is_unheard {
                break;
            }
            end += 1;
        }
        Some((start, end))
    }
}

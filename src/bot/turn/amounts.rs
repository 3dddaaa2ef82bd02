//! Numbers that count something else than units: money, sizes, offers. Where one may mean units or not, the customer is
//! asked.

use super::*;
use crate::bot::index::NamePart;

/// `3 x 10`, `2 por 15000`: so many for a price.
pub(super) struct Offer {
    pub units: u32,
    pub end: usize,
    /// It may be pieces as well as a price.
    pub is_doubtful: bool,
}

/// More than this nobody means by a size.
const LARGEST_SIZE: u32 = 1_000_000;
/// A bare number of a drink is millilitres from here on.
const SMALLEST_SIZE: u32 = 100_000;
const MOST_PROPOSED: u32 = 200;

impl BasketTurn<'_> {
    /// An amount of money, or thousands of things.
    pub(super) fn amount_at(&self, at: usize) -> Option<u32> {
        if at >= self.limit {
            return None;
        }
        match self.reading.tokens[at].token.kind {
            TokenKind::Amount(amount) => Some(amount),
            TokenKind::Number(value) if value >= LARGEST_SIZE => Some(value / 1_000),
            _ => None,
        }
    }

    /// `10 mil de lumpias`, `1.200 lumpias`, `lumpias por 20 mil`.
    pub(super) fn take_amount(&mut self, at: usize, amount: u32) -> usize {
        let next = at + 1;
        let before = if at > self.start { self.word(at - 1).to_owned() } else { String::new() };
        if let Some(end) = self.worth_of_last(at, amount) {
            return end;
        }
        let is_price = matches!(before.as_str(), "a" | "de" | "vale" | "valen" | "cuesta" | "cuestan" | "con");
        if matches!(self.word(next), "de" | "del" | "en") && !is_price {
            let mut from = next + 1;
            while matches!(self.word(from), "la" | "las" | "el" | "los" | "esas" | "esos" | "puras" | "puros" | "solo")
            {
                from += 1;
            }
            if let Some(mention) = self.dish_at(from) {
                self.ask_worth(&mention, amount);
                self.last_end = mention.end;
                return mention.end;
            }
        }
        if !is_price
            && before != "$"
            && let Some(mention) = self.dish_at(next)
        {
            let end = mention.end;
            let phrase = Phrase {
                start: at,
                end,
                quantity: Quantity::Number(amount.min(MAX_QUANTITY)),
                is_definite: false,
                is_sole: false,
                is_attribute: false,
                mention: Some(mention),
            };
            return self.take_phrase(phrase);
        }
        next
    }

    /// `1 200 lumpias`, `2 por tamal`: a number with something between it and its dish.
    pub(super) fn take_parted_number(&mut self, at: usize) -> Option<usize> {
        let units = value(self.reading, at).filter(|value| value % 1_000 == 0 && at < self.limit)? / 1_000;
        let is_first = at == self.start || self.is_break(at - 1) || crate::bot::intent::is_command(self.word(at - 1));
        if !is_first || self.replacing.is_some() || !(1..1_000).contains(&units) {
            return None;
        }
        let (units, mention) = if self.word(at + 1) == "por" && units >= 2 {
            (units, self.dish_at(at + 2)?)
        } else {
            let rest = self.group_behind(at)?;
            // `1 350 pepsi` is a size.
            let mention = self.dish_at(at + 2).filter(|mention| !self.is_measured(mention))?;
            (units * 1_000 + rest, mention)
        };
        let end = mention.end;
        Some(self.take_phrase(Phrase {
            start: at,
            end,
            quantity: Quantity::Number(units.min(MAX_QUANTITY)),
            is_definite: false,
            is_sole: false,
            is_attribute: false,
            mention: Some(mention),
        }))
    }

    /// Three digits behind a blank: hundreds of the thousands before it.
    fn group_behind(&self, at: usize) -> Option<u32> {
        let (first, group) = (&self.reading.tokens[at].token, &self.reading.tokens.get(at + 1)?.token);
        let between = self.reading.text.get(first.span.end..group.span.start)?;
        let is_group = group.text.len() == 3 && group.text.chars().all(|c| c.is_ascii_digit());
        let is_digits = first.text.chars().all(|c| c.is_ascii_digit());
        let is_blank = matches!(between, " " | "\u{a0}" | "\u{202f}" | "\u{2009}");
        (is_group && is_digits && is_blank && at + 1 < self.limit).then(|| group.number())?.map(|value| value / 1_000)
    }

    /// Its kind comes in sizes.
    fn is_measured(&self, mention: &Mention) -> bool {
        mention.candidates.iter().any(|item| {
            let names = &self.index.items[usize::from(*item)].names;
            names.iter().any(|name| name.parts.iter().any(|part| matches!(part, NamePart::Measure(..))))
        })
    }

    /// A dish that is named without a number of its own.
    pub(super) fn dish_at(&self, at: usize) -> Option<Mention> {
        let phrase = self.phrase(at).filter(|_| at < self.limit)?;
        let mention = phrase.mention.filter(|_| phrase.quantity == Quantity::None && !phrase.is_definite)?;
        (!mention.is_foreign && (mention.is_headed || mention.is_full)).then_some(mention)
    }

    /// An amount behind the dish: its price, or so much worth of it.
    fn worth_of_last(&mut self, at: usize, amount: u32) -> Option<usize> {
        let mut start = at;
        while start > self.start
            && matches!(
                self.word(start - 1),
                "por" | "x" | "como" | "unos" | "unas" | "valor" | "de" | "$" | ":" | "-" | "total"
            )
        {
            start -= 1;
        }
        let is_bought_by = (start..at).any(|n| matches!(self.word(n), "por" | "x"));
        let is_named = start == at || (start..at).all(|n| matches!(self.word(n), "$" | ":" | "-"));
        if self.last_end != start || !is_bought_by && !is_named {
            return None;
        }
        let focus = self.focus.filter(|id| self.slots.get(*id).is_some_and(|slot| slot.is_fresh))?;
        if self.last_counted {
            return Some(at + 1);
        }
        let slot = self.slots.get(focus)?;
        let [item] = slot.candidates[..] else { return Some(at + 1) };
        let price = self.index.items[usize::from(item)].price;
        // A menu's own line is copied with its price.
        if u64::from(amount) == price {
            return Some(at + 1);
        }
        let proposal = self.proposal(&[item], amount);
        if is_bought_by || proposal >= 2 {
            self.slots.ask_number(focus, proposal);
            self.parts = None;
        }
        Some(at + 1)
    }

    /// The units that an amount buys, where it is a multiple of the price.
    fn proposal(&self, candidates: &[ItemNo], amount: u32) -> u32 {
        let [item] = candidates else { return 0 };
        let price = self.index.items[usize::from(*item)].price;
        if price == 0 || !u64::from(amount).is_multiple_of(price) {
            return 0;
        }
        u32::try_from(u64::from(amount) / price).ok().filter(|units| *units <= MOST_PROPOSED).unwrap_or(0)
    }

    fn ask_worth(&mut self, mention: &Mention, amount: u32) {
        let proposal = self.proposal(&mention.candidates, amount);
        let id = self.slots.add(mention.candidates.clone(), 1, mention.options.clone(), true);
        self.slots.ask_number(id, proposal);
        self.is_touched = true;
        self.has_quantity = true;
        self.covered += mention.end - mention.start;
        self.parts = None;
        self.set_focus(Some(id));
    }

    /// `tamal por dos`: as often.
    pub(super) fn times_behind(&mut self, end: usize) -> Option<(u32, usize)> {
        if self.word(end) != "por" || self.replacing.is_some() {
            return None;
        }
        let units = value(self.reading, end + 1).filter(|value| value % 1_000 == 0 && end + 1 < self.limit)? / 1_000;
        let mut next = end + 2;
        if matches!(self.word(next), "unidades" | "und" | "unds") {
            next += 1;
        }
        let closes = self.is_break(next) && self.phrase(end + 1).is_none_or(|phrase| phrase.mention.is_none());
        (closes && (1..100).contains(&units)).then_some((units, next))
    }

    /// `3 x 10`, `2 por 15000`.
    pub(super) fn offer_at(&self, at: usize) -> Option<Offer> {
        let units = value(self.reading, at).filter(|value| value % 1_000 == 0 && at < self.limit)? / 1_000;
        if !matches!(self.word(at + 1), "x" | "por") || !(1..=MAX_QUANTITY).contains(&units) {
            return None;
        }
        let price = if self.word(at + 2) == "$" { at + 3 } else { at + 2 };
        if self.amount_at(price).is_some() {
            return Some(Offer { units, end: price + 1, is_doubtful: false });
        }
        let is_number = value(self.reading, price).is_some_and(|value| value % 1_000 == 0 && price < self.limit);
        is_number.then_some(Offer { units, end: price + 1, is_doubtful: true })
    }

    /// An offer before its dish: `2 por 15000 lumpias`.
    pub(super) fn take_offer(&mut self, at: usize) -> Option<usize> {
        let offer = self.offer_at(at)?;
        // `lumpias a 3 x 10`.
        if self.last_end.checked_add(1) == Some(at)
            && matches!(self.word(at - 1), "a" | "en" | "de")
            && !self.last_counted
            && let Some(focus) = self.focus.filter(|id| self.slots.get(*id).is_some_and(|slot| slot.is_fresh))
        {
            self.slots.ask_number(focus, offer.units);
            return Some(offer.end);
        }
        // `3 x 12 alitas`: plates.
        let mut from = offer.end;
        while matches!(self.word(from), "de" | "en" | "la" | "las" | "el" | "los") {
            from += 1;
        }
        let mention = self.dish_at(from)?;
        let phrase = Phrase {
            start: at,
            end: mention.end,
            quantity: Quantity::Number(offer.units),
            is_definite: false,
            is_sole: false,
            is_attribute: false,
            mention: Some(mention),
        };
        self.is_number_doubtful = offer.is_doubtful;
        let next = self.take_phrase(phrase);
        self.is_number_doubtful = false;
        Some(next)
    }

    /// `pepsi 3 litros`, where there is one of another size: it is not the wish.
    pub(super) fn take_other_size(&mut self, phrase: &Phrase, mention: &Mention, end: usize) -> Option<usize> {
        if !self.is_measured(mention) || self.said_number(mention) {
            return None;
        }
        let joined = matches!(self.word(end), "de" | "en");
        let at = if joined { end + 1 } else { end };
        if at >= self.limit {
            return None;
        }
        let is_size = match self.reading.tokens[at].token.kind {
            TokenKind::Measure(_) => true,
            TokenKind::Number(value) => value % 1_000 != 0 || (SMALLEST_SIZE..LARGEST_SIZE).contains(&value) || joined,
            _ => false,
        };
        // `pepsi de 2 tamales` counts what follows.
        let names_next = self.phrase(at).is_some_and(|next| next.quantity != Quantity::None && next.mention.is_some());
        if !is_size || names_next {
            return None;
        }
        if let [_] = mention.candidates[..] {
            self.has_quantity |= phrase.quantity != Quantity::None;
            self.push_unknown(mention.start, at + 1);
            return Some(at + 1);
        }
        // None of several has it: the sizes that there are will be told.
        let end = self.settle(phrase, mention, &self.slots.of(&mention.candidates), &self.in_basket(mention), at + 1);
        self.correcting_done();
        Some(end)
    }

    /// The number of a line that was asked for, with its dish. False: it was not said.
    pub(super) fn take_number(&mut self, asked: SlotId, mention: &Mention, units: Option<u32>) -> bool {
        let Some(slot) = self.slots.get_mut(asked) else { return false };
        slot.candidates.retain(|item| mention.candidates.contains(item));
        for option in &mention.options {
            if !slot.notes.contains(option) {
                slot.notes.push(option.clone());
            }
        }
        slot.is_fresh = true;
        self.is_touched = true;
        if let Some(units) = units.filter(|units| *units > 0) {
            self.slots.settle_number(asked, units.min(MAX_QUANTITY));
            self.last_counted = true;
        }
        self.set_focus(Some(asked));
        true
    }

    /// A bare number where one is asked for.
    pub(super) fn answer_number(&mut self, phrase: &Phrase) -> Option<usize> {
        let units = phrase.quantity.units().filter(|units| *units > 0)?;
        let asked = self.slots.all.iter().find(|slot| slot.asks_number && !slot.is_fresh)?.id;
        let mut next = phrase.end;
        while matches!(
            self.word(next),
            "unidades" | "und" | "unds" | "unidad" | "no" | "nomas" | "mas" | "esta" | "bien"
        ) {
            next += 1;
        }
        if !self.is_break(next) {
            return None;
        }
        self.slots.settle_number(asked, units.min(MAX_QUANTITY));
        self.is_touched = true;
        self.has_quantity = true;
        self.correcting_done();
        self.set_focus(Some(asked));
        Some(next)
    }
}

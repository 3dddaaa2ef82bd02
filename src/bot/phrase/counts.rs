//! Numbers, dozens, containers and pieces.

use crate::bot::{
    index::{Index, ItemNo, Likeness, NamePart},
    mention::{Circumstances, mention_at, value},
    reading::{ReadToken, Reading},
    text::{number, token::TokenKind},
};

pub(super) fn small_number(reading: &Reading<'_>, at: usize) -> Option<u32> {
    let token = reading.tokens.get(at)?;
    match token.token.kind {
        TokenKind::Number(value) if value % 1_000 == 0 => Some(value / 1_000),
        TokenKind::Word if names_another(token) => None,
        TokenKind::Word if token.hits.is_empty() || token.is_weak || number::word(&token.word).is_some() => {
            number::word(&token.word)
        }
        _ => None,
    }
}

/// `quatro`, a brand of the menu that sounds like a number.
fn names_another(token: &ReadToken) -> bool {
    !number::is_named(&token.word) && token.hits.iter().any(|(_, likeness)| *likeness == Likeness::Same)
}

pub(super) fn container(word: &str) -> bool {
    matches!(
        word,
        "porcion"
            | "porciones"
            | "orden"
            | "ordenes"
            | "plato"
            | "platos"
            | "vaso"
            | "vasos"
            | "botella"
            | "botellas"
            | "lata"
            | "latas"
            | "unidad"
            | "unidades"
            | "racion"
            | "raciones"
            | "caja"
            | "cajas"
            | "bolsa"
            | "bolsas"
            | "taza"
            | "tazas"
            | "pieza"
            | "piezas"
            | "und"
            | "unds"
            | "platico"
            | "platicos"
            | "vasito"
            | "vasitos"
            | "botellita"
            | "pocillo"
            | "pocillos"
            | "jarra"
            | "copas"
            | "copa"
            | "sabores"
            | "paquete"
            | "paquetes"
            | "pedido"
            | "pedidos"
            | "tacita"
            | "tarro"
            | "tarros"
            | "porcioncita"
    )
}

/// `una y media docena`, `dos docenas y media`, `un centenar`: units, and where the words end.
pub(super) fn dozens_at(index: &Index, reading: &Reading<'_>, at: usize, limit: usize) -> Option<(u32, usize)> {
    let word = |at: usize| if at < limit { reading.word(at) } else { "" };
    let half = |at: usize| matches!(word(at), "media" | "medio") || at < limit && value(reading, at) == Some(500);
    let (mut many, mut next) = match word(at) {
        "un" | "una" => (1_000, at + 1),
        _ => (value(reading, at).filter(|_| at < limit)?, at + 1),
    };
    if many >= 1_000 && word(next) == "y" && half(next + 1) {
        many += 500;
        next += 2;
    } else if many >= 1_000 && half(next) {
        many += 500;
        next += 1;
    }
    let size = match word(next) {
        "docena" | "docenas" | "docenita" => 12,
        "decena" | "decenas" => 10,
        "centenar" | "centenares" => 100,
        _ => return None,
    };
    let free = Circumstances { scope: None, has_quantity: false, is_attribute: false };
    if mention_at(index, reading, next, free).is_some_and(|mention| mention.words >= 2) {
        return None;
    }
    next += 1;
    if word(next) == "y" && half(next + 1) {
        many += 500;
        next += 2;
    }
    Some((many.saturating_mul(size) / 1_000, next))
}

/// `12 alitas`: the number counts pieces of one dish, and is read as a quantity first.
pub(super) fn pieces_first(index: &Index, reading: &Reading<'_>, at: usize) -> bool {
    let Some(n) = small_number(reading, at) else { return false };
    let free = Circumstances { scope: None, has_quantity: true, is_attribute: false };
    mention_at(index, reading, at + 1, free).is_some_and(|mention| {
        mention.is_headed
            && mention
                .candidates
                .iter()
                .any(|item| index.items[usize::from(*item)].names.iter().any(|name| name.pieces == Some(n * 1_000)))
    })
}

/// The dish whose pieces a quantity counts: `12 alitas` is one plate of twelve.
pub fn plate_of(index: &Index, candidates: &[ItemNo], units: u32) -> Option<ItemNo> {
    if candidates.len() < 2 {
        let item = *candidates.first()?;
        let pieces = index.items[usize::from(item)].names.iter().any(|name| name.pieces == Some(units * 1_000));
        return pieces.then_some(item).filter(|_| units > 2);
    }
    let mut fitting = candidates.iter().filter(|item| {
        let names = &index.items[usize::from(**item)].names;
        names.iter().any(|name| {
            name.pieces == Some(units.saturating_mul(1_000))
                && name.parts.contains(&NamePart::Number(units.saturating_mul(1_000)))
        })
    });
    let first = fitting.next()?;
    fitting.next().is_none().then_some(*first)
}

//! Words by which a customer changes an order rather than names a dish. Owns the phrases; carries nothing out.

use super::reading::Reading;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BasketCommand {
    Add,
    Remove,
    /// `cambia A por B`, `la uva cámbiela por`.
    Replace,
    /// `en vez de A`.
    Instead,
    /// `no, perdón`, `digo`, `mejor`.
    Correct,
    /// `que sean tres`.
    Set,
    /// `solo la pizza`.
    Only,
}

/// The command that begins at a token, and where it ends.
pub fn command_at(reading: &Reading<'_>, at: usize, end: usize) -> Option<(BasketCommand, usize)> {
    let word = |n: usize| if at + n < end { reading.word(at + n) } else { "" };
    let first = word(0);
    let next = word(1);
    let is_mark = |n: usize| at + n >= end || !reading.tokens[at + n].token.is_word();
    let starts = |list: &[&str]| list.iter().any(|stem| first.starts_with(stem));
    let phrase = |list: &[&str]| list.iter().enumerate().all(|(n, expected)| word(n) == *expected);
    let several: &[(&[&str], BasketCommand)] = &[
        (&["ya", "no", "quiero"], BasketCommand::Remove),
        (&["ya", "no", "queremos"], BasketCommand::Remove),
        (&["ya", "no", "deseo"], BasketCommand::Remove),
        (&["ya", "no", "me", "traiga"], BasketCommand::Remove),
        (&["ya", "no", "me", "mande"], BasketCommand::Remove),
        (&["no", "quiero"], BasketCommand::Remove),
        (&["no", "queremos"], BasketCommand::Remove),
        (&["no", "me", "mande"], BasketCommand::Remove),
        (&["no", "me", "mandes"], BasketCommand::Remove),
        (&["no", "me", "traiga"], BasketCommand::Remove),
        (&["no", "me", "traigas"], BasketCommand::Remove),
        (&["no", "me", "des"], BasketCommand::Remove),
        (&["no", "me", "de"], BasketCommand::Remove),
        (&["ya", "no"], BasketCommand::Remove),
        (&["en", "vez", "de"], BasketCommand::Instead),
        (&["en", "vez", "del"], BasketCommand::Instead),
        (&["en", "lugar", "de"], BasketCommand::Instead),
        (&["en", "lugar", "del"], BasketCommand::Instead),
        (&["en", "cambio", "de"], BasketCommand::Instead),
        (&["en", "cambio", "del"], BasketCommand::Instead),
        (&["mejor", "dicho"], BasketCommand::Correct),
        (&["ay", "no"], BasketCommand::Correct),
        (&["ah", "no"], BasketCommand::Correct),
        (&["uy", "no"], BasketCommand::Correct),
        (&["o", "no"], BasketCommand::Correct),
        (&["me", "equivoque"], BasketCommand::Correct),
        (&["o", "sea"], BasketCommand::Correct),
        (&["en", "total"], BasketCommand::Set),
        (&["que", "sea"], BasketCommand::Set),
        (&["que", "sean"], BasketCommand::Set),
        (&["que", "fuera"], BasketCommand::Set),
        (&["que", "fueran"], BasketCommand::Set),
        (&["que", "queden"], BasketCommand::Set),
        (&["que", "quede"], BasketCommand::Set),
        (&["son", "solo"], BasketCommand::Set),
        (&["serian"], BasketCommand::Set),
        (&["sean"], BasketCommand::Set),
        (&["deje", "solo"], BasketCommand::Only),
        (&["deja", "solo"], BasketCommand::Only),
        (&["deje", "solamente"], BasketCommand::Only),
    ];
    if let Some((words, command)) = several.iter().find(|(words, _)| phrase(words)) {
        return Some((*command, at + words.len()));
    }
    // `no se le olvide la coca`: it is wanted.
    let verb = (1..5).find(|n| !matches!(word(*n), "se" | "le" | "les" | "me" | "te" | "nos" | "vaya" | "vayan" | "a"));
    if first == "no"
        && let Some(verb) = verb.filter(|verb| word(*verb).starts_with("olvid"))
    {
        return Some((BasketCommand::Add, at + verb + 1));
    }
    match first {
        "no" if matches!(
            next,
            "no" | "perdon"
                | "espera"
                | "espere"
                | "esperate"
                | "esperen"
                | "mentira"
                | "mentiras"
                | "mejor"
                | "digo"
                | "disculpa"
                | "disculpe"
                | "que"
        ) =>
        {
            return Some((BasketCommand::Correct, at + 1));
        }
        "perdon" | "digo" | "mentira" | "mentiras" | "corrijo" | "correccion" | "mejor" | "disculpa" | "disculpe"
        | "espera" | "espere" | "esperate" | "perdona" | "perdone" | "miento" => {
            return Some((BasketCommand::Correct, at + 1));
        }
        // `una lasaña, no, de pollo`; `dos buñuelos no, tres`.
        "no" if is_mark(1) && at + 1 < end && matches!(next, "," | "." | ";" | ":") => {
            return Some((BasketCommand::Correct, at + 1));
        }
        "solo" | "solamente" | "unicamente" | "nomas" => return Some((BasketCommand::Only, at + 1)),
        "tambien" | "ademas" | "sumado" | "falta" | "faltan" | "falto" | "faltaron" => {
            return Some((BasketCommand::Add, at + 1));
        }
        "ningun" | "ninguna" | "ninguno" | "menos" | "excepto" => return Some((BasketCommand::Remove, at + 1)),
        "cambio" if next == "de" => return None,
        "adicion" | "adicional" | "adiciones" | "adicionales" => return None,
        "son"
            if super::text::number::word(next).is_some()
                || reading.tokens.get(at + 1).is_some_and(|token| token.token.number().is_some()) =>
        {
            return Some((BasketCommand::Set, at + 1));
        }
        _ => {}
    }
    let end_of_clitics = |mut n: usize| {
        while matches!(word(n), "me" | "le" | "les" | "nos" | "a" | "en" | "de")
            && n < 4
            && (word(n) != "a"
                || matches!(word(n + 1), "la" | "las" | "el" | "los" | "dos" | "tres" | "cuatro" | "cinco" | "seis")
                || reading.tokens.get(at + n + 1).is_some_and(|token| token.token.number().is_some()))
        {
            n += 1;
        }
        at + n
    };
    if starts(&["quit", "elimin", "borr", "descart", "olvid", "retir", "cancel"])
        || matches!(
            first,
            "saca"
                | "saque"
                | "sacame"
                | "saqueme"
                | "sacale"
                | "saquele"
                | "sacar"
                | "resta"
                | "reste"
                | "restale"
                | "restele"
                | "restame"
                | "resteme"
        )
    {
        return Some((BasketCommand::Remove, end_of_clitics(1)));
    }
    if starts(&["cambi", "reemplaz", "remplaz", "sustitu"]) && first != "cambio" || first == "cambio" && !is_mark(1) {
        return Some((BasketCommand::Replace, at + 1));
    }
    if starts(&["agreg", "anad", "adicion"])
        || matches!(
            first,
            "suma" | "sume" | "sumale" | "sumele" | "sumar" | "sumame" | "sumeme" | "aumenta" | "aumente"
        )
    {
        return Some((BasketCommand::Add, at + 1));
    }
    if matches!(
        first,
        "subale"
            | "subele"
            | "bajele"
            | "bajale"
            | "suba"
            | "sube"
            | "baje"
            | "baja"
            | "dejelo"
            | "dejalo"
            | "deje"
            | "deja"
            | "dejame"
            | "dejeme"
            | "dejemos"
            | "dejemoslo"
            | "dejelas"
            | "dejalas"
            | "dejelos"
            | "dejalos"
    ) {
        return Some((BasketCommand::Set, end_of_clitics(1)));
    }
    None
}

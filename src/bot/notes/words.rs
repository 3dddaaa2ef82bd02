//! The words of notes: articles, amounts, verbs that forbid.

pub(super) fn is_article(word: &str) -> bool {
    matches!(
        word,
        "la" | "el"
            | "los"
            | "las"
            | "le"
            | "les"
            | "me"
            | "lo"
            | "se"
            | "nos"
            | "mucha"
            | "tanta"
            | "tanto"
            | "nada"
            | "de"
            | "del"
    )
}

/// `no le eche mucha sal` wants a little of it.
pub(super) fn little(word: &str) -> Option<&'static str> {
    Some(match word {
        "mucha" | "tanta" | "demasiada" => "poca",
        "mucho" | "tanto" | "demasiado" => "poco",
        "muchas" | "tantas" | "demasiadas" => "pocas",
        "muchos" | "tantos" | "demasiados" => "pocos",
        _ => return None,
    })
}

/// Verbs behind a `no` that forbid what follows: `no le pongan cebolla`.
pub(super) fn forbids(word: &str) -> bool {
    let stems = [
        "pon", "ech", "agreg", "llev", "teng", "tien", "traig", "tra", "incluy", "coloq", "met", "vay", "quier", "unt",
        "sirv", "des", "den", "mand",
    ];
    word.len() >= 3 && stems.iter().any(|stem| word.starts_with(stem)) && !matches!(word, "tres" | "desayuno" | "pone")
        || matches!(word, "ponga" | "pone" | "poner")
}

pub(super) fn amount(word: &str) -> bool {
    matches!(
        word,
        "extra"
            | "doble"
            | "triple"
            | "mucho"
            | "mucha"
            | "muchas"
            | "muchos"
            | "harto"
            | "harta"
            | "hartas"
            | "hartos"
            | "arta"
            | "arto"
            | "bastante"
            | "bastantes"
            | "poco"
            | "poca"
            | "poquita"
            | "poquito"
            | "pocas"
            | "pocos"
            | "bien"
            | "muy"
            | "super"
            | "ligera"
            | "abundante"
            | "resto"
            | "re"
            | "adicional"
            | "algo"
            | "menos"
            | "mas"
            | "media"
            | "medio"
            | "demasiado"
            | "demasiada"
            | "tantica"
            | "tantico"
            | "suficiente"
    )
}

//! Yes and no, in the words of customers.

use super::Intent;

const YES: &[&str] = &[
    "si",
    "sii",
    "sip",
    "see",
    "sep",
    "sisas",
    "simon",
    "ok",
    "okey",
    "okay",
    "oki",
    "okis",
    "listo",
    "lista",
    "dale",
    "claro",
    "correcto",
    "correcta",
    "confirmo",
    "confirmado",
    "confirmada",
    "confirmar",
    "confirma",
    "confirmamos",
    "perfecto",
    "perfecta",
    "vale",
    "hagale",
    "hagamosle",
    "exacto",
    "exactamente",
    "afirmativo",
    "obvio",
    "va",
    "sale",
    "bueno",
    "genial",
    "excelente",
    "super",
    "aja",
    "yes",
    "seguro",
    "hecho",
    "👍",
    "✅",
    "👌",
    "💯",
    "listos",
    "adelante",
    "procede",
    "proceda",
    "cierto",
    "porsupuesto",
    "eso",
    "si señor",
    "efectivamente",
    "vamos",
    "acepto",
    "deacuerdo",
    "acuerdo",
    "bien",
    "👍🏻",
    "ta",
    "fijo",
    "breve",
    "siii",
    "sipi",
    "dele",
    "denle",
    "mandelo",
    "mandalo",
    "mandela",
    "mandenlo",
    "mandemelo",
    "enviemelo",
    "enviela",
    "envielo",
    "envielos",
    "envialo",
    "despachelo",
    "despachela",
];

const NO: &[&str] = &[
    "no", "nop", "nope", "nel", "negativo", "nunca", "tampoco", "jamas", "noo", "nah", "nada", "👎", "ninguno",
    "ninguna", "nones",
];

const FILLERS: &[&str] = &[
    "por",
    "favor",
    "porfa",
    "porfavor",
    "porfis",
    "senor",
    "senora",
    "senorita",
    "gracias",
    "muchas",
    "asi",
    "esta",
    "es",
    "que",
    "de",
    "una",
    "eso",
    "todo",
    "todavia",
    "para",
    "y",
    "ya",
    "pues",
    "mi",
    "muy",
    "bien",
    "el",
    "la",
    "pedido",
    "orden",
    "seria",
    "quiero",
    "mas",
    "nada",
    "solo",
    "con",
    "parce",
    "amigo",
    "amiga",
    "veci",
    "vecino",
    "vecina",
    "señor",
    "senores",
    "entonces",
    "ahi",
    "sumerce",
    "claro",
    "bueno",
    "supuesto",
    "lo",
    "anterior",
    "tal",
    "cual",
    "hagamosle",
    "sea",
    "don",
    "dona",
    "puede",
    "pueden",
    "proceder",
    "me",
    "parece",
    "se",
    "mil",
    "ah",
    "ay",
    "uy",
    "oh",
    "hermano",
    "mano",
    "lindo",
    "asi",
    "queda",
    "quedo",
    "por",
    "ahora",
    "no",
    "si",
    "completo",
    "mejor",
    "dejalo",
    "dejelo",
    "dejemoslo",
    "nomas",
    "tambien",
    "hola",
    "jefe",
    "rey",
    "reina",
    "amor",
    "mijo",
    "mija",
    "he",
    "jaja",
    "jajaja",
    "amable",
    "mismo",
    "estamos",
    "de",
    "acuerdo",
    "toda",
    "todos",
    "fin",
    "momento",
    "the",
    "hasta",
    "aun",
    "falta",
    "no",
];

/// Yes or no, if the sentence says nothing else.
pub(super) fn answer(plain: &str) -> Option<Intent> {
    let words: Vec<&str> = plain
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | '!' | ';' | '\n' | ':'))
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() || words.len() > 12 || plain.contains('?') {
        return None;
    }
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    let all = words.iter().all(|word| YES.contains(word) || NO.contains(word) || FILLERS.contains(word));
    let joined = words.join(" ");
    if matches!(joined.as_str(), "todo bien" | "bien" | "bien gracias" | "muy bien y tu") {
        return Some(Intent::Other);
    }
    if joined.contains("eso es todo")
        || joined.contains("eso seria todo")
        || joined.contains("es todo")
        || joined.contains("seria todo")
        || joined.contains("nada mas") && !joined.starts_with("no gracias")
        || joined == "no mas"
        || joined == "no mas gracias"
        || joined.contains("eso no mas")
        || joined.contains("asi no mas")
        || joined == "de una"
        || joined.contains("asi esta bien")
        || joined.contains("asi es")
        || joined.contains("por supuesto")
        || joined.contains("claro que si")
        || joined.contains("de acuerdo")
        || joined.contains("todo bien si")
    {
        return all.then_some(Intent::Confirm);
    }
    if !all {
        return None;
    }
    let first = words.iter().find(|word| YES.contains(word) || NO.contains(word))?;
    if joined.contains("todavia no")
        || joined.contains("para nada")
        || joined.contains("aun no")
        || joined.contains("ahora no")
        || joined.contains("claro que no")
        || joined.contains("que no")
    {
        return Some(Intent::Deny);
    }
    if NO.contains(first) || has(&["no"]) && !has(&["si", "confirmo", "ok", "listo"]) {
        return Some(Intent::Deny);
    }
    if joined.contains("gracias") && matches!(*first, "bueno" | "bien" | "vale" | "genial" | "excelente" | "super") {
        return Some(Intent::Thanks);
    }
    Some(Intent::Confirm)
}

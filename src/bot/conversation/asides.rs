//! Words beside the matter: a customer who waits, corrects, laughs, or tells of a payment. Owns their patterns; changes nothing.

use std::sync::LazyLock;

use regex::Regex;

use super::{answering::CheckoutAnswer, phrases};
use crate::bot::{intent, text::number};

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("a pattern of ours"));
    };
}

pattern!(
    WAITS,
    r"\b(esper(e|en|a|ame|eme|ate|ese|eme)|ya (se|te) l[ao]s? (mando|envio|paso|doy|digo|confirmo|escribo)|ya (le|te|les) (mando|envio|paso|digo|confirmo|escribo|aviso)|ahor(a|ita) (se|te|le|les)( l[ao])? (mando|envio|paso|digo|confirmo|escribo|aviso)|(le|les|voy a|dejeme|deje|dejame) (pregunt\w+|consult\w+|averigu\w+|mir\w+|revis\w+)|(un|deme un|dame un|regaleme un) (momento|momentico|momentito|segundo|segundito|minuto|minutico)|ya casi|ya vengo|ya vuelvo|mas tarde|luego le|wait|hold on|one moment|let me (ask|check))\b"
);
pattern!(
    CHANGES,
    r"\b(cambi(e|a|ar|ame|eme|emos|o|arle|arlo|arla)|edit(ar|e|o|arlo|arla)|corrij\w+|corregir\w*|modific\w+|me equivoque|esta (mal|equivocad[oa])|quedo mal|no es (esa|ese|asi)|otra direccion|wrong|change)\b"
);
pattern!(
    TAKES_OUT,
    r"\b(quit(e|a|ar|en|eme|ele|ame)|sin|que (sea|sean|quede|queden)|ya no|no quiero|en (vez|lugar) de|saque(le|me)?|no le (ponga|eche)n?|remove|without)\b"
);
pattern!(
    AMENDS,
    r"\b(cambi(e|a|ar|ame|eme|emos|o|arle|arlo|arla|ale|ele)|corrij\w+|modific\w+|edit\w+|en total|que (sea|sean|quede|queden)|ya no|quit\w+|saqu\w+|sacar?(le|me)?|elimin\w+|borr\w+|rest(e|a)(le|me)?|ponle|ponele|pongale|de mas|agreg\w+|anad\w+|adicion(e|ar|eme|ame)|sum(ele|eme|ale|ame)|inclu(ya|ye|yame|yeme)|se me (olvido|paso|olvidaba)|me falto|hizo falta|add)\b"
);
pattern!(
    MORE,
    r"^(?:(?:ah?|ay|uy) )?y\b|\b(mejor|tambien|ademas)\b|\b(otr[oa]|un|una|dos|tres|\d+)\b.*\bmas$|^otr[oa]s?\b"
);
pattern!(MANNER, r"\b(sin|no quiero|no (me |le |les |lo |la |se )*(ponga|pongan|eche|echen)|en (vez|lugar) de)\b");
pattern!(
    BEGINS_ANEW,
    r"\b(otr[oa]|nuev[oa]|segund[oa]) (pedido|orden|domicilio|encargo)\b|\b(pedido|orden) (nuev[oa]|aparte|distint[oa]|diferente)\b|\b(another|new|second) order\b"
);
pattern!(
    ASKS_STATUS,
    r"^(?:(?:hola|buenas|buenos dias|buenas tardes|buenas noches|y|oiga|oye|disculpe|disculpa|perdon|veci|vecino|vecina|amigo|amiga|bueno|pues|entonces|hey)\s+)*(?:como va(?:mos|n)?(?: (?:eso|todo|la cosa|lo mio|lo de nosotros|ahi|el asunto))?|en que (?:va|vamos|anda)(?: eso| lo mio)?|que paso(?: (?:con (?:eso|lo mio)|pues|entonces))?|entonces|(?:ya )?(?:casi|viene|vienen|salio|llega|llegan|esta listo|esta lista|esta|estuvo)|por donde (?:va|vienen?|van|anda)|(?:le |me )?falta mucho|(?:cuanto|mucho|que tanto)(?: le| me)? (?:falta|se demora|demora|tarda|mas)|(?:hay |alguna )?novedad(?:es)?|se demora(?: mucho)?|a que horas? llegan?)(?: (?:o no|pues|entonces|por favor|porfa|veci|vecino|vecina|amigo|amiga))*$"
);
pattern!(
    YES_AND,
    r"(?i)^\s*(?:s[ií]+|claro(?: que s[ií])?|dale|ok|okey|listo|h[aá]gale|bueno|de una|sigamos|seguimos)(?:\s+(?:se[nñ]ora?|por favor|porfa|sigamos|seguimos|con (?:ese|el)))*\s*[,.;]*\s+((?:y|pero|con|sin|m[aá]s|agr[eé]g\w+|qu[ií]t\w+|a[nñ][aá]d\w+|tambi[eé]n|adem[aá]s|p[oó]ng\w+|cambi\w+)\b.*)$"
);
pattern!(
    GOES_ON,
    r"^(?:(?:si|claro|dale|listo|ok|bueno|pues|que|hagale|de una|quiero|por favor|claro que si)\s+)*(?:sigamos|seguimos|sigue|siga|seguir|sigo|continu\w+|retom\w+|termin(?:ar|emos|emoslo)|complet\w+)(?:\s+(?:con|el|ese|esa|este|eso|mismo|mi|pedido|anterior|lo|la|orden|por favor|porfa|asi|ahi|gracias))*$|^(?:si\s+)?con\s+(?:ese|esa|este|eso)$|^(?:si\s+)?(?:con\s+)?(?:el|ese|lo)\s+(?:mismo|anterior|de antes|pedido anterior|pedido)$|^(?:si|claro)\s+(?:lo\s+)?quiero(?:\s+(?:ese|el pedido))?$"
);
pattern!(
    STARTS_ANEW,
    r"^(?:no\s+|mejor\s+|quiero\s+|hacer\s+|pues\s+)*(?:(?:un|uno|una)\s+)?(?:(?:pedido\s+)?nuev[oa](?:\s+pedido)?|otro(?:\s+pedido)?|pedido\s+nuevo|(?:empe|comen)\w+\s+(?:de\s+nuevo|de\s+cero|otro|uno\s+nuevo))(?:\s+(?:por favor|porfa|gracias))*$|^(?:borr|descart|elimin|olvid)\w+(?:\s+(?:ese|el|eso|lo|anterior|pedido))*$"
);
pattern!(
    UNDECIDED,
    r"\b(no se|no estoy segur[oa]|no recuerdo|no me acuerdo|tal vez|de pronto|quizas?|cual (pedido|era)|que pedido|not sure|dejeme pensar|deje miro)\b"
);
pattern!(
    PAID,
    r"\b(ya (le |les )?(pague|transferi|consigne|hice (el|la) (pago|transferencia|consignacion)|envie (el|la)? ?(pago|plata|dinero|transferencia))|pague|transferi|consigne|comprobante|pago (realizado|hecho|listo)|soporte de pago|i paid|receipt)\b"
);
pattern!(
    FORGETS,
    r"(?i)\b(?:se\s+me\s+(?:olvid[oó]|olvidaba|pas[oó])|me\s+falt[oó])(?:\s+(?:pedir|decirle|agregar))?\b"
);
pattern!(
    BACKS_OUT,
    r"\bya (lo |la )?(pedi|pedimos|compre|compramos|comi|comimos|almorce|almorzamos)( (en|a|por|con) otr\w+( \w+)?)?$|\b(pedi|pedimos|pido|pedir|compre|comprar) en otr[oa] (lado|lugar|sitio|parte|restaurante)\b|\bno (me |nos )?(lo|la|los|las) (traig|mand|envi|prepar|despach|hag)\w*( (por favor|porfa|gracias|todavia|aun|hoy|ya|el pedido|nada))*$|\bmejor (manana|otro dia|despues|luego|mas tarde|la proxima|lo dej\w+|dejemoslo)\b|\b(lo dejo|lo dejamos) para (otro dia|despues|la proxima|manana)\b|\b(lo|dejeme|dejame|voy a|tengo que) (pensar|pensarlo|pensare|pienso)\b|^(pues |mm+ |ay |la verdad )*(no se|no estoy segur[oa]|tal vez|quizas?|de pronto|maybe|not sure|never ?mind)( (si|no|todavia|aun|bien|despues|luego|mas tarde|manana|otro dia))*$"
);
pattern!(NO_MORE, r"^(?:ya )?no (?:quiero|queremos|deseo|me ponga|me mande) mas\b");
pattern!(
    OWN_REFUSAL,
    r"(?i)[\s,;.]+(?:y\s+|pero\s+)?(?:yo\s+no\s+(?:quiero|deseo|voy\s+a\s+querer|pido)\s+nada|para\s+m[ií]\s+nada)(?:[\s,.!]+(?:gracias|por\s+ahora|por\s+favor))*[\s.!]*$"
);
pattern!(ASSENTS, r"^(?:aja+|ajam|mj+m+|mh+m+|s|sep)$");
pattern!(LAUGHS, r"^(?:(?:j+[aeio]+)+j*|x+d+|lol|(?:ha)+|m+|h+m+|uj+u+m+|aj+a+|eh+|ah+|oh+|uy+)$");
pattern!(
    LANDMARK,
    r"\b(al lado|frente|enfrente|diagonal|esquina|cerca (de|del|a|al)|detras|encima|arriba (de|del)|abajo (de|del)|junto (a|al)|barrio|edificio|conjunto|vereda|finca|urbanizacion|hotel|centro comercial|parque|iglesia|colegio|hospital|estacion|casa|torre|manzana|via|kilometro|km|unidad|sector|residencias?|next to|near|behind|across)\b"
);
pattern!(
    PLACE,
    r"\b(nomenclatura|direccion|porteria|portero|portal|porton|reja|fachada|timbre|citofono|ascensor|cuadras?|calle|carrera|esquinera|rejas|apto|apartamento|piso|puerta)\b"
);
pattern!(ASKS_REACH, r"\b(llegan|llevan|cubren|despachan|entregan|van) (a|al|hasta|en|por)\b");
pattern!(
    NO_BUT_FINE,
    r"^no\s*[,.;]?\s+as[ií]\s+(?:est[aá]|todo)\s+(?:bien|perfect[oa]|list[oa]|excelente|ok|correct[oa])$|^no\s*[,.;]\s*(?:as[ií] |ya |todo )*(?:est[aá]|qued[oó]|todo)\s*(?:muy |todo )?(?:perfect[oa]|bien|list[oa]|excelente|ok|correct[oa])(?:[\s,.]+(?:as[ií]|gracias|por favor|confirm\w+))*$"
);
pattern!(
    OURS,
    r"responda si\b|\brespond[ea] (con )?(el|la) (numero|opcion)|\bescriba (listo|menu|ayuda|hablar)\b|^le anote\b|resumen de su pedido|\banswer yes\b|i have noted"
);

/// `ya se la mando`, `espere le pregunto`: an answer is to come.
pub fn waits(plain: &str) -> bool {
    WAITS.is_match(plain)
}

/// `pero me cambia la dirección`.
pub fn changes(plain: &str) -> bool {
    CHANGES.is_match(plain)
}

/// `que sea sin cebolla`, `que sean tres`: of a dish that is being made.
pub fn takes_out(plain: &str) -> bool {
    TAKES_OUT.is_match(plain)
}

/// How words may be about an order that is there, by how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Amendment {
    /// `sin cebolla`: of the dish beside it, whichever order that is in.
    Manner,
    /// `también una coca`, `otra más`: of the order that was spoken of last.
    More,
    /// `cambie`, `agregue`, `que sean tres`: only what is there is changed.
    Change,
}

/// `que sean tres`, `quítele uno`, `otra más`: of an order that is there. A change behind a number is of the dish that was counted.
pub fn amends(plain: &str) -> Option<Amendment> {
    let change = AMENDS.find(plain);
    if change.is_some_and(|found| !counts(&plain[..found.start()])) {
        Some(Amendment::Change)
    } else if MORE.is_match(plain) {
        Some(Amendment::More)
    } else {
        (change.is_some() || MANNER.is_match(plain)).then_some(Amendment::Manner)
    }
}

/// A number stands in the words.
pub fn counts(plain: &str) -> bool {
    let is_number = |word: &str| {
        matches!(word, "un" | "una" | "unos" | "unas" | "otro" | "otra" | "otros" | "otras" | "par" | "medio" | "media")
            || word.starts_with(|c: char| c.is_ascii_digit())
            || number::word(word).is_some()
    };
    plain.split(' ').any(is_number)
}

/// `otro pedido: …`: whatever follows is no part of the one that is there.
pub fn begins_anew(plain: &str) -> bool {
    BEGINS_ANEW.is_match(plain)
}

/// `cómo va?`, said by somebody whose order is under way.
pub fn asks_status(plain: &str) -> bool {
    ASKS_STATUS.is_match(plain)
}

/// The words behind a yes that something else follows.
pub fn behind_yes(said: &str) -> Option<String> {
    let found = YES_AND.captures(said)?;
    let rest = found.get(1)?.as_str();
    let is_sense = phrases::plain(rest).split(' ').count() > 1;
    let rest = ["y ", "pero ", "Y ", "Pero "].iter().find_map(|join| rest.strip_prefix(join)).unwrap_or(rest);
    is_sense.then(|| rest.to_owned())
}

/// An answer to `¿seguimos con el pedido anterior?` beyond yes and no.
pub fn resumes(plain: &str) -> Option<CheckoutAnswer> {
    if UNDECIDED.is_match(plain) {
        Some(CheckoutAnswer::Unclear)
    } else if STARTS_ANEW.is_match(plain) {
        Some(CheckoutAnswer::No)
    } else {
        GOES_ON.is_match(plain).then_some(CheckoutAnswer::Yes)
    }
}

/// `…, yo no quiero nada`, behind what others want: it cancels nothing.
pub fn without_own_refusal(said: &str) -> String {
    match OWN_REFUSAL.find(said) {
        Some(found) if said[..found.start()].split_whitespace().count() >= 3 => said[..found.start()].to_owned(),
        _ => said.to_owned(),
    }
}

/// The text without `se me olvidó`.
pub fn without_forgetting(said: &str) -> String {
    FORGETS.replace_all(said, " ").into_owned()
}

/// `ya pagué`, `le mando el comprobante`.
pub fn pays(plain: &str) -> bool {
    PAID.is_match(plain) && !plain.starts_with("no ")
}

/// `ya pedí en otro lado`, `mejor mañana`, `tal vez`, to a summary: the order is refused, or it is not sure yet.
pub fn backs_out(plain: &str) -> bool {
    BACKS_OUT.is_match(plain)
}

/// `no quiero más cocas`.
pub fn wants_no_more(plain: &str) -> bool {
    NO_MORE.is_match(plain) && !plain.contains(" mas que ")
}

/// `ajá`, `mjm`, `s`: a yes that is hardly a word.
pub fn assents(plain: &str) -> bool {
    ASSENTS.is_match(plain)
}

/// `sí no`, `sí👎`, `ok?`: a yes that is none.
pub fn wavers(said: &str, plain: &str) -> bool {
    let words: Vec<&str> = plain.split(' ').collect();
    let is_yes = |word: &str| matches!(word, "si" | "sii" | "ok" | "okay" | "dale" | "listo" | "bueno" | "yes");
    let is_filler = |word: &str| matches!(word, "o" | "pero" | "mejor" | "ah" | "ay" | "espere");
    let is_no = |word: &str| matches!(word, "no" | "nop" | "noo");
    let says_both = words.iter().any(|word| is_yes(word)) && words.iter().any(|word| is_no(word));
    let says_nothing_else = words.iter().all(|word| is_yes(word) || is_no(word) || is_filler(word));
    let agrees = assents(plain) || intent::talk(plain) == Some(intent::Intent::Confirm);
    says_both && says_nothing_else || agrees && said.contains(['?', '👎', '❌'])
}

/// `jajaja`, `mmm`: nothing is said.
pub fn laughs(plain: &str) -> bool {
    plain.split(' ').all(|word| LAUGHS.is_match(word))
}

/// Words about the place that an order is brought to.
pub fn is_of_place(plain: &str) -> bool {
    PLACE.is_match(plain) || LANDMARK.is_match(plain)
}

pub fn has_landmark(plain: &str) -> bool {
    LANDMARK.is_match(plain)
}

/// `llegan hasta suba`.
pub fn asks_reach(plain: &str) -> bool {
    ASKS_REACH.is_match(plain)
}

/// `no, así está perfecto`: a no that means yes.
pub fn is_fine(said: &str) -> bool {
    NO_BUT_FINE.is_match(said.trim().to_lowercase().trim_end_matches(['.', '!', ' ']))
}

/// A sentence of a bot like this one.
pub fn is_ours(plain: &str) -> bool {
    OURS.is_match(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_laughing_and_content_words() {
        assert!(
            waits("ya se la mando por favor")
                && waits("espere le pregunto a mi esposa")
                && waits("ahorita le confirmo")
        );
        assert!(!waits("calle 10 20 30") && !waits("si") && laughs("jajaja") && laughs("ujum") && !laughs("si"));
        assert!(
            is_fine("no, está perfecto") && is_fine("No, así está bien") && !is_fine("no está bien") && !is_fine("no")
        );
    }
}

//! Words beside the matter: a customer who waits, corrects, laughs, tells a name, a bill or a payment. Owns their patterns; changes
//! nothing.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{answering::CheckoutAnswer, phrases, words};
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
pattern!(
    COUNT_ALONE,
    r"^(?:(?:y|pues|bueno|listo|ah|entonces|si|ok|dale|vale)\s+)*(?:deme|dame|me da|me das|denos|regaleme|regalame|me regala|quiero|mandeme|me manda|pongame|envieme|me trae)\s+(un|una|uno|dos|tres|cuatro|cinco|seis|\d{1,2})(?:\s+(?:por favor|porfa|gracias))*$"
);
pattern!(ASSENTS, r"^(?:aja+|ajam|mj+m+|mh+m+|s|sep)$");
pattern!(LAUGHS, r"^(?:(?:j+[aeio]+)+j*|x+d+|lol|(?:ha)+|m+|h+m+|uj+u+m+|aj+a+|eh+|ah+|oh+|uy+)$");
pattern!(
    NAME,
    r"(?i)\b(?:a\s+nombre\s+de|mi\s+nombre\s+es|me\s+llamo|my\s+name\s+is)\s+(\p{L}[\p{L}'’-]*(?:[ \t]+\p{L}[\p{L}'’-]*){0,3})\s*(?:$|[,.;\n])"
);
// A name begins with a capital here: `soy alérgico`, `soy de la torre 3`.
pattern!(
    I_AM,
    r"(?:^|[,.;\n]\s*|\s[yY]\s+)[Ss]oy\s+(\p{Lu}\p{Ll}[\p{L}'’-]*(?:[ \t]+\p{Lu}\p{Ll}[\p{L}'’-]*){0,3})\s*(?:$|[,.;\n])"
);
pattern!(
    NO_NAME,
    r"^(alergic|client|vegetarian|vegan|celiac|diabetic|intolerant|hipertens|nuev|vecin|domiciliari|mensajer|repartidor|(?:el|la|un|una|yo|de|del)\b)"
);
pattern!(
    FOR_SOMEBODY,
    r"(?i)(?:^|\s)(?:es\s+|son\s+|va\s+|van\s+)?para\s+((?:don|do[nñ]a|(?:el\s+)?se[nñ]or|(?:la\s+)?se[nñ]ora)[ \t]+\p{L}[\p{L}'’-]*(?:[ \t]+\p{Lu}[\p{L}'’-]*)?)\s*(?:$|[,.;\n])"
);
pattern!(
    BILL,
    r"(?i)(?:\b(?:y|necesito|necesitar[ií]a|tra(?:iga|igan|e|er)me|con|para|por\s+favor|env[ií]e\w*|mande\w*|me\s+trae\w?)\s+)*\b(?:(?:cambio|vueltos?|vueltas?|devueltas?|sencilla)\s+(?:de|para|a|por)|(?:pag[oa]\w*\s+con|con|tengo|es)\s+(?:(?:un|el)\s+)?billetes?\s+de|pag[oa]r?\s+con(?:\s+un[oa]?(?:\s+de)?)?)\s+(?:(?:un|el)\s+)?(?:billetes?\s+de\s+)?\$?\s*(?:\d[\d.]*|cien|cincuenta|veinte)(?:\s*(?:mil|k)\b)?"
);
pattern!(
    PART,
    r"\b(apto|apt|apartamento|torre|casa|piso|oficina|of|interior|int|bloque|bl|manzana|mz|lote|local|apartment|tower|house|floor)\s*(?:#|n[uú]mero|no\.?|nro\.?)?\s*(\d{1,5}\s?[a-z]?|[a-z])\b"
);
pattern!(
    LANDMARK,
    r"\b(al lado|frente|enfrente|diagonal|esquina|cerca (de|del|a|al)|detras|encima|arriba (de|del)|abajo (de|del)|junto (a|al)|barrio|edificio|conjunto|vereda|finca|urbanizacion|hotel|centro comercial|parque|iglesia|colegio|hospital|estacion|casa|torre|manzana|via|kilometro|km|unidad|sector|residencias?|next to|near|behind|across)\b"
);
pattern!(
    PLACE,
    r"\b(nomenclatura|direccion|porteria|portero|portal|porton|reja|fachada|timbre|citofono|ascensor|cuadras?|calle|carrera|esquinera|rejas|apto|apartamento|piso|puerta)\b"
);
pattern!(PIECE, r"\S+");
pattern!(ASKS_REACH, r"\b(llegan|llevan|cubren|despachan|entregan|van) (a|al|hasta|en|por)\b");
pattern!(
    NO_BUT_FINE,
    r"^no\s*[,.;]?\s+as[ií]\s+(?:est[aá]|todo)\s+(?:bien|perfect[oa]|list[oa]|excelente|ok|correct[oa])$|^no\s*[,.;]\s*(?:as[ií] |ya |todo )*(?:est[aá]|qued[oó]|todo)\s*(?:muy |todo )?(?:perfect[oa]|bien|list[oa]|excelente|ok|correct[oa])(?:[\s,.]+(?:as[ií]|gracias|por favor|confirm\w+))*$"
);
pattern!(
    OURS,
    r"responda si\b|\brespond[ea] (con )?(el|la) (numero|opcion)|\bescriba (listo|menu|ayuda|hablar)\b|^le anote\b|resumen de su pedido|\banswer yes\b|i have noted"
);

/// Words around a correction that say nothing by themselves.
const FILLERS: &[&str] = &[
    "perdon",
    "perdone",
    "disculpe",
    "disculpa",
    "es",
    "son",
    "mejor",
    "a",
    "la",
    "el",
    "los",
    "las",
    "en",
    "ay",
    "uy",
    "ah",
    "que",
    "no",
    "y",
    "de",
    "del",
    "realidad",
    "era",
    "quise",
    "decir",
    "digo",
    "corrijo",
    "sorry",
    "me",
    "equivoque",
    "mi",
    "al",
    "seria",
    "por",
    "favor",
    "porfa",
    "espere",
    "pero",
    "si",
    "its",
    "it",
    "is",
    "the",
];

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

/// `deme dos`, behind a question about one dish: so many of it.
pub fn count_of(plain: &str, dish: &str) -> Option<String> {
    let found = COUNT_ALONE.captures(plain)?;
    Some(format!("{} {dish}", &found[1]))
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

/// `me pueden llamar al llegar`: the rest of the text, and the words. A courier needs them as they are.
pub fn courier(said: &str) -> Option<(String, String)> {
    let pieces: Vec<Range<usize>> = PIECE.find_iter(said).map(|piece| piece.range()).collect();
    let folded: Vec<String> =
        pieces.iter().map(|piece| phrases::plain(&said[piece.clone()]).replace(' ', "")).collect();
    let joined = folded.join(" ");
    let found = intent::call_on_arrival(&joined)?;
    let at = |byte: usize| joined[..byte].matches(' ').count();
    let (first, mut last) = (at(found.start), at(found.end.saturating_sub(1)));
    // The words go on to the place of the meeting: `cuando lleguen a la portería`. What follows, in this line or the next, is no part.
    let is_end = |n: usize| said[pieces[n].clone()].ends_with([',', '.', ';', '!', '?']);
    while !is_end(last)
        && let Some(next) = pieces.get(last + 1)
        && !said[pieces[last].end..next.start].contains('\n')
        && is_meeting_place(&folded[last], &folded[last + 1])
    {
        last += 1;
    }
    // `a la` leads to no place here: it belongs to what follows.
    while last > at(found.end.saturating_sub(1)) && MEETING_JOINS.contains(&folded[last].as_str()) {
        last -= 1;
    }
    let range = pieces[first].start..pieces[last].end;
    let words = said[range.clone()].trim_matches(|c: char| !c.is_alphanumeric());
    let words = words::one_line(words, 120);
    let rest = cut_out(said, range);
    Some((rest.trim_matches([' ', ',', '.', ';', '?', '¿', '\n']).to_owned(), words))
}

const MEETING_JOINS: &[&str] = &["a", "al", "en", "la", "el", "mi", "de", "del", "por"];

fn is_meeting_place(before: &str, word: &str) -> bool {
    let is_unit = |word: &str| {
        matches!(word, "apto" | "apt" | "apartamento" | "torre" | "casa" | "piso" | "oficina" | "bloque" | "interior")
    };
    let is_number = word.starts_with(|c: char| c.is_ascii_digit());
    MEETING_JOINS.contains(&word)
        || is_unit(word)
        || is_unit(before) && is_number
        || matches!(
            word,
            "porteria"
                | "puerta"
                | "porton"
                | "reja"
                | "entrada"
                | "recepcion"
                | "edificio"
                | "conjunto"
                | "unidad"
                | "lobby"
                | "esquina"
                | "parqueadero"
                | "primer"
                | "segundo"
                | "favor"
                | "porfa"
                | "porfavor"
        )
}

/// The text without a range of it. Ends of lines stay: they part what is before from what is behind.
fn cut_out(said: &str, range: Range<usize>) -> String {
    let (before, behind) = (said[..range.start].trim_end_matches(' '), said[range.end..].trim_start_matches(' '));
    // An end of a line within the range is one still.
    let join = if said[range].contains('\n') { "\n" } else { " " };
    format!("{before}{join}{behind}").trim().to_owned()
}

/// `a nombre de Juan Pérez`, `para don Carlos`: the rest of the text, and the name.
pub fn name(said: &str) -> Option<(String, String)> {
    let introduces = || {
        let found = I_AM.captures(said).filter(|_| !said.contains('?'))?;
        let first = phrases::plain(&found[1]);
        (!NO_NAME.is_match(&first)).then_some(found)
    };
    let found = NAME.captures(said).or_else(|| FOR_SOMEBODY.captures(said)).or_else(introduces)?;
    let whole = found.get(0)?;
    Some((cut_out(said, whole.range()), words::one_line(&found[1], 60)))
}

/// `necesito cambio de 100 mil`: the rest of the text, and the words about the bill. A courier needs them as they are.
pub fn bill(said: &str) -> Option<(String, String)> {
    let whole = BILL.find(said).filter(|_| !said.contains('?'))?;
    let rest = cut_out(said, whole.range());
    Some((rest.trim_matches([' ', ',', '.', ';']).to_owned(), words::one_line(whole.as_str(), 80)))
}

/// `perdón, es apto 501`: nothing but parts of an address, one after the other.
pub fn address_parts(plain: &str) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for found in PART.captures_iter(plain) {
        parts.retain(|(unit, _)| *unit != found[1]);
        parts.push((found[1].to_owned(), found[2].replace(' ', "")));
    }
    let rest = PART.replace_all(plain, " ");
    // The number that is taken back: `no 4`, `no el 4`.
    let mut is_refused = false;
    let is_rest = rest.split_whitespace().all(|word| {
        is_refused |= word == "no";
        FILLERS.contains(&word) || is_refused && word.chars().all(|c| c.is_ascii_digit())
    });
    if is_rest { parts } else { Vec::new() }
}

fn unit_of(word: &str) -> &str {
    match word {
        "apt" | "apartamento" | "apartment" => "apto",
        "of" => "oficina",
        "int" => "interior",
        "bl" => "bloque",
        "mz" => "manzana",
        word => word,
    }
}

/// The address with a part in the place of the one of its kind, or behind it all.
pub fn amended(address: &str, parts: &[(String, String)]) -> String {
    let mut address = address.to_owned();
    for (unit, number) in parts {
        let is_same = |word: &str| unit_of(unit) == unit_of(word);
        let folded = address.to_lowercase();
        let old = PART
            .captures_iter(&folded)
            .find(|found| is_same(&found[1]))
            .and_then(|found| found.get(0))
            .map(|found| found.range());
        let new = format!("{unit} {number}");
        match old {
            // Lower case may have other lengths than the text itself; then nothing is cut out of it.
            Some(range)
                if folded.len() == address.len()
                    && address.is_char_boundary(range.start)
                    && address.is_char_boundary(range.end) =>
            {
                address.replace_range(range, &new);
            }
            _ => address = format!("{address}, {new}"),
        }
    }
    address
}

/// `1`, `es el 4`: a number and nothing that it counts. `Some(true)`: no article either.
pub fn bare_number(plain: &str) -> Option<bool> {
    let mut words: Vec<&str> = plain.split(' ').collect();
    words.pop().filter(|last| !last.is_empty() && last.len() <= 5 && last.chars().all(|c| c.is_ascii_digit()))?;
    let is_filler = words.iter().all(|word| FILLERS.contains(word));
    is_filler.then(|| !words.iter().any(|word| matches!(*word, "el" | "la" | "los" | "las")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address_take_each_others_place() {
        let amend = |said: &str| amended("Calle 10 # 20-30 Apto 4", &address_parts(said));
        assert_eq!(amend("perdon es apto 501"), "Calle 10 # 20-30 apto 501");
        assert_eq!(amend("perdon apto 202 no 4"), "Calle 10 # 20-30 apto 202");
        assert_eq!(amend("mejor a la torre 3"), "Calle 10 # 20-30 Apto 4, torre 3");
        assert_eq!(amend("el apartamento 7 b"), "Calle 10 # 20-30 apartamento 7b");
        for said in ["dos hamburguesas", "quite 1", "4", "casa con 2 perros", "una picada para el piso 3"] {
            assert!(address_parts(said).is_empty(), "{said}");
        }
        assert_eq!((bare_number("1"), bare_number("el 4"), bare_number("que sean 3")), (Some(true), Some(false), None));
    }

    #[test]
    fn names_bills_and_waiting_words() {
        assert_eq!(name("a nombre de Juan Pérez"), Some((String::new(), "Juan Pérez".into())));
        assert_eq!(name("una bandeja a nombre de Carlos, gracias").unwrap().1, "Carlos");
        assert_eq!(name("dos tamales para don Carlos"), Some(("dos tamales".into(), "don Carlos".into())));
        assert_eq!(name("es para la señora Rosa").unwrap().1, "la señora Rosa");
        assert_eq!(name("dos tamales para dos personas"), None);
        assert_eq!(name("para recoger, efectivo, soy Ana").unwrap().1, "Ana");
        assert_eq!(name("un ajiaco y soy Ana María Ruiz, gracias").unwrap().1, "Ana María Ruiz");
        assert_eq!(name("soy Elena").unwrap().1, "Elena");
        for said in [
            "soy alérgico",
            "Soy Alérgico",
            "soy de la torre 3",
            "soy cliente",
            "soy el de ayer",
            "soy Ana, ¿ya viene?",
        ] {
            assert_eq!(name(said), None, "{said}");
        }
        assert_eq!(
            courier("dos tamales, y me pueden llamar cuando lleguen, gracias"),
            Some(("dos tamales, y gracias".into(), "me pueden llamar cuando lleguen".into()))
        );
        assert_eq!(
            courier("¿Me puede llamar al llegar?").unwrap(),
            (String::new(), "Me puede llamar al llegar".into())
        );
        assert_eq!(courier("me pueden llamar"), None);
        assert_eq!(
            bill("efectivo, necesito cambio de 100 mil").unwrap(),
            ("efectivo".into(), "necesito cambio de 100 mil".into())
        );
        assert_eq!(bill("pago con billete de 50").unwrap().1, "pago con billete de 50");
        for said in ["¿tienen cambio de 100 mil?", "pago con nequi", "una coca de 400"] {
            assert_eq!(bill(said), None, "{said}");
        }
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

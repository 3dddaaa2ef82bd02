//! Phrases that mean one thing to the bot wherever they stand: commands, swearing, how an order is fetched, phones. Owns the patterns;
//! dishes are the parser's.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use crate::bot::text;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Menu,
    Help,
    View,
    Cancel,
    /// By the order's number.
    CancelOrder(String),
    Done,
    Edit,
    Human,
    Status,
    /// A line of the basket, from one on.
    Remove(usize),
    PickUp,
    Delivery,
    Yes,
    No,
}

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("a pattern of ours"));
    };
}

pattern!(
    REMOVE,
    r"^(?:eliminar|elimine|elimina|quitar|quite|quita|borrar|borre|borra|remove|delete)(?: el| la| the)?(?: numero| linea| item| line| number)?\s*#?\s*(\d{1,2})$"
);
pattern!(
    CANCEL_ORDER,
    r"^(?:cancel\w*|anul\w*)\s+(?:el |mi |la |my |the )?(?:pedido |orden |order )?#?\s*([0-9a-f]{6})$"
);
pattern!(
    SWEARING,
    r"\b(hijo ?de ?puta|hijueputas?|hijuep\w+|hpta|jueputa|gonorreas?|malparid[oa]s?|mal parid[oa]s?|mierda|puta|putas?|pirob[oa]s?|carechimba|estupid[oa]s?|imbeciles?|idiotas?|pendej[oa]s?|maldit[oa]s?|fuck\w*|shit|asshole|bitch)\b"
);
pattern!(
    DONE,
    r"\b(eso (es|seria) todo|(es|seria) todo|nada mas|solo eso|ya (es|seria) todo|that'?s (all|it)|that is all|nothing else)\b"
);
pattern!(
    PICKS_UP,
    r"\b(recog(er|erlo|erla|erlos|emos)|recojo|lo recojo|paso (por (el|ella|ellos|mi|eso|ahi)|a recoger\w*)|pas(o|amos) a (buscar|reclamar)\w*|voy por (el|ella|mi pedido)|lo reclamo|(para )?(comer|consumir) (alla|aca|en el (local|restaurante|sitio))|pick ?(it )?up|pickup)\b"
);
pattern!(ASKS_WAIT, r"\b(demora\w*|tarda\w*|(cuanto|que) tiempo|en cuanto (llega|esta|me llega)|how long)\b");
pattern!(
    INSULT,
    r"\b(mierda|porqueria|basura) (de|con)\b|\b(que|son un[oa]s?|es una|par de|partida de) (mierda|porqueria|hijue?put\w*|malparid\w+|gonorreas?|ladron\w*)\b"
);
pattern!(
    BRINGS,
    r"\b(para|a|en) (mi|la) (casa|oficina|apartamento|apto|trabajo)\b|\b(traiga|traigan|envie|envien|mande|manden|lleve|lleven)(lo|la|los|las|me|melo|mela)*\b|\bque (me )?l[oa]s? (traigan|manden|lleven|envien)\b|\bme l[oa]s? (trae|manda|envia|lleva)n?\b"
);
pattern!(DELIVERS, r"\b(a domicilio|por domicilio|para domicilio|deliver(y|ed)?|me lo (llevan|traen|envian|mandan))\b");
pattern!(ASKS_DELIVERY, r"\b(domicilios?|envios?|llevan a|deliver\w*|hasta donde (llegan|llevan))\b");
pattern!(
    HOLDS_BACK,
    r"^(no|wait|hold on|not yet)\b|^(un|dame un|deme un) (momento|momentico|segundo|minuto)\b|\b(esper(e|en|a|ame|eme|ate|ese))\b"
);
pattern!(
    SAME_ONE,
    r"^(?:(?:si|sii|sip|claro|ok|dale|correcto|exacto|yes)\s+)?(?:a |con |en )?(?:(?:ese|este|esa|esta|el|la|al)\s+)?(?:mism[oa]|mismito|misma de siempre)(?:\s+(?:numero|celular|direccion|telefono))?(?:\s+(?:por favor|porfa|gracias))?$|^(?:(?:si|claro|yes)\s+)?(?:ese|este|esa|esta|that one|the same)(?:\s+(?:numero|celular|direccion|esta bien|sirve))?$"
);
pattern!(
    ASKS_PLACE,
    r"\b(donde (estan|queda|quedan|es|son|los encuentro)|ubicad[oa]s?|(cual es )?(la|su) (direccion|ubicacion)|where are you|your address)\b"
);
pattern!(
    ASKS_PAYMENT,
    r"\b(reciben?|aceptan?|manejan|puedo pagar|se puede pagar|medios? de pago|formas? de pago|metodos? de pago|como (puedo )?pag\w+|take (cards?|cash)|pay (by|with))\b"
);
pattern!(
    ENGLISH_HUMAN,
    r"\b(talk|speak|chat) (to|with) (a |an |some)?\s?(person|human|someone|somebody|agent|owner|manager|one)\b"
);
pattern!(
    OWN_ORDER,
    r"^(?:(?:hola|buenas|oiga|oye|disculpe|disculpa|perdon|perdone|espere|entonces|a ver|y|veci|vecino|vecina|amigo|amiga|una pregunta)\s+)*(?:que (?:fue |es )?(?:lo que )?(?:yo )?(?:pedi|pedimos|he pedido|hemos pedido|habia pedido|ordene|encargue)|que (?:es lo que )?(?:llevo|llevamos)|que (?:me )?(?:tengo|tiene|tienen|tienes|ha|han|hay) anotado|(?:cual (?:es|era|fue)|como (?:quedo|quedaria|va quedando|esta quedando)) (?:mi|el|nuestro|la|nuestra) (?:ultim[oa] )?(?:pedido|orden|encargo)|que (?:tengo|llevo|hay|tiene|va|quedo|lleva) en (?:mi|el|la) (?:pedido|carrito|orden)|(?:me )?(?:recuerd|muestr)(?:a|as|e|ame|eme) (?:mi|el) pedido|(?:me )?(?:recuerd|muestr)(?:a|as|e|ame|eme) (?:lo )?que (?:pedi|llevo|pedimos|llevamos)|what did i order|what(?:'s| is) (?:in )?my (?:order|cart)|what do i have so far)(?:\s+(?:yo|hasta (?:ahora|ahorita|aqui|ahi|el momento)|anotado|por favor|porfa|gracias|please|so far))*$"
);
pattern!(COMMENT, r"(?is)^\s*(?:nota|observaci[oó]n(?:es)?|comentarios?|comments?|note)\s*[:：]\s*(.+)$");
pattern!(PHONE, r"(?:\+\s?)?\d(?:[\s().-]{0,2}\d){6,14}");
pattern!(MOBILE, r"(?:(?:\+\s?)?57[\s-]?)?\b3\d{2}[\s.-]?\d{3}[\s.-]?\d{2}[\s.-]?\d{2}\b");

/// Blanks and marks around the words go; accents too.
pub fn plain(said: &str) -> String {
    let folded = text::fold(said);
    let kept: String =
        folded.chars().map(|c| if c.is_alphanumeric() || c == '#' || c == '\'' { c } else { ' ' }).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The whole text is a command.
pub fn command(said: &str) -> Option<Command> {
    if said.len() > 80 || said.contains('?') {
        return None;
    }
    let words = plain(said);
    let words = words.trim_end_matches(" por favor").trim_end_matches(" porfa").trim_end_matches(" please");
    Some(match words {
        "menu" | "el menu" | "ver menu" | "ver el menu" | "carta" | "la carta" | "ver carta" | "ver la carta"
        | "the menu" => Command::Menu,
        "ayuda" | "help" | "comandos" | "opciones" => Command::Help,
        "ver" | "ver pedido" | "ver mi pedido" | "ver el pedido" | "carrito" | "ver carrito" | "resumen" | "view"
        | "cart" | "my order" | "mi carrito" => Command::View,
        "cancelar" | "cancel" | "cancelar pedido" | "cancelar el pedido" | "cancelar mi pedido" | "cancel order"
        | "cancel my order" | "start over" => Command::Cancel,
        "listo" | "terminar" | "finalizar" | "done" | "checkout" | "pedir ya" | "finish" => Command::Done,
        "editar"
        | "edit"
        | "modificar"
        | "cambiar"
        | "corregir"
        | "change"
        | "editar pedido"
        | "editar el pedido"
        | "editar mi pedido"
        | "quiero editar"
        | "quiero editar el pedido"
        | "modificar el pedido"
        | "cambiar el pedido"
        | "quiero cambiar el pedido"
        | "edit order" => Command::Edit,
        "hablar con alguien" | "humano" | "asesor" | "persona" | "human" | "agent" => Command::Human,
        "estado" | "status" | "estado de mi pedido" | "estado del pedido" | "where is my order" | "order status" => {
            Command::Status
        }
        "recoger" | "para recoger" | "recogerlo" | "pick up" | "pickup" => Command::PickUp,
        "domicilio" | "a domicilio" | "delivery" => Command::Delivery,
        "yes" | "yeah" | "yep" | "sure" | "correct" | "confirm" | "yes please" | "that's right" | "of course" => {
            Command::Yes
        }
        "no thanks" | "nope" | "no thank you" => Command::No,
        _ => {
            if let Some(found) = REMOVE.captures(words) {
                Command::Remove(found[1].parse().ok()?)
            } else if let Some(found) = CANCEL_ORDER.captures(words) {
                Command::CancelOrder(found[1].to_owned())
            } else if ENGLISH_HUMAN.is_match(words) {
                Command::Human
            } else {
                return None;
            }
        }
    })
}

/// `qué pedí`, `qué llevo`, `cuál es mi pedido`: nothing but the question for what is ordered, and not for how far it is.
pub fn asks_own_order(plain: &str) -> bool {
    OWN_ORDER.is_match(plain)
}

/// Words against us, whatever is ordered beside them.
pub fn insults(plain: &str) -> bool {
    INSULT.is_match(plain)
}

/// `para mi casa`: an answer to the question for the way, and to nothing else.
pub fn brings(plain: &str) -> bool {
    BRINGS.is_match(plain)
}

pub fn swears(plain: &str) -> bool {
    SWEARING.is_match(plain)
}

/// `y eso es todo`.
pub fn says_done(plain: &str) -> bool {
    DONE.is_match(plain)
}

/// True: the customer fetches it. False: it is to be brought.
pub fn way(plain: &str) -> Option<bool> {
    if PICKS_UP.is_match(plain) {
        return Some(true);
    }
    DELIVERS.is_match(plain).then_some(false)
}

/// `una más`, `otra`: more of the dish that was named last.
pub fn one_more(plain: &str) -> Option<u32> {
    let words = plain.trim_start_matches("y ").trim_end_matches(" por favor").trim_end_matches(" porfa");
    match words {
        "una mas" | "uno mas" | "un mas" | "otra" | "otro" | "otra mas" | "otro mas" | "otra igual" | "otro igual"
        | "one more" | "another one" => Some(1),
        "dos mas" | "otras dos" | "otros dos" | "2 mas" | "two more" => Some(2),
        "tres mas" | "otras tres" | "otros tres" | "3 mas" => Some(3),
        _ => None,
    }
}

/// `cuánto se demora`: the time, and perhaps not the order's stage.
pub fn asks_wait(plain: &str) -> bool {
    ASKS_WAIT.is_match(plain)
}

/// The text without words that swear at nobody.
pub fn without_swearing(said: &str) -> String {
    let kept = said.split_inclusive(char::is_whitespace).filter(|word| !swears(&self::plain(word)));
    kept.collect()
}

pub fn asks_delivery(plain: &str) -> bool {
    ASKS_DELIVERY.is_match(plain)
}

pub fn asks_payment(plain: &str) -> bool {
    ASKS_PAYMENT.is_match(plain)
}

/// `sí, ese mismo`: a yes to an offer, and no dish once more.
pub fn takes_the_same(plain: &str) -> bool {
    SAME_ONE.is_match(plain)
}

pub fn asks_place(plain: &str) -> bool {
    ASKS_PLACE.is_match(plain)
}

/// `no, espere`: no yes at any rate.
pub fn holds_back(plain: &str) -> bool {
    HOLDS_BACK.is_match(plain)
}

/// `Nota: el timbre no sirve`.
pub fn comment(said: &str) -> Option<&str> {
    COMMENT.captures(said)?.get(1).map(|comment| comment.as_str().trim())
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// An answer to the question for a phone: seven digits or more.
pub fn phone(said: &str) -> Option<String> {
    let found = PHONE.find(said)?;
    Some(digits(found.as_str())).filter(|digits| (7..=15).contains(&digits.len()))
}

/// A mobile phone anywhere in a text, and its place.
pub fn mobile(said: &str) -> Option<(Range<usize>, String)> {
    let found = MOBILE.find(said)?;
    Some((found.range(), digits(found.as_str())))
}

#[cfg(test)]
mod tests {
    use super::{Command, asks_own_order, command, mobile, phone, plain, swears, way};

    #[test]
    fn commands_are_whole_texts() {
        for (text, expected) in [
            ("Menú", Some(Command::Menu)),
            ("ver la carta por favor", Some(Command::Menu)),
            ("Eliminar 2", Some(Command::Remove(2))),
            ("quitar el 3", Some(Command::Remove(3))),
            ("cancelar pedido #a1b2c3", Some(Command::CancelOrder("a1b2c3".into()))),
            ("listo!", Some(Command::Done)),
            ("hay menú?", None),
            ("quitar 2 cocas", None),
            ("can I talk to a person", Some(Command::Human)),
        ] {
            assert_eq!(command(text), expected, "{text}");
        }
    }

    #[test]
    fn the_own_order_is_asked_for_by_whole_texts() {
        for said in [
            "qué pedí?",
            "que pedi",
            "¿Cuál es mi pedido?",
            "oiga, qué fue lo que pedí?",
            "qué llevo",
            "y qué llevo hasta ahora?",
            "cómo quedó mi pedido?",
            "qué hay en mi pedido",
            "me recuerda mi pedido por favor",
            "What did I order?",
        ] {
            assert!(asks_own_order(&plain(said)), "{said}");
        }
        // How far it is, dishes, and what was wrong with it are other questions.
        for said in [
            "cómo va mi pedido?",
            "qué lleva la hamburguesa?",
            "qué llevo para dos personas?",
            "llevo dos perros",
            "el ajiaco que pedí",
            "no llegó lo que pedí",
            "cuál es el plato del día",
            "repita mi pedido",
            "qué tienen",
        ] {
            assert!(!asks_own_order(&plain(said)), "{said}");
        }
    }

    #[test]
    fn phones_and_ways() {
        assert_eq!(phone("es el 300 123 45 67"), Some("3001234567".into()));
        assert_eq!(phone("604-123-4567"), Some("6041234567".into()));
        assert_eq!(phone("el 12"), None);
        assert_eq!(mobile("cel 3001234567 gracias").map(|found| found.1), Some("3001234567".into()));
        assert_eq!(mobile("calle 10 # 20-30"), None);
        assert_eq!((way("yo paso por el"), way("a domicilio"), way("hola")), (Some(true), Some(false), None));
        assert!(swears("que mierda de servicio") && !swears("un pollo"));
    }
}

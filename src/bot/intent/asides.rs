//! Sentences that name a dish and order none: pictures, payments, memories, doubts. Owns their phrases.

use std::sync::LazyLock;

use regex::Regex;

use super::Intent;

/// The subject of a sentence that only mentions dishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DishAside {
    pub intent: Intent,
    /// The place of the phrase, so that an order before it still counts.
    pub at: usize,
    /// While an order is being made, the sentence is about that order instead.
    pub yields_to_order: bool,
}

struct AsideKind {
    intent: Intent,
    yields_to_order: bool,
    pattern: &'static str,
}

/// The first that matches counts.
const KINDS: &[AsideKind] = &[
    // `foto del comprobante`.
    AsideKind {
        intent: Intent::Other,
        yields_to_order: false,
        pattern: r"\b(?:fotos?|imagen|captura|pantallazo) (?:de|del) (?:el |la |mi )?(?:comprobante|pago|recibo|transferencia|direccion|consignacion|nequi)\b",
    },
    // `me manda una foto de la picada`.
    AsideKind {
        intent: Intent::Menu,
        yields_to_order: false,
        pattern: r"\b(?:fotos?|foticos?|fotografias?|imagen(?:es)?|videos?) (?:de|del|a)\b",
    },
    AsideKind {
        intent: Intent::Menu,
        yields_to_order: false,
        pattern: r"\b(?:informacion|info|informes|detalles) (?:de|del|sobre|acerca)\b|\bme interesa (?:saber|conocer)\b|\b(?:quiero|quisiera|queria) saber (?:de|sobre|mas)\b",
    },
    // `ya les pagué las dos luladas`, `el número para pagarlas`.
    AsideKind {
        intent: Intent::Other,
        yields_to_order: false,
        pattern: r"\b(?:ya|recien|ahorita|ahi) (?:(?:les?|te|se|la|lo|las|los) )*(?:pague|pagamos|consigne|consignamos|transferi|transferimos|gire|hice (?:el|la) (?:pago|transferencia|consignacion|nequi))\b|\b(?:les?|te) (?:consigne|transferi|gire)\b|\b(?:numero|cuenta|qr|llave)\b.{0,25}\b(?:para|pa) (?:pagar|consignar|transferir|girar)\w*|\bcomprobante (?:de|del)\b",
    },
    // `se demora mucho una lulada?`.
    AsideKind {
        intent: Intent::Status,
        yields_to_order: false,
        pattern: r"\bse (?:me |les? )?(?:demora|demoran|tarda|tardan|demorara|demoraria) (?:mucho|mucha|muchisimo|tanto|bastante|harto)\b|\ben cuanto (?:tiempo )?(?:me|nos|les?|lo|la|los|las) (?:lleg|lo lleg|la lleg|tra|mand|entreg|despach)\w*|\bcuanto tiempo (?:para|se|demora|me|tarda|toma)\b|\bque (?:paso|hubo) con (?:mis?|las|los)\b",
    },
    // `me deben una lulada`, `la lulada no me la mandaron`.
    AsideKind {
        intent: Intent::Human,
        yields_to_order: false,
        pattern: r"\b(?:me|nos) (?:debe|deben|debian|quedaron debiendo|quedo debiendo|estan debiendo|quedan debiendo)\b|\bno (?:me|nos) (?:la|lo|las|los) (?:mandaron|trajeron|enviaron|dieron|despacharon|incluyeron|llevaron)\b",
    },
    // `qué le echan a la picada`.
    AsideKind {
        intent: Intent::Menu,
        yields_to_order: false,
        pattern: r"\bque (?:mas )?(?:le|les|se le) (?:echan|ponen|meten|agregan|colocan|sirven)\b",
    },
    // `mi hijo se comió dos costillas`.
    AsideKind {
        intent: Intent::Other,
        yields_to_order: true,
        pattern: r"\b(?:comio|comieron|comia|comian)\b|\bquien (?:me|nos) (?:manda|regala|invita|gasta|da)\b|\b(?:me|nos) gustan? (?:mucho|muchisimo|harto|bastante|mas)\b(?: \W+)*$|\b(?:quede|quedamos) con (?:las )?ganas\b|^si (?:me|nos) (?:antoja|provoca|dan?) .*\b(?:les?|te) (?:escribo|aviso|llamo|digo|pido)\b",
    },
    // `felicitaciones por la picada`.
    AsideKind {
        intent: Intent::Other,
        yields_to_order: false,
        pattern: r"\bfelicitaciones\b|\b(?:los|las|les?|te) felicito\b|\b10 / 10\b|\bexcelentes? (?:la|el|las|los|su|sus|servicio|atencion)\b",
    },
    // `voy a mirar si pido una picada`.
    AsideKind {
        intent: Intent::Other,
        yields_to_order: false,
        pattern: r"\bno (?:se|sabemos) si (?:pedir|pido|pedimos|llevar|llevo)\b|\bvoy a (?:mirar|ver|pensar|consultar|preguntar)(?:lo|le|les)? si\b|\b(?:dejame|dejeme|deje|deja) (?:le |les |lo )?(?:miro|pienso|consulto|pregunto|veo|reviso)\b|\b(?:estoy|estamos|ando) (?:dudando )?entre (?:la|el|las|los|un|una|pedir)\b|\bindecis[oa]s?\b|\bpensando (?:en|si) (?:pedir|comer|comprar|llevar|pido)\w*|\bpero (?:todavia |aun )?no (?:se|sabemos|estoy segur[oa]|me decido)(?:$| (?:si|cual|todavia|aun|bien))",
    },
    // `puedo ofrecerle promociones`: somebody who sells.
    AsideKind {
        intent: Intent::Other,
        yields_to_order: false,
        pattern: r"\bofrecer(?:le|les|te|los)\b|\bproveedor(?:es)?\b|\bdistribuidor(?:es|a)?\b|\bal por mayor\b",
    },
    // `la burger se puede pedir sin cebolla?`.
    AsideKind {
        intent: Intent::Other,
        yields_to_order: true,
        pattern: r"\b(?:la|el|las|los) .{2,40}\bse (?:la |lo |las |los )?(?:puede|pueden|podria)\b.*\?|\bme (?:la|lo|las|los) (?:hacen|preparan|venden|harian|prepararian) \?",
    },
    // `yo no pedí esa`, `les había pedido dos`; while an order is made they correct it.
    AsideKind {
        intent: Intent::Human,
        yields_to_order: true,
        pattern: r"\bno (?:la |lo |las |los )?(?:pedi|pedimos|encargue) (?:la|el|las|los|esa|ese|esas|esos|eso|ningun|ninguna)\b|^(?:(?:hola|buenas|oiga|oye|disculpe|pero|y|,) )*(?:falta|faltan) (?:la|el|las|los|mi|mis)\b",
    },
    AsideKind {
        intent: Intent::Status,
        yields_to_order: true,
        pattern: r"\b(?:que|ya|yo) (?:les?|te) (?:pedi|pedimos|encargue|encargamos)\b|\b(?:habia|habiamos) (?:pedido|encargado)\b",
    },
];

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| KINDS.iter().map(|kind| super::regex(kind.pattern)).collect());

/// The phrase by which a sentence only mentions its dishes.
pub fn aside(words: &str) -> Option<DishAside> {
    KINDS.iter().zip(PATTERNS.iter()).find_map(|(kind, pattern)| {
        let found = pattern.find(words)?;
        Some(DishAside { intent: kind.intent, at: found.start(), yields_to_order: kind.yields_to_order })
    })
}

#[cfg(test)]
mod tests {
    use super::{Intent, aside};

    #[test]
    fn a_dish_that_is_only_mentioned_is_told_by_its_phrase() {
        for (said, intent) in [
            ("me manda una foto de la picada", Intent::Menu),
            ("quiero informacion de la lulada", Intent::Menu),
            ("ya les pague las dos luladas", Intent::Other),
            ("me manda el numero de nequi para pagar las luladas", Intent::Other),
            ("se demora mucho una lulada ?", Intent::Status),
            ("que paso con las costillas", Intent::Status),
            ("me deben una lulada", Intent::Human),
            ("la burger no me la mandaron", Intent::Human),
            ("felicitaciones por la picada", Intent::Other),
            ("no se si pedir picada o costillas", Intent::Other),
            ("la burger se puede pedir sin cebolla ?", Intent::Other),
            ("yo no pedi esa burger", Intent::Human),
        ] {
            assert_eq!(aside(said).map(|aside| aside.intent), Some(intent), "{said}");
        }
        for said in [
            "dos luladas",
            "me manda dos luladas y una picada para 4",
            "pago con nequi",
            "sera que se pueden pedir dos luladas ?",
            "y falta una lulada",
        ] {
            assert_eq!(aside(said), None, "{said}");
        }
    }
}

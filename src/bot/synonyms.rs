//! Other names of what is eaten and drunk. Owns the table; applies only where a menu has the one name and the
//! customer uses another.

/// Folded words that mean the same, or nearly: a country's word for another's. A menu decides which of them are its
/// own.
pub const GROUPS: &[&[&str]] = &[
    &["hamburguesa", "burger", "hamburger", "burguer", "amburguesa"],
    &["perro", "hotdog", "pancho", "perrito", "completo"],
    &["papa", "patata", "papita", "francesa", "fritas"],
    &["cerveza", "birra", "pola", "chela", "fria", "cana", "polita", "beer"],
    &["gaseosa", "refresco", "soda", "fresco", "cola"],
    &["jugo", "zumo"],
    &["malteada", "batido", "merengada", "milkshake", "batida", "licuado"],
    &["cafe", "tinto", "tintico", "perico"],
    &["chuzo", "pincho", "brocheta", "espetada"],
    &["aguacate", "palta"],
    &["mazorca", "choclo", "elote"],
    &["frijol", "frisol", "frejol", "poroto", "alubia", "frijole"],
    &["tocineta", "bacon", "tocino", "panceta"],
    &["camaron", "gamba", "langostino"],
    &["platano", "banano", "banana"],
    &["champinon", "hongo", "seta"],
    &["torta", "pastel", "ponque", "bizcocho"],
    &["sandwich", "sanduche", "emparedado", "bocadillo", "sanguche", "sanduchito"],
    &["pina", "ananas"],
    &["fresa", "frutilla"],
    &["durazno", "melocoton"],
    &["maracuya", "parchita"],
    &["cerdo", "puerco", "chancho", "marrano"],
    &["pollo", "gallina"],
    &["res", "ternera", "vacuno"],
    &["espagueti", "spaghetti", "spaguetti", "espaguetti", "fideo", "tallarin", "tallarines"],
    &["salchipapa", "salchi"],
    &["alita", "alitas", "wings", "ala"],
    &["sencilla", "clasica", "normal", "tradicional", "simple", "basica"],
    &["mozzarella", "muzzarella", "muzarela"],
    &["familiar", "gigante", "jumbo"],
    &["personal", "individual"],
    &["mixta", "combinada"],
    &["pepperoni", "peperoni", "pepe"],
    &["champinones", "hongos"],
    &["combo", "menu", "promo"],
    &["postre", "dulce"],
    &["almuerzo", "corrientazo"],
    &["infusion", "aromatica", "te"],
    &["gratinada", "gratinado"],
    &["helado", "nieve", "gelato"],
    &["costilla", "ribs", "costillar"],
    &["picada", "fritanga"],
    &["capuchino", "cappuccino", "capuccino"],
    &["brownie", "browni"],
    &["limonada", "limonadita"],
    &["aguardiente", "guaro", "guarito"],
    &["thai", "tailandes", "tailandesa", "tai"],
];

/// Brands, and the kind of drink that each is.
pub const BRANDS: &[(&str, &[&str])] = &[
    (
        "gaseosa",
        &[
            "coca",
            "cocacola",
            "pepsi",
            "sprite",
            "quatro",
            "colombiana",
            "postobon",
            "fanta",
            "7up",
            "seven",
            "premio",
            "bretana",
            "kola",
            "canada",
            "crush",
            "inca",
            "mirinda",
            "schweppes",
            "ginger",
            "manzana-postobon",
        ],
    ),
    (
        "cerveza",
        &[
            "aguila",
            "poker",
            "club",
            "corona",
            "heineken",
            "costena",
            "budweiser",
            "stella",
            "andina",
            "tecate",
            "modelo",
            "quilmes",
            "cusquena",
            "pilsen",
            "bbc",
            "redds",
            "coronita",
            "mahou",
            "estrella",
            "amstel",
        ],
    ),
];

/// Brands whose names are everyday words too.
const COMMON: &[&str] =
    &["premio", "canada", "modelo", "estrella", "andina", "inca", "corona", "club", "stella", "crush"];

/// True: the word is a brand that stands for nothing else, whether the menu has it or not.
pub fn is_brand(folded: &str) -> bool {
    !COMMON.contains(&folded) && BRANDS.iter().any(|(_, brands)| brands.contains(&folded))
}

/// The kind of drink that a brand is.
pub fn kind_of(folded: &str) -> Option<&'static str> {
    BRANDS.iter().find(|(_, brands)| brands.contains(&folded)).map(|(kind, _)| *kind)
}

/// Several words that mean one: the second replaces the first where the menu has it and has not the first.
pub const PHRASES: &[(&[&str], &str)] = &[
    (&["hot", "dog"], "perro"),
    (&["hot", "dogs"], "perro"),
    (&["cafe", "negro"], "tinto"),
    (&["agua", "panela"], "aguapanela"),
    (&["pan", "queso"], "pandebono"),
    (&["milk", "shake"], "malteada"),
    (&["coca", "light"], "coca"),
    (&["bebida", "gaseosa"], "gaseosa"),
    (&["perro", "caliente"], "perro"),
];

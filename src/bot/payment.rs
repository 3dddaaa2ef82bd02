//! The way in which the customer wants to pay, as said in a message. Owns the words; takes no money.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaymentMethod {
    Efectivo,
    Nequi,
    Daviplata,
    Transferencia,
    Tarjeta,
}

static METHODS: LazyLock<Vec<(PaymentMethod, Regex)>> = LazyLock::new(|| {
    let patterns = [
        (PaymentMethod::Nequi, r"\bne(qu|k)i\b|\bnequy\b|\bnequis\b"),
        (PaymentMethod::Daviplata, r"\bda(v|b)i ?plata\b"),
        (
            PaymentMethod::Tarjeta,
            r"\btar(j|g)eta\b|\bdatafono\b|\b(con|por) (debito|credito)\b|\bvisa\b|\bmastercard\b",
        ),
        (
            PaymentMethod::Transferencia,
            r"\b(transferencia|transfiero|transferir|transferimos|transfer|tranferencia|transferensia|trasferencia|trasfiero|bancolombia|davivienda|consigno|consignacion|pse|bre ?b|bizum|sinpe|mercado ?pago|por llave)\b",
        ),
        (
            PaymentMethod::Efectivo,
            r"\b(efectivo|efetivo|efectibo|cash|contado|contraentrega|billetes?( de)?|vueltas?|devuelta|sencilla para|cambio (de|para))\b( de)? ?(\d+|cien|cincuenta|veinte|mil)?|\bcontra ?entrega\b|\bpago con \d+|\bcon (uno|un) de (cien|cincuenta|veinte|\d+)\b",
        ),
    ];
    patterns.map(|(method, pattern)| (method, Regex::new(pattern).expect("a pattern of ours"))).into()
});

static EXCHANGE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bcambio (de|por)\b").expect("a pattern of ours"));
static QUESTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(reciben?|aceptan?|manejan|tienen|se puede|puedo|hay|cual es|dan|trabajan con|sirve|me (da|das|pasa|pasas|envia|envias))\b").expect("a pattern of ours")
});

// A comma lists nothing by itself: `por transferencia, nequi`.
static JOINS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(y|e)\b|[+&]").expect("a pattern of ours"));
static PARTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(o|u|mitad|resto|parte|lo demas|otra|otro|saldo|\d{1,3}(?:\.\d{3})*)\b|/")
        .expect("a pattern of ours")
});
static CORRECTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(no|mejor|perdon|digo|mentira\w*|cambi\w+|equivoque|espere|ya no|sino)\b")
        .expect("a pattern of ours")
});

/// The method that a folded sentence states. A question states none, nor does a sentence with two methods side by side. Else the last
/// one counts: people correct themselves. A transfer through a wallet is the wallet.
pub fn stated(folded: &str) -> Option<PaymentMethod> {
    if is_mixed(folded) {
        return None;
    }
    let all = all(folded);
    let (last, method) = all.last()?;
    let wallet = all.iter().rev().find(|(before, other)| {
        is_transfer_through(*method, *other)
            && is_wallet(*other)
            && !CORRECTS.is_match(folded.get(before.end..last.start).unwrap_or_default())
            && !CORRECTS.is_match(&folded[last.end..])
    });
    Some(wallet.map_or(*method, |(_, wallet)| *wallet))
}

fn is_wallet(method: PaymentMethod) -> bool {
    match method {
        PaymentMethod::Nequi | PaymentMethod::Daviplata => true,
        PaymentMethod::Efectivo | PaymentMethod::Transferencia | PaymentMethod::Tarjeta => false,
    }
}

/// One is the transfer, and the other the wallet that it goes through.
fn is_transfer_through(one: PaymentMethod, other: PaymentMethod) -> bool {
    one == PaymentMethod::Transferencia && is_wallet(other) || other == PaymentMethod::Transferencia && is_wallet(one)
}

/// `mitad efectivo y mitad nequi`: two methods, and neither is taken back.
pub fn is_mixed(folded: &str) -> bool {
    all(folded).windows(2).any(|pair| {
        let [(first, one), (second, other)] = pair else { return false };
        let between = folded.get(first.end..second.start).unwrap_or_default();
        let is_one = one == other || is_transfer_through(*one, *other) && !PARTS.is_match(between);
        !is_one
            && (JOINS.is_match(between) || PARTS.is_match(between))
            && !CORRECTS.is_match(between)
            && !CORRECTS.is_match(&folded[second.end..])
    })
}

/// The methods that a folded sentence states, in their order.
fn all(folded: &str) -> Vec<(std::ops::Range<usize>, PaymentMethod)> {
    let asks = folded.contains('?') && QUESTION.is_match(folded);
    if asks {
        return Vec::new();
    }
    let mut stated: Vec<(std::ops::Range<usize>, PaymentMethod)> = Vec::new();
    for (method, pattern) in METHODS.iter() {
        for found in pattern.find_iter(folded) {
            if EXCHANGE.is_match(found.as_str()) && *method == PaymentMethod::Efectivo && !folded.contains("cambio de")
            {
                continue;
            }
            if !is_refused(&folded[..found.start()]) {
                stated.push((found.range(), *method));
            }
        }
    }
    // Where two begin together, the later pattern counts.
    stated.sort_by_key(|(range, _)| range.start);
    stated
}

/// The words before a method end in `no` or `no tengo`. `bueno` is no refusal, though it ends in the same letters.
fn is_refused(before: &str) -> bool {
    let before = before.trim_end();
    let before = before.strip_suffix(" tengo").unwrap_or(before).trim_end();
    before.rsplit(|c: char| !c.is_alphanumeric()).next() == Some("no")
}

#[cfg(test)]
mod tests {
    use super::{PaymentMethod, is_mixed, stated};

    #[test]
    fn a_method_is_stated_and_not_asked_for() {
        assert_eq!(stated("pago por neki"), Some(PaymentMethod::Nequi));
        assert_eq!(stated("pago con un billete de 50"), Some(PaymentMethod::Efectivo));
        assert_eq!(stated("les hago transferencia"), Some(PaymentMethod::Transferencia));
        assert_eq!(stated("reciben tarjeta?"), None);
        assert_eq!(stated("cambio la coca por una pepsi"), None);
        assert_eq!(stated("nequi no, mejor efectivo"), Some(PaymentMethod::Efectivo));
        assert_eq!(stated("transferencia a nequi"), Some(PaymentMethod::Nequi));
    }

    #[test]
    fn a_refusal_is_a_whole_word() {
        assert_eq!(stated("bueno nequi"), Some(PaymentMethod::Nequi));
        assert_eq!(stated("bueno tengo daviplata"), Some(PaymentMethod::Daviplata));
        assert_eq!(stated("no, nequi"), Some(PaymentMethod::Nequi));
        assert_eq!(stated("no nequi"), None);
        assert_eq!(stated("no tengo nequi"), None);
    }

    #[test]
    fn two_methods_are_none() {
        for said in [
            "efectivo y nequi",
            "mitad efectivo y mitad nequi",
            "10 mil en efectivo y el resto por nequi",
            "nequi o efectivo",
            "efectivo + daviplata",
            "20 mil en efectivo, 30 por nequi",
            "mitad nequi y mitad transferencia",
            "nequi o transferencia",
        ] {
            assert!(is_mixed(said) && stated(said).is_none(), "{said}");
        }
        for said in ["efectivo, no, mejor nequi", "efectivo, perdon nequi", "nequi y nequi"] {
            assert!(!is_mixed(said) && stated(said) == Some(PaymentMethod::Nequi), "{said}");
        }
        for said in [
            "por transferencia, nequi",
            "pago por nequi, ya le hago la transferencia",
            "transferencia y es a nequi",
            "nequi, le transfiero ya",
            "transferencia no, mejor nequi",
            "por transferencia, al nequi 3001234567",
        ] {
            assert!(!is_mixed(said) && stated(said) == Some(PaymentMethod::Nequi), "{said}");
        }
        assert_eq!(stated("nequi no, mejor transferencia"), Some(PaymentMethod::Transferencia));
    }
}

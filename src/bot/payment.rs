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

/// The method that a folded sentence states. A question states none. The last one counts: people correct themselves.
pub fn stated(folded: &str) -> Option<PaymentMethod> {
    let asks = folded.contains('?') && QUESTION.is_match(folded);
    if asks {
        return None;
    }
    let mut last = None;
    for (method, pattern) in METHODS.iter() {
        for found in pattern.find_iter(folded) {
            if EXCHANGE.is_match(found.as_str()) && *method == PaymentMethod::Efectivo && !folded.contains("cambio de")
            {
                continue;
            }
            let refused = folded[..found.start()].trim_end().ends_with("no")
                || folded[..found.start()].trim_end().ends_with("no tengo");
            if !refused && last.is_none_or(|(at, _)| found.start() >= at) {
                last = Some((found.start(), *method));
            }
        }
    }
    last.map(|(_, method)| method)
}

#[cfg(test)]
mod tests {
    use super::{PaymentMethod, stated};

    #[test]
    fn a_method_is_stated_and_not_asked_for() {
        assert_eq!(stated("pago por neki"), Some(PaymentMethod::Nequi));
        assert_eq!(stated("pago con un billete de 50"), Some(PaymentMethod::Efectivo));
        assert_eq!(stated("les hago transferencia"), Some(PaymentMethod::Transferencia));
        assert_eq!(stated("reciben tarjeta?"), None);
        assert_eq!(stated("cambio la coca por una pepsi"), None);
        assert_eq!(stated("nequi no, mejor efectivo"), Some(PaymentMethod::Efectivo));
    }
}

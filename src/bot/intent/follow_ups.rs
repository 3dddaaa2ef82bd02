//! `¿tienen lulada? deme dos`: a number of what the question before was about.

use std::sync::LazyLock;

use regex::Regex;

use crate::bot::text::number;

static FOLLOW_UP: LazyLock<Regex> = LazyLock::new(|| {
    super::regex(
        r"^(?:\W|si hay|si tienen|si tiene|si|entonces|pues|bueno|listo|ok|y|porfa|por favor)*(?:(?:me|nos) )?(?:deme|denos|dame|mandeme|mandame|manda|mandas|mande|da|das|regala|regalas|regaleme|regalame|pone|pones|ponga|pongame|ponme|enviame|envieme|envia|envie|trae|traes|traiga|traigame|quiero) (una?|uno|[a-z]{3,10}|\d{1,3})(?: (?:de esas|de esos|de ellas|de ellos|por favor|porfa|porfis|entonces|gracias|pues|,))*\W*$",
    )
});

/// The number that a sentence wants of what was asked about, if it says nothing else.
pub fn follow_up(words: &str) -> Option<u32> {
    let said = FOLLOW_UP.captures(words)?.get(1)?.as_str();
    let units = match said {
        "un" | "una" | "uno" => Some(1),
        _ => said.parse().ok().or_else(|| number::word(said)),
    };
    units.filter(|units| (1..=100).contains(units))
}

#[cfg(test)]
mod tests {
    use super::follow_up;

    #[test]
    fn a_number_alone_is_of_what_was_asked_about() {
        assert_eq!(follow_up("deme dos por favor"), Some(2));
        assert_eq!(follow_up("si hay me manda una"), Some(1));
        assert_eq!(follow_up("quiero 3"), Some(3));
        for said in ["deme la carta", "quiero pedir", "deme dos tamales", "me regala el precio", "quiero una sin hielo"]
        {
            assert_eq!(follow_up(said), None, "{said}");
        }
    }
}

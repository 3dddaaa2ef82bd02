//! The way Spanish words sound, and what is left without plural, diminutive and gender. Owns the rules; no vocabulary.

/// Words that sound alike in Latin America have the same key: `quiero` and `kiero`, `bandeja` and `vandeja`. Takes a
/// folded word.
pub fn key(word: &str) -> String {
    let letters: Vec<char> = word.chars().collect();
    let mut key = String::with_capacity(word.len());
    let mut at = 0;
    while at < letters.len() {
        let next = letters.get(at + 1).copied().unwrap_or(' ');
        let after = letters.get(at + 2).copied().unwrap_or(' ');
        let soft = |c: char| matches!(c, 'e' | 'i' | 'y');
        let (sound, taken) = match (letters[at], next) {
            ('c', 'h') => ("ch", 2),
            ('s', 'h') => ("ch", 2),
            ('c', c) if soft(c) => ("s", 1),
            ('c' | 'q', 'k') => ("k", 2),
            ('q', 'u') if soft(after) => ("k", 2),
            ('c' | 'q' | 'k', _) => ("k", 1),
            ('z', _) => ("s", 1),
            ('v', _) => ("b", 1),
            ('l', 'l') => ("y", 2),
            ('g', 'u') if soft(after) => ("g", 2),
            ('g', c) if soft(c) => ("j", 1),
            ('h', 'u') if at == 0 && soft(after) => ("g", 2),
            ('h', _) => ("", 1),
            ('x', _) => ("ks", 1),
            ('w', _) => ("gu", 1),
            ('p', 'h') => ("f", 2),
            ('y', c) if !c.is_alphabetic() || !"aeiou".contains(c) => ("i", 1),
            ('m', 'b' | 'p' | 'v') => ("n", 1),
            ('i', c) if at == 0 && matches!(c, 'o' | 'a') => ("y", 1),
            (c, _) => {
                if !key.ends_with(c) {
                    key.push(c);
                }
                at += 1;
                continue;
            }
        };
        if !(sound.len() == 1 && key.ends_with(sound)) {
            key.push_str(sound);
        }
        at += taken;
    }
    key
}

/// Without the plural: `arroces`, `panes`, `perros`.
pub fn singular(key: &str) -> &str {
    let vowel = |c: char| "aeiou".contains(c);
    if let Some(stem) = key.strip_suffix("es")
        && stem.len() >= 3
        && stem.ends_with(|c: char| "lnrsdj".contains(c))
        && stem.chars().rev().nth(1).is_some_and(vowel)
    {
        // `arroces` and `arroz` both lose their last sound.
        return stem.strip_suffix('s').filter(|stem| stem.len() >= 2).unwrap_or(stem);
    }
    match key.strip_suffix('s') {
        Some(stem) if stem.len() >= 3 && stem.ends_with(vowel) => stem,
        // Foreign words: `burgers`, `hot dogs`, `combos` aside.
        Some(stem) if stem.len() >= 4 && stem.ends_with(|c: char| "rntdgk".contains(c)) => stem,
        _ => key,
    }
}

/// A singular without its last vowel: a word's gender goes, and what a diminutive hides.
pub fn root(singular: &str) -> &str {
    match singular.strip_suffix(|c: char| "aeiou".contains(c)) {
        Some(root) if root.len() >= 2 => root,
        _ => singular,
    }
}

/// The root that a diminutive may come from: `milito`, `arrocito`, `cafecito`, `tintico`, `juguito`.
pub fn diminutive_roots(singular: &str) -> Vec<String> {
    let mut roots = Vec::new();
    for ending in ["esit", "sit", "it", "ik", "iy", "sill", "et"] {
        let Some(stem) = singular.strip_suffix(['o', 'a', 'e']).and_then(|stem| stem.strip_suffix(ending)) else {
            continue;
        };
        let stem = if ending == "ik" && !stem.ends_with('t') { continue } else { stem };
        if stem.len() >= 2 {
            roots.push(stem.to_owned());
            // `agüita` has lost its dots.
            if stem.ends_with('g') {
                roots.push(format!("{stem}u"));
            }
        }
    }
    // `cafecito` keeps its vowel; `panecito` has one too many.
    if let Some(stem) = singular.strip_suffix("sito").or_else(|| singular.strip_suffix("sita"))
        && stem.len() >= 2
    {
        roots.push(root(stem).to_owned());
    }
    roots
}

/// Greatest number of slips that a key of this length may have.
fn slips_allowed(length: usize) -> usize {
    match length {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

/// The number of slips between two keys; `None`: they are different words. Letters that changed places are one slip.
pub fn slips(a: &str, b: &str) -> Option<usize> {
    let (shorter, longer) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let allowed = slips_allowed(shorter.len());
    if allowed == 0 || longer.len() - shorter.len() > allowed {
        return None;
    }
    let slips = strsim::osa_distance(a, b);
    // Few people mistake the first letter of a short word.
    let same_start = a.as_bytes()[0] == b.as_bytes()[0];
    (slips <= allowed && (same_start || shorter.len() >= 6 && slips <= 1)).then_some(slips)
}

#[cfg(test)]
mod tests {
    use super::{diminutive_roots, key, root, singular, slips};

    #[test]
    fn words_that_sound_alike_have_one_key() {
        for (a, b) in [
            ("kiero", "quiero"),
            ("vandeja", "bandeja"),
            ("sebolla", "cebolla"),
            ("gayina", "gallina"),
            ("guevo", "huevo"),
            ("kapuchino", "capuchino"),
            ("zalchipapa", "salchipapa"),
            ("anburguesa", "hamburguesa"),
            ("qeso", "keso"),
        ] {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
        assert_ne!(key("pollo"), key("polo"));
    }

    #[test]
    fn plurals_and_diminutives_lose_their_endings() {
        let of = |word: &str| singular(&key(word)).to_owned();
        assert_eq!(of("arroces"), of("arroz"));
        assert_eq!(of("panes"), of("pan"));
        assert_eq!(of("perros"), of("perro"));
        for (small, plain) in [("milito", "milo"), ("arrocito", "arroz"), ("cafecito", "cafe"), ("juguito", "jugo")] {
            let plain = root(&of(plain)).to_owned();
            assert!(
                diminutive_roots(&of(small)).contains(&plain),
                "{small}: {:?} {plain}",
                diminutive_roots(&of(small))
            );
        }
    }

    #[test]
    fn slips_are_counted_up_to_what_the_length_allows() {
        assert_eq!(slips("mojara", "mojara"), Some(0));
        assert_eq!(slips("salchipapa", "salchpaa"), Some(2));
        assert_eq!(slips("pago", "pabo"), Some(1));
        assert_eq!(slips("coca", "roca"), None);
        assert_eq!(slips("sal", "sol"), None);
    }
}

//! Phone numbers as people and programs write them, made into what WhatsApp calls an account: digits with the country code. Pure.
//!
//! Digits without a plus are ambiguous: programs write them with the country code, people without. Some can be read both ways, and
//! then two people have them.

use phonenumber::{
    Mode, PhoneNumber, Type, country,
    metadata::{DATABASE, Descriptor, Metadata},
};

/// Nothing shorter or longer is a number anywhere (E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Builds the table of all countries' rules. Otherwise whoever reads the first number does: that takes a quarter of a second or, in a debug
/// build, several.
pub fn load() {
    let _ = DATABASE.by_code(&0);
}

/// Without what comes along when a number is copied from a page or a contact card, and what nobody sees in it.
pub fn cleaned(text: &str) -> String {
    let seen: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    seen.trim().to_owned()
}

/// Unicode's characters that show nothing and have no width: joiners, marks of the writing direction, byte order marks, selectors of
/// another form, tags, fillers. Blanks are not among them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Characters that people write between the digits of a number.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || is_invisible(c) || matches!(c, '-' | '.' | '(' | ')' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// A number as it is typed.
struct Typed {
    digits: String,
    has_plus: bool,
}

impl Typed {
    /// `None`: there is something in it that no number has.
    fn read(text: &str) -> Option<Self> {
        let mut typed = Self { digits: String::new(), has_plus: false };
        for c in text.chars() {
            match c {
                '0'..='9' => typed.digits.push(c),
                '+' | '\u{ff0b}' if typed.digits.is_empty() && !typed.has_plus => typed.has_plus = true,
                c if is_separator(c) => {}
                _ => return None,
            }
        }
        Some(typed)
    }
}

/// A number that has its country code, with or without a plus, as it is.
pub fn international(text: &str) -> Option<String> {
    Typed::read(text).map(|typed| typed.digits).filter(|digits| is_possible(digits))
}

/// The numbers that may be meant. None: it cannot be a number. Two: one with its country code, and a mobile one of `country` without;
/// only WhatsApp knows who of them is there.
///
/// Digits that no country's rules accept are taken as they are when they could be a number by their length, since WhatsApp knows numbers
/// that the rules do not.
pub fn readings(text: &str, country: country::Id) -> Vec<String> {
    let Some(Typed { digits, has_plus }) = Typed::read(text) else { return Vec::new() };
    // A plus means a country's code, and none begins so.
    if has_plus && digits.starts_with('0') {
        return Vec::new();
    }
    let as_it_is = || Some(digits.clone()).filter(|digits| is_possible(digits));
    let abroad = valid(None, &format!("+{digits}"));
    if has_plus {
        return abroad.as_ref().map(e164).or_else(as_it_is).into_iter().collect();
    }
    // So international calls begin in most countries, and in none a number.
    if let Some(digits) = digits.strip_prefix("00") {
        return readings(&format!("+{digits}"), country);
    }
    let at_home = valid(Some(country), &digits);
    let is_mobile = at_home.as_ref().is_some_and(is_mobile);
    match (abroad.as_ref().map(e164), at_home.as_ref().map(e164)) {
        (Some(abroad), Some(at_home)) if abroad != at_home && is_mobile => vec![abroad, at_home],
        (Some(one), _) | (None, Some(one)) => vec![one],
        (None, None) => as_it_is().into_iter().collect(),
    }
}

/// The other form of a number that has two: with and without the 9 of Argentina's mobile numbers, the 1 of Mexico's, the ninth digit of
/// Brazil's. People write either, and WhatsApp has an account under one of them.
pub fn other_form(number: &str) -> Option<String> {
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (code, rest) = number.split_at_checked(2)?;
    match (code, rest.as_bytes()) {
        ("54", [b'9', b'1'..=b'8', ..]) if rest.len() == 11 => Some(format!("54{}", &rest[1..])),
        ("54", [b'1'..=b'8', ..]) if rest.len() == 10 => Some(format!("549{rest}")),
        ("52", [b'1', b'2'..=b'9', ..]) if rest.len() == 11 => Some(format!("52{}", &rest[1..])),
        ("52", [b'2'..=b'9', ..]) if rest.len() == 10 => Some(format!("521{rest}")),
        // Landlines begin with 2 to 5, and never had another form.
        ("55", [_, _, b'9', b'6'..=b'9', ..]) if rest.len() == 11 => Some(format!("55{}{}", &rest[..2], &rest[3..])),
        ("55", [_, _, b'6'..=b'9', ..]) if rest.len() == 10 => Some(format!("55{}9{}", &rest[..2], &rest[2..])),
        _ => None,
    }
}

fn valid(country: Option<country::Id>, text: &str) -> Option<PhoneNumber> {
    phonenumber::parse(country, text).ok().filter(phonenumber::is_valid)
}

fn e164(number: &PhoneNumber) -> String {
    number.format().mode(Mode::E164).to_string().trim_start_matches('+').to_owned()
}

/// In some countries a number does not show whether it is one.
fn is_mobile(number: &PhoneNumber) -> bool {
    matches!(number.number_type(&DATABASE), Type::Mobile | Type::FixedLineOrMobile)
}

/// Kinds of numbers that somebody can have. Others are for emergencies and the like.
const KINDS: [Type; 11] = [
    Type::Unknown,
    Type::FixedLine,
    Type::Mobile,
    Type::TollFree,
    Type::PremiumRate,
    Type::SharedCost,
    Type::PersonalNumber,
    Type::Voip,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
];

/// Countries that made their numbers longer or shorter, and the digits after the country code of those that WhatsApp still has.
const FORMER: [(u16, usize); 3] = [(52, 11), (225, 8), (229, 8)];

/// True when digits begin with a country's code and are as many as its mobile numbers have, of which the rules do not know all, or are a
/// number by its rules.
fn is_possible(digits: &str) -> bool {
    if !DIGITS.contains(&digits.len()) || digits.starts_with('0') {
        return false;
    }
    // No code is the beginning of another.
    (1..=3).any(|length| {
        let (code, number) = digits.split_at(length);
        let Ok(code) = code.parse::<u16>() else { return false };
        let regions = DATABASE.by_code(&code).unwrap_or_default();
        let has_length = |region: &Metadata| {
            let fits =
                |kind: &Descriptor| kind.possible_length().iter().any(|length| usize::from(*length) == number.len());
            let mobile = region.descriptors().get(Type::Mobile).filter(|kind| !kind.possible_length().is_empty());
            let mut kinds = KINDS.iter().filter_map(|kind| region.descriptors().get(*kind));
            mobile.map_or_else(|| kinds.any(fits), fits)
        };
        regions.into_iter().any(has_length) || FORMER.contains(&(code, number.len()))
    }) || valid(None, &format!("+{digits}")).is_some()
}

#[cfg(test)]
mod tests {
    use phonenumber::country::{self, BR, CO, ES, MX, US};

    use super::{cleaned, international, other_form, readings};

    #[test]
    fn a_number_without_its_country_is_the_tenants() {
        for typed in ["3001112233", "300 111 2233", "(300) 111-2233"] {
            assert_eq!(readings(typed, CO), ["573001112233"], "{typed}");
        }
        assert_eq!(readings("612345678", ES), ["34612345678"]);
        assert_eq!(readings("55 1234 5678", MX), ["525512345678"]);
        assert_eq!(readings("(11) 98765-4321", BR), ["5511987654321"]);
    }

    #[test]
    fn a_number_with_its_country_stays() {
        for typed in
            ["573001112233", "+57 300 111 2233", "0057 3001112233", "(+57) 300 111 2233", "\u{ff0b}573001112233"]
        {
            for country in [CO, BR, US, ES] {
                assert_eq!(readings(typed, country), ["573001112233"], "{typed} in {country:?}");
            }
        }
        assert_eq!(readings("+34 612 34 56 78", CO), ["34612345678"]);
        assert_eq!(readings("34612345678", CO), ["34612345678"]);
        // With the way in which people write the digit that is not dialed from abroad.
        assert_eq!(readings("+49 (0) 151 23456789", CO), ["4915123456789"]);
    }

    #[test]
    fn digits_that_two_people_may_have_are_read_both_ways_the_international_first() {
        for typed in ["51987654321", "51 98765-4321"] {
            assert_eq!(readings(typed, BR), ["51987654321", "5551987654321"], "{typed}");
            assert_eq!(readings(typed, CO), ["51987654321"], "{typed}");
        }
        // A plus says it.
        assert_eq!(readings("+51987654321", BR), ["51987654321"]);
        assert_eq!(readings("+5551987654321", BR), ["5551987654321"]);
    }

    #[test]
    fn numbers_with_two_forms_have_each_other() {
        for (one, other) in [
            ("5491123456789", "541123456789"),
            ("5215512345678", "525512345678"),
            ("5551987654321", "555187654321"),
            ("5511998877665", "551198877665"),
        ] {
            assert_eq!(other_form(one).as_deref(), Some(other));
            assert_eq!(other_form(other).as_deref(), Some(one));
        }
        assert_eq!(readings("11 2345-6789", country::AR), ["541123456789"]);
        // Landlines, others' numbers, and what is none.
        for number in ["551132345678", "5511932345678", "573001112233", "4915000000007", "54", "", "54é123456789"] {
            assert_eq!(other_form(number), None, "{number}");
        }
    }

    #[test]
    fn a_national_number_that_is_no_mobile_one_gives_way() {
        // A landline of Colombia's without its country, and a mobile number of Japan.
        let both = "8190123456";
        for country in [CO, BR, US, ES, MX] {
            let read = readings(both, country);
            assert!(read.len() <= 1 || read[0].len() == both.len(), "{country:?}: {read:?}");
        }
    }

    #[test]
    fn what_nobody_sees_is_ignored() {
        for typed in [
            "\u{feff}573001112233",
            "\u{200b}57\u{200d}3001112233\u{2060}",
            "\u{202a}+57\u{a0}300\u{202f}111\u{2009}2233\u{202c}",
            "\u{2066}+57 300 111 2233\u{2069}",
            "57\u{ad}3001112233\u{fe0f}",
            "\u{61c}573001112233\u{e0020}",
            "+57\u{2011}300\u{2013}111\u{2212}2233",
        ] {
            assert_eq!(readings(typed, BR), ["573001112233"], "{typed:?}");
            assert_eq!(international(typed).as_deref(), Some("573001112233"), "{typed:?}");
        }
        assert_eq!(cleaned("\u{feff} \u{200e}120363000000000001@g.us\u{200b}\n"), "120363000000000001@g.us");
    }

    #[test]
    fn what_cannot_be_a_number_is_none() {
        for typed in [
            "",
            "+",
            "12",
            "pizza",
            "300111223x",
            "1234567890123456",
            "573001112233@s.whatsapp.net",
            "57+3001112233",
            "++573001112233",
            "0000000000",
            "+0573001112233",
            "999999999999",
            "+57 300 111 222",
            // As many as a landline had, which none of Colombia's begins like.
            "5730012345",
            "+57 300 111 2233 44",
            "57300111223344",
            "+1 555 123",
            "\u{202a}\u{202c}",
            "300/111/2233",
        ] {
            assert_eq!(readings(typed, CO), Vec::<String>::new(), "{typed:?}");
        }
    }

    #[test]
    fn numbers_that_only_whatsapp_knows_are_taken() {
        // The tests' own network has the first; Mexico had the second before 2019, Benin the third before 2024.
        for digits in ["4915000000007", "5215512345678", "22997000000"] {
            assert_eq!(international(digits).as_deref(), Some(digits));
            assert_eq!(readings(&format!("+{digits}"), CO).len(), 1, "{digits}");
        }
    }
}

//! Keys of records: built from typed parts, never ambiguous.
//!
//! A key of one part is that part. In a key of several, each but the last has its zero bytes escaped (`00` → `00 FF`) and
//! ends with `00 01`; so no choice of parts (message ids are written by strangers) makes two keys equal, keys sort by
//! their first part, and all keys that share their first parts share a prefix.

/// A record's key within its space.
pub type Key = Box<[u8]>;

/// The key of a space's only record.
pub fn only() -> Key {
    Key::default()
}

/// A Signal address, a JID, a name: a key of one part.
pub fn text(text: &str) -> Key {
    text.as_bytes().into()
}

/// Sorts by the number.
pub fn number(id: u32) -> Key {
    id.to_be_bytes().into()
}

/// [`super::space::INBOX`]: by chat and id first, since that is what quotes, reactions and receipts name.
pub fn inbox(chat: &str, id: &str, sender: &str) -> Key {
    parts(&[chat, id], sender.as_bytes())
}

/// All inbox records of this chat and id; one, unless two members of a group used the same id.
pub fn inbox_of(chat: &str, id: &str) -> Key {
    parts(&[chat, id], b"")
}

/// [`super::space::OUTBOX`]: we make the ids, so they are unique within a tenant.
pub fn outbox(id: &str) -> Key {
    text(id)
}

/// [`super::space::WEBHOOK_FAILURES`]: by webhook first; with an empty event the prefix of all of them.
pub fn webhook_failure(webhook: &str, event: &[u8]) -> Key {
    parts(&[webhook], event)
}

/// [`super::space::LABELLED`].
pub fn labelled(label: &str, chat: &str) -> Key {
    parts(&[label], chat.as_bytes())
}

/// All of a label.
pub fn chats_of_label(label: &str) -> Key {
    parts(&[label], b"")
}

/// [`super::space::PAST`]: by chat first; with an empty event the prefix of a chat's.
pub fn past(chat: &str, event: &[u8]) -> Key {
    parts(&[chat], event)
}

pub(super) fn pending_inbound(chat: &str, sender: &str, id: &str) -> Key {
    parts(&[chat, sender], id.as_bytes())
}

pub(super) fn sent_message(chat: &str, id: &str) -> Key {
    parts(&[chat], id.as_bytes())
}

pub(super) fn msg_secret(chat: &str, sender: &str, id: &str) -> Key {
    parts(&[chat, sender], id.as_bytes())
}

pub(super) fn sender_key_mark(group: &str, device: &str) -> Key {
    parts(&[group], device.as_bytes())
}

pub(super) fn base_key(address: &str, message: &str) -> Key {
    parts(&[address], message.as_bytes())
}

pub(super) fn mutation_mac(collection: &str, index: &[u8]) -> Key {
    parts(&[collection], index)
}

pub(super) fn lid_of_number(number: &str, lid: &str) -> Key {
    parts(&[number], lid.as_bytes())
}

/// All keys of several parts whose first is `first`.
pub(super) fn under(first: &str) -> Key {
    parts(&[first], b"")
}

fn parts(first: &[&str], last: &[u8]) -> Key {
    let mut key = Vec::with_capacity(first.iter().map(|part| part.len() + 2).sum::<usize>() + last.len());
    for part in first {
        for &byte in part.as_bytes() {
            key.push(byte);
            if byte == 0 {
                key.push(0xff);
            }
        }
        key.extend([0, 1]);
    }
    key.extend(last);
    key.into()
}

/// The last part of a key of two.
pub fn second(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(halves(key)?.1).ok()
}

/// A key of two parts: the first as the key has it, and the last.
pub fn halves(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = (0..key.len()).find(|&at| key[at] == 0 && key.get(at + 1) == Some(&1))?;
    Some((&key[..end], &key[end + 2..]))
}

/// The least key above all that begin with `prefix`; none when there is no such key.
pub(super) fn end_of(prefix: &[u8]) -> Option<Key> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts full of what could confuse: zero bytes, the escape and the end of a part.
    fn nasty() -> impl Strategy<Value = String> {
        "[\u{0}\u{1}\u{ff}a@.:]{0,4}"
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

        #[test]
        fn different_parts_make_different_keys(a in [nasty(), nasty(), nasty()], b in [nasty(), nasty(), nasty()]) {
            prop_assert_eq!(inbox(&a[0], &a[1], &a[2]) == inbox(&b[0], &b[1], &b[2]), a == b);
            prop_assert_eq!(base_key(&a[0], &a[1]) == base_key(&b[0], &b[1]), a[..2] == b[..2]);
        }

        #[test]
        fn a_prefix_holds_its_own_and_no_other(chat in nasty(), id in nasty(), sender in nasty(), other in nasty()) {
            let prefix = inbox_of(&chat, &id);
            prop_assert!(inbox(&chat, &id, &sender).starts_with(&prefix));
            prop_assert_eq!(inbox(&chat, &other, &sender).starts_with(&prefix), id == other);
            prop_assert_eq!(inbox(&other, &id, &sender).starts_with(&prefix), chat == other);
        }

        #[test]
        fn the_second_part_comes_back(first in nasty(), last in nasty()) {
            let key = sender_key_mark(&first, &last);
            prop_assert_eq!(second(&key), Some(last.as_str()));
        }

        #[test]
        fn the_end_of_a_prefix_is_its_least_upper_bound(prefix in prop::collection::vec(253u8.., 0..4), more in prop::collection::vec(any::<u8>(), 0..3)) {
            let within = [prefix.clone(), more].concat();
            match end_of(&prefix) {
                Some(end) => {
                    prop_assert!(within.as_slice() < &*end);
                    prop_assert!(!end.starts_with(&prefix));
                }
                None => prop_assert!(prefix.iter().all(|&byte| byte == 0xff)),
            }
        }
    }

    #[test]
    fn numbers_sort() {
        assert!(number(255) < number(256));
    }
}

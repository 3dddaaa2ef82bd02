use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use proptest::prelude::*;

use super::*;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn key(byte: u8) -> MasterKey {
    hex::encode([byte; 32]).parse().unwrap()
}

fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

fn seal_of(keys: &[u8], id: &str) -> TenantSeal {
    Keyring::new(keys.iter().map(|&byte| key(byte)).collect()).tenant(&tenant(id))
}

fn place() -> SealPosition {
    SealPosition {
        kind: Kind::Chunk { attempt: "abc".into() },
        seq: Seq(7),
        part: 1,
        parts: 3,
        epoch: Seq(5),
        previous: Digest([9; 32]),
    }
}

/// What is in vaults must open for ever. The expected bytes come from a second implementation, written from RFC 5869,
/// RFC 8439 and the XChaCha draft.
#[test]
fn the_format_does_not_move() {
    let keyring = Keyring::new(vec![HEX.parse().unwrap()]).with_nonces(Arc::new(|| [0x42; NONCE]));
    let seal = keyring.tenant(&tenant("tenant1"));
    let sealed = seal.seal(&place(), b"hello");
    let header = ["01", "00", "14491a7b77b55d75", "00000005", &"42".repeat(NONCE)].concat();
    assert_eq!(hex::encode(&sealed), header + "d4ea2d74ba1b97420ba004881785a106493b48094f");
    assert_eq!(seal.open(&place(), &sealed).unwrap(), b"hello");
}

#[test]
fn a_key_has_three_spellings_and_shows_itself_in_none() {
    let plain: [u8; 32] = std::array::from_fn(|i| 255 - i as u8);
    let standard = base64::engine::general_purpose::STANDARD.encode(plain);
    let url = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(plain);
    let id = hex::encode(plain).parse::<MasterKey>().unwrap().id();
    for text in [standard.clone(), url.clone(), format!(" {standard}\n"), hex::encode_upper(plain)] {
        let key: MasterKey = text.parse().unwrap();
        assert_eq!(key.id(), id);
        let keyring = Keyring::new(vec![key.clone()]);
        let shown = format!("{key:?} {keyring:?} {:?}", keyring.tenant(&tenant("a"))).to_lowercase();
        for secret in [&hex::encode(plain)[..16], &standard.to_lowercase()[..8], "255, 254"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains(&id.to_string()));
    }
    for text in ["", "abc", &HEX[1..], &format!("{HEX}00"), "zz", &"g".repeat(64)] {
        assert_eq!(text.parse::<MasterKey>().err(), Some(InvalidKey), "{text}");
    }
}

#[test]
fn another_place_does_not_open() {
    let seal = seal_of(&[1], "tenant1");
    let sealed = seal.seal(&place(), b"hello");
    let others = [
        SealPosition { kind: Kind::Takeover, ..place() },
        SealPosition { kind: Kind::Entry, ..place() },
        SealPosition { kind: Kind::Segment, ..place() },
        SealPosition { kind: Kind::Manifest { attempt: "abc".into() }, ..place() },
        SealPosition { kind: Kind::Chunk { attempt: "abd".into() }, ..place() },
        SealPosition { kind: Kind::Chunk { attempt: "".into() }, ..place() },
        SealPosition { seq: Seq(8), ..place() },
        SealPosition { part: 2, ..place() },
        SealPosition { parts: 2, ..place() },
        SealPosition { epoch: Seq(6), ..place() },
        SealPosition { previous: Digest::ZERO, ..place() },
    ];
    for other in others {
        assert_eq!(seal.open(&other, &sealed), Err(UnsealError::Altered), "{other:?}");
    }
    assert_eq!(seal_of(&[1], "tenant2").open(&place(), &sealed), Err(UnsealError::Altered));
    assert!(seal.open(&place(), &sealed).is_ok());
}

#[test]
fn all_keys_open_and_the_first_seals() {
    let old = seal_of(&[1], "t").seal(&place(), b"old");
    let rotated = seal_of(&[2, 1], "t");
    assert_eq!(rotated.open(&place(), &old).unwrap(), b"old");
    let new = rotated.seal(&place(), b"new");
    assert_eq!(seal_of(&[2], "t").open(&place(), &new).unwrap(), b"new");
    assert_eq!(seal_of(&[1], "t").open(&place(), &new), Err(UnsealError::UnknownKey { id: key(2).id() }));
}

#[test]
fn a_check_value_tells_a_wrong_key_from_damage() {
    let mine = Keyring::new(vec![key(1)]);
    let value = mine.check_value();
    assert_eq!(mine.verify_check_value(&value), Ok(()));
    assert_eq!(Keyring::new(vec![key(2), key(1)]).verify_check_value(&value), Ok(()));
    let wrong = Keyring::new(vec![key(2)]).verify_check_value(&value);
    assert_eq!(wrong, Err(UnsealError::UnknownKey { id: key(1).id() }));
    assert!(matches!(mine.verify_check_value(&value[..20]), Err(UnsealError::Malformed(_))));
    let mut altered = value.to_vec();
    *altered.last_mut().unwrap() ^= 1;
    assert_eq!(mine.verify_check_value(&altered), Err(UnsealError::Altered));
}

#[test]
fn a_length_that_lies_is_refused_before_it_is_believed() {
    let seal = seal_of(&[1], "t");
    let mut sealed = seal.seal(&place(), &[0; 1000]).to_vec();
    assert!(sealed.len() < 200, "zeros compress");
    sealed[10..14].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(seal.open(&place(), &sealed), Err(UnsealError::Malformed("impossible length")));
}

/// Authentic bytes from a sealer that lies of the length: no more is unpacked than the header says.
#[test]
fn a_bomb_does_not_go_off() {
    let seal = seal_of(&[1], "t");
    let bomb = zstd::bulk::compress(&vec![0; MAX_PLAIN], 1).unwrap();
    let mut sealed = vec![VERSION, COMPRESSED];
    sealed.extend(key(1).id().0);
    sealed.extend(1000u32.to_be_bytes());
    sealed.extend([0; NONCE]);
    let aad = associated_data(&sealed, &seal.context(&place()));
    sealed.extend(seal.ciphers[0].aead.encrypt([0; NONCE], &aad, &bomb).unwrap());
    assert_eq!(seal.open(&place(), &sealed), Err(UnsealError::Malformed("does not decompress to its length")));
}

#[test]
fn what_does_not_shrink_is_not_compressed() {
    let seal = seal_of(&[1], "t");
    let mut noise = vec![0; 5000];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut noise);
    let sealed = seal.seal(&place(), &noise);
    assert_eq!((sealed[1], sealed.len()), (0, noise.len() + OVERHEAD));
    assert_eq!(seal.open(&place(), &sealed).unwrap(), noise);
}

#[test]
fn equal_plaintexts_seal_differently() {
    let seal = seal_of(&[1], "t");
    assert_ne!(seal.seal(&place(), b"x"), seal.seal(&place(), b"x"));
}

#[test]
fn digests_tell_cuts_apart() {
    let of = |parts: &[&[u8]]| Digest::of(parts.iter().copied());
    assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
    assert_ne!(of(&[b"abc"]), of(&[b"abc", b""]));
    assert_ne!(of(&[]), Digest::ZERO);
    assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
}

#[test]
fn a_key_file_is_made_once_and_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let ids: Vec<KeyId> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_create_key_file(&path).unwrap().id())).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");

    std::fs::write(&path, "not a key").unwrap();
    let error = load_or_create_key_file(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a key", "and is not overwritten");
}

fn any_kind() -> impl Strategy<Value = Kind> {
    let attempt = "[a-z0-9]{0,8}".prop_map(Arc::<str>::from);
    prop_oneof![
        Just(Kind::Takeover),
        Just(Kind::Entry),
        Just(Kind::Segment),
        attempt.clone().prop_map(|attempt| Kind::Chunk { attempt }),
        attempt.prop_map(|attempt| Kind::Manifest { attempt }),
    ]
}

fn any_place() -> impl Strategy<Value = SealPosition> {
    // Small numbers, so that equal ones happen.
    (any_kind(), 0..3u64, 0..3u32, 0..3u32, 0..3u64, 0..3u8).prop_map(|(kind, seq, part, parts, epoch, previous)| {
        SealPosition { kind, seq: Seq(seq), part, parts, epoch: Seq(epoch), previous: Digest([previous; 32]) }
    })
}

/// Both kinds of content: what compresses and what does not.
fn any_plain() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..400),
        (any::<u8>(), 0..20_000usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

proptest! {
    #[test]
    fn opens_where_it_was_sealed_and_nowhere_else(
        here in any_place(),
        there in any_place(),
        mine in "[a-z]{1,2}",
        theirs in "[a-z]{1,2}",
        plain in any_plain(),
    ) {
        let sealed = seal_of(&[1], &mine).seal(&here, &plain);
        prop_assert!(sealed.len() <= plain.len() + OVERHEAD);
        let opened = seal_of(&[1], &theirs).open(&there, &sealed);
        if here == there && mine == theirs {
            prop_assert_eq!(opened, Ok(plain));
        } else {
            prop_assert_eq!(opened, Err(UnsealError::Altered));
        }
    }

    #[test]
    fn no_flipped_bit_opens(plain in any_plain(), bit in 0..8u8) {
        let seal = seal_of(&[1], "t");
        let mut sealed = seal.seal(&place(), &plain).to_vec();
        for at in 0..sealed.len() {
            sealed[at] ^= 1 << bit;
            prop_assert!(seal.open(&place(), &sealed).is_err(), "byte {}", at);
            sealed[at] ^= 1 << bit;
        }
        for length in 0..sealed.len() {
            prop_assert!(seal.open(&place(), &sealed[..length]).is_err(), "cut at {}", length);
        }
        prop_assert_eq!(seal.open(&place(), &sealed), Ok(plain));
    }

    #[test]
    fn rubbish_neither_opens_nor_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), head in any::<bool>()) {
        let bytes = if head { [&[VERSION, COMPRESSED][..], &key(1).id().0, &[0, 0, 0, 9], &bytes].concat() } else { bytes };
        prop_assert!(seal_of(&[1], "t").open(&place(), &bytes).is_err());
    }
}

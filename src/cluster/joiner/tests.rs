//! The next owner asks, waits and takes.

use super::*;

fn tenant(n: usize) -> TenantId {
    format!("tenant-{n}").parse().unwrap()
}

fn at(ms: u64) -> Instant {
    Instant::from_start(Duration::from_millis(ms))
}

fn owner() -> InstanceId {
    InstanceId("owner".into())
}

/// Offers all, reads those for which there is room, and gives the asks.
fn asks(joiner: &mut Joiner, tenants: std::ops::Range<usize>, now: Instant) -> Vec<HandoverAsk> {
    joiner.heard(&owner(), now);
    joiner.offered(&owner(), tenants.map(tenant), now);
    for step in joiner.moves(now) {
        let JoinerMove::Prepare(tenant) = step else { panic!("{step:?}") };
        joiner.prepared(&tenant);
    }
    joiner.asks_of(&owner())
}

fn given(ask: &HandoverAsk) -> HandoverAnswer {
    HandoverAnswer { tenant: ask.tenant.clone(), number: ask.number, verdict: HandoverVerdict::given(Seq(7)) }
}

#[test]
fn the_room_grows_while_they_are_quick_and_shrinks_once_for_a_slow_moment() {
    let mut joiner = Joiner::default();
    let mut left = 0;
    let mut sizes = Vec::new();
    for round in 0..6_u64 {
        let now = at(10_000 * (round + 1));
        let asks = asks(&mut joiner, left..200, now);
        sizes.push(asks.len());
        joiner.posted(&owner(), &asks, now);
        joiner.answered(&owner(), &asks.iter().map(given).collect::<Vec<_>>(), now);
        assert_eq!(joiner.moves(now).len(), asks.len());
        let took = if round == 4 { 3000 } else { 500 };
        asks.iter().for_each(|ask| joiner.taken(&ask.tenant, now + Duration::from_millis(took)));
        left += asks.len();
        // Their order is that of the offers, not of their names.
        joiner.offered(&owner(), [], now);
    }
    assert_eq!(sizes, [4, 8, 16, 32, 32, 16]);
}

/// The time that the vault takes for an ask is not the owner's; nor is a time in which nobody could read.
#[test]
fn an_owner_is_silent_only_after_it_could_have_answered() {
    let mut joiner = Joiner::default();
    let asked = asks(&mut joiner, 0..9, at(0));
    assert!(joiner.moves(at(60_000)).is_empty(), "the ask is on its way");
    joiner.posted(&owner(), &asked, at(60_000));
    assert!(joiner.moves(at(61_999)).is_empty());
    joiner.resumed(at(90_000));
    assert!(joiner.moves(at(99_999)).is_empty(), "the vault was away");
    assert_eq!(joiner.moves(at(100_000)).len(), 9, "it is silent: all are taken, those that wait as well");
}

#[test]
fn where_the_vault_is_slow_the_owner_has_longer() {
    let mut joiner = Joiner::default();
    joiner.took_round(Duration::from_secs(1));
    let asked = asks(&mut joiner, 0..1, at(0));
    joiner.posted(&owner(), &asked, at(0));
    assert!(joiner.moves(at(5999)).is_empty());
    assert_eq!(joiner.moves(at(6000)).len(), 1);
}

#[test]
fn one_that_is_kept_is_asked_for_more_and_more_seldom() {
    let mut joiner = Joiner::default();
    let mut asked_at = Vec::new();
    for ms in (0..60_000).step_by(500) {
        let asked = asks(&mut joiner, 0..1, at(ms));
        asked_at.extend(asked.iter().map(|_| ms));
        let kept = |ask: &HandoverAsk| HandoverAnswer { verdict: HandoverVerdict::Kept, ..given(ask) };
        joiner.answered(&owner(), &asked.iter().map(kept).collect::<Vec<_>>(), at(ms));
    }
    assert_eq!(asked_at, [0, 1000, 3000, 7000, 15_000, 25_000, 35_000, 45_000, 55_000]);
}

/// It would be given, and served by nobody.
#[test]
fn one_that_cannot_be_read_is_neither_asked_for_nor_taken() {
    let mut joiner = Joiner::default();
    let mut read_at = Vec::new();
    for ms in (0..20_000).step_by(500) {
        joiner.heard(&owner(), at(ms));
        joiner.offered(&owner(), [tenant(0)], at(ms));
        for step in joiner.moves(at(ms)) {
            assert_eq!(step, JoinerMove::Prepare(tenant(0)));
            read_at.push(ms);
            joiner.illegible(&tenant(0), at(ms));
        }
        assert!(joiner.asks_of(&owner()).is_empty());
    }
    assert_eq!(read_at, [0, 1000, 3000, 7000, 15_000]);
    // Another key was given, or the vault was mended.
    assert_eq!(asks(&mut joiner, 0..1, at(25_000)).len(), 1);
}

/// What the last letter of a dead process offers may have another owner by now.
#[test]
fn a_living_owners_offer_is_worth_more_than_a_dead_ones() {
    let mut joiner = Joiner::default();
    let dead = InstanceId("dead".into());
    joiner.gone(&dead);
    joiner.offered(&dead, [tenant(0)], at(0));
    let take = JoinerMove::Take { tenant: tenant(0), from: dead.clone(), last: None };
    assert_eq!(joiner.moves(at(0)), [take]);
    joiner.declined(&tenant(0), &dead, at(0));
    joiner.offered(&dead, [tenant(0)], at(10));
    assert_eq!(asks(&mut joiner, 0..1, at(10)).len(), 1);
    assert_eq!(joiner.owners(), [owner()]);
}

#[test]
fn one_that_somebody_waits_for_is_next() {
    let mut joiner = Joiner::default();
    let first = asks(&mut joiner, 0..9, at(0));
    assert!(joiner.hurry(&tenant(8)) && !joiner.hurry(&tenant(9)));
    first.iter().for_each(|ask| joiner.taken(&ask.tenant, at(100)));
    let next = asks(&mut joiner, first.len()..9, at(100));
    assert!(next.iter().any(|ask| ask.tenant == tenant(8)), "{next:?}");
}

#[test]
fn whoever_is_about_to_stop_asks_for_nothing() {
    let mut joiner = Joiner::default();
    let asked = asks(&mut joiner, 0..9, at(0));
    joiner.answered(&owner(), &[given(&asked[0])], at(0));
    assert_eq!(joiner.moves(at(0)).len(), 1);
    joiner.leave();
    assert!(joiner.wants(&asked[0].tenant) && joiner.asks_of(&owner()).is_empty());
    assert!(joiner.moves(at(60_000)).is_empty());
}

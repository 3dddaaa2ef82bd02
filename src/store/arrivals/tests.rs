//! What waits for a message on its way, what does not, and who slows the line down.

use super::*;

fn live() -> Arrivals {
    let arrivals = Arrivals::default();
    arrivals.begin();
    arrivals.go_live();
    arrivals
}

fn came(arrivals: &Arrivals, chat: &str, id: &str) {
    arrivals.came(chat, id, None, 1, Vec::new);
}

fn ids(arrivals: &Arrivals) -> Vec<String> {
    let mut ids: Vec<_> = arrivals.travellers().into_iter().map(|traveller| traveller.id).collect();
    ids.sort();
    ids
}

#[test]
fn the_first_of_each_chat_travels_until_it_is_kept() {
    let arrivals = live();
    assert!(ids(&arrivals).is_empty());
    for (chat, id) in [("a", "1"), ("a", "2"), ("b", "3")] {
        came(&arrivals, chat, id);
    }
    assert_eq!(ids(&arrivals), ["1", "3"], "the second of a chat waits for the first");
    let first = arrivals.travellers().into_iter().find(|traveller| traveller.id == "1").unwrap();
    assert_eq!(arrivals.progress(&first), ArrivalProgress::Travelling);
    arrivals.enters([("a", "1")]);
    assert_eq!(arrivals.progress(&first), ArrivalProgress::Entering);
    arrivals.kept([("a", "1")]);
    assert_eq!(arrivals.progress(&first), ArrivalProgress::Over);
    assert_eq!(ids(&arrivals), ["3"]);
    arrivals.finished([("a", "1")]);
    assert_eq!(ids(&arrivals), ["2", "3"], "now the second may be open");
    arrivals.finished([("a", "2"), ("b", "3")]);
    assert!(arrivals.table().chats.is_empty());
    assert!(arrivals.table().places.is_empty());
}

#[test]
fn one_that_is_never_kept_is_over_with_its_answer_or_the_next() {
    let arrivals = live();
    let (answered, answer) = oneshot::channel();
    let (_other_form, never) = oneshot::channel();
    arrivals.came("a", "1", None, 1, || vec![never, answer]);
    came(&arrivals, "a", "2");
    came(&arrivals, "a", "3");
    assert_eq!(ids(&arrivals), ["1"]);
    answered.send(Arc::new(whatsapp_rust::NodeBuilder::new("receipt").build())).unwrap();
    assert_eq!(ids(&arrivals), ["2"]);
    arrivals.kept([("a", "3")]);
    assert!(ids(&arrivals).is_empty());
    assert_eq!(arrivals.table().places.len(), 1, "what came before it is over");
}

#[test]
fn one_that_is_given_up_holds_nobody_up_again() {
    let arrivals = live();
    came(&arrivals, "a", "1");
    came(&arrivals, "b", "2");
    let travellers = arrivals.travellers();
    arrivals.enters([("b", "2")]);
    arrivals.give_up(&travellers);
    assert_eq!(ids(&arrivals), ["2"], "that one is being kept");
}

#[test]
fn of_many_messages_the_first_are_watched_for_an_answer() {
    let arrivals = live();
    let watched = std::cell::Cell::new(0);
    for n in 0..2 * MOST_WATCHED {
        arrivals.came(&n.to_string(), &n.to_string(), None, 1, || {
            watched.set(watched.get() + 1);
            Vec::new()
        });
    }
    assert_eq!(watched.get(), MOST_WATCHED);
}

#[tokio::test]
async fn a_crowd_eases_with_what_is_finished_or_with_patience() {
    let arrivals = live();
    for id in ["1", "2", "3"] {
        arrivals.came("a", id, None, CROWD / 2, Vec::new);
    }
    arrivals.until_crowded().await;
    arrivals.finished([("a", "1"), ("a", "2")]);
    arrivals.until_eased(Duration::from_secs(60)).await;
    arrivals.came("a", "4", None, CROWD, Vec::new);
    arrivals.until_crowded().await;
    // While the vault is waited for nothing more is let in, …
    arrivals.enters([("a", "3")]);
    arrivals.kept([("a", "3")]);
    let patience = Duration::from_millis(50);
    let eased = timeout(20 * patience, arrivals.until_eased(patience));
    assert!(eased.await.is_err());
    arrivals.finished([("a", "3")]);
    // … and that of which nothing is heard holds up nobody.
    arrivals.until_eased(patience).await;
    assert_eq!(arrivals.bytes.load(Ordering::Relaxed), 0);
    assert_eq!(ids(&arrivals), ["4"], "it is waited for all the same");
}

#[test]
fn an_answer_that_cannot_come_any_more_is_none() {
    let arrivals = live();
    let (gone, answer) = oneshot::channel();
    arrivals.came("a", "1", None, 1, || vec![answer]);
    drop(gone);
    assert_eq!(ids(&arrivals), ["1"]);
}

#[test]
fn nothing_travels_while_the_offline_queue_is_drained() {
    let arrivals = Arrivals::default();
    arrivals.begin();
    came(&arrivals, "a", "1");
    assert!(ids(&arrivals).is_empty());
    arrivals.go_live();
    assert_eq!(ids(&arrivals), ["1"]);
    arrivals.begin();
    assert!(ids(&arrivals).is_empty(), "the next connection has it again");
}

/// The sender chooses the id.
#[test]
fn one_id_in_two_chats_is_two_messages() {
    let arrivals = live();
    came(&arrivals, "a", "1");
    came(&arrivals, "b", "1");
    assert_eq!(ids(&arrivals), ["1", "1"]);
    arrivals.kept([("b", "1")]);
    assert_eq!(&*arrivals.travellers()[0].chat, "a", "that one is not kept");
    arrivals.finished([("b", "1")]);
    assert_eq!(ids(&arrivals), ["1"]);
    // The library names the chat of what the own phone wrote by whom it is for.
    arrivals.finished([("whom it is for", "1")]);
    assert!(arrivals.table().chats.is_empty() && arrivals.table().places.is_empty());
}

#[test]
fn whom_the_phone_has_written_to_is_known_until_that_is_over() {
    const JOURNEY: Duration = Duration::from_secs(3600);
    let arrivals = Arrivals::default();
    let written = |id: &str, to: &str| arrivals.came("me", id, Some(to.to_owned()), 1, Vec::new);
    written("1", "ana");
    written("2", "luz");
    came(&arrivals, "luz", "3");
    assert_eq!(arrivals.recipients(JOURNEY), HashSet::from(["ana".to_owned(), "luz".to_owned()]));
    // The library names the chat otherwise.
    arrivals.finished([("ana", "1")]);
    assert_eq!(arrivals.recipients(JOURNEY), HashSet::from(["luz".to_owned()]));
    assert_eq!(arrivals.recipients(Duration::ZERO), HashSet::new(), "it may never be over");
}

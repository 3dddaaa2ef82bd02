//! The server's queue for one device: stanzas in order, each kept until the device acknowledges it.
//!
//! A stanza that was sent but not acknowledged is sent again at the next login, in its old place. A message that a
//! retry receipt asked for again has the id of the first: an ack is for one stanza, the oldest of its class and id;
//! a delivery receipt says that the device has the message, and is for all of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;
use wacore_binary::Node;

/// The kind of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Message,
    Receipt,
    Notification,
    Call,
}

impl Class {
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        match tag {
            "message" => Some(Self::Message),
            "receipt" => Some(Self::Receipt),
            "notification" => Some(Self::Notification),
            "call" => Some(Self::Call),
            _ => None,
        }
    }
}

struct Item {
    class: Class,
    id: String,
    stanza: Node,
    /// How often it was sent, and when last.
    deliveries: u32,
    sent_at: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Queue {
    next: u64,
    /// The first item that this connection has not been sent.
    unsent: u64,
    items: BTreeMap<u64, Item>,
    by_id: HashMap<(Class, String), VecDeque<u64>>,
}

impl Queue {
    pub(crate) fn push(&mut self, class: Class, id: &str, stanza: Node) {
        self.items.insert(self.next, Item { class, id: id.to_owned(), stanza, deliveries: 0, sent_at: None });
        self.by_id.entry((class, id.to_owned())).or_default().push_back(self.next);
        self.next += 1;
    }

    /// Removes the oldest item of that class and id; false when there is none.
    pub(crate) fn acknowledge(&mut self, class: Class, id: &str) -> bool {
        let key = (class, id.to_owned());
        let Some(places) = self.by_id.get_mut(&key) else {
            return false;
        };
        let oldest = places.pop_front();
        if places.is_empty() {
            self.by_id.remove(&key);
        }
        oldest.is_some_and(|place| self.items.remove(&place).is_some())
    }

    /// Removes all items of that class and id; says how many.
    pub(crate) fn settle(&mut self, class: Class, id: &str) -> usize {
        let places = self.by_id.remove(&(class, id.to_owned()));
        let places = places.unwrap_or_default();
        places.iter().filter(|place| self.items.remove(place).is_some()).count()
    }

    /// A new connection has been sent nothing yet.
    pub(crate) fn rewind(&mut self) {
        self.unsent = 0;
    }

    /// Takes the stanzas that this connection has not been sent; afterwards they count as sent.
    pub(crate) fn take_unsent(&mut self) -> Vec<Node> {
        let from = std::mem::replace(&mut self.unsent, self.next);
        let unsent = self.items.range_mut(from..).map(|(_, item)| {
            item.deliveries += 1;
            item.sent_at = Some(Instant::now());
            item.stanza.clone()
        });
        unsent.collect()
    }

    /// A message that this connection was sent so long ago and that waits still.
    pub(crate) fn overdue(&self, limit: Duration) -> Option<&str> {
        let mut sent = self.items.range(..self.unsent).map(|(_, item)| item);
        let late = |item: &&Item| item.class == Class::Message && item.sent_at.is_some_and(|at| at.elapsed() >= limit);
        sent.find(late).map(|item| item.id.as_str())
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn count(&self, class: Class) -> usize {
        self.items.values().filter(|item| item.class == class).count()
    }

    /// Stanzas that were sent at least that often and wait still: class, id, how often.
    pub(crate) fn delivered_in_vain(&self, times: u32) -> impl Iterator<Item = (Class, &str, u32)> {
        let items = self.items.values().filter(move |item| item.deliveries >= times);
        items.map(|item| (item.class, item.id.as_str(), item.deliveries))
    }

    /// Ids of the messages that wait, oldest first.
    pub(crate) fn message_ids(&self) -> Vec<String> {
        self.items.values().filter(|i| i.class == Class::Message).map(|i| i.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use wacore_binary::builder::NodeBuilder;

    use super::*;

    fn ids(nodes: &[Node]) -> Vec<String> {
        nodes.iter().map(|n| n.attrs.get("id").map(ToString::to_string).unwrap_or_default()).collect()
    }

    fn push(queue: &mut Queue, id: &str) {
        queue.push(Class::Message, id, NodeBuilder::new("message").attr("id", id).build());
    }

    #[test]
    fn what_was_sent_and_not_acknowledged_comes_again_in_its_place() {
        let mut queue = Queue::default();
        for id in ["a", "b", "c"] {
            push(&mut queue, id);
        }
        assert_eq!(ids(&queue.take_unsent()), ["a", "b", "c"]);
        assert!(queue.acknowledge(Class::Message, "b"));
        assert!(queue.take_unsent().is_empty());
        push(&mut queue, "d");
        assert_eq!(ids(&queue.take_unsent()), ["d"]);
        queue.rewind();
        assert_eq!(ids(&queue.take_unsent()), ["a", "c", "d"]);
        let in_vain: Vec<_> = queue.delivered_in_vain(2).map(|(_, id, times)| (id, times)).collect();
        assert_eq!(in_vain, [("a", 2), ("c", 2), ("d", 2)]);
        queue.rewind();
        queue.take_unsent();
        assert_eq!(queue.delivered_in_vain(3).count(), 3);
    }

    #[test]
    fn an_ack_settles_the_oldest_of_an_id_and_only_its_class() {
        let mut queue = Queue::default();
        push(&mut queue, "a");
        push(&mut queue, "a");
        assert!(!queue.acknowledge(Class::Receipt, "a"));
        assert!(queue.acknowledge(Class::Message, "a"));
        assert_eq!(queue.len(), 1);
        assert!(queue.acknowledge(Class::Message, "a"));
        assert!(!queue.acknowledge(Class::Message, "a"));
    }

    #[test]
    fn a_receipt_settles_every_copy_of_a_message() {
        let mut queue = Queue::default();
        for id in ["a", "b", "a"] {
            push(&mut queue, id);
        }
        assert_eq!(queue.settle(Class::Message, "a"), 2);
        assert_eq!(ids(&queue.take_unsent()), ["b"]);
        assert_eq!(queue.settle(Class::Message, "a"), 0);
    }
}

//! Closes a former account's conversations when the tenant becomes another account: the new owner must not read them.
//!
//! Extends [`Log`]. Events before the change are kept, and closed: no reader of the log sees them, unless the account that they belong
//! to is the tenant's again. Retention deletes them as all others. Or they are deleted at once. What goes in either case is what only
//! the former account could still use: messages that wait to be sent, whole messages, what webhooks could not deliver.

use std::sync::PoisonError;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::warn;
use ulid::Ulid;

use super::{
    EventId,
    closed_orders::close_orders,
    event_body::EventBody,
    log::{Log, TRIMMED, parse_key},
    segments::Segment,
};
use crate::{
    bot::conversation::conversation_remnant,
    journal::ChangeNo,
    store::{Batch, OwnAccount, Store, StoreError, key, parse_setting, space},
};

/// The setting that names each former account's events.
const CLOSED: &str = "events/closed";

/// Whether the conversations of a former account are kept or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(example = Self::Keep)]
pub enum FormerConversations {
    /// Kept as long as all history is, closed to every other account.
    Keep,
    Delete,
}

/// Events up to the last, after those of the one before, were this account's.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct FormerAccount {
    last: Ulid,
    account: OwnAccount,
}

/// Which events are shown: by the last of each account, oldest first.
#[derive(Debug, Default)]
pub(super) struct ClosedEvents(Vec<(Ulid, bool)>);

impl ClosedEvents {
    fn new(former: &[FormerAccount], own: Option<&OwnAccount>) -> Self {
        let is_open = |of: &FormerAccount| own.is_some_and(|own| own.is_same(&of.account));
        Self(former.iter().map(|of| (of.last, is_open(of))).collect())
    }

    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        Ok(Self::new(&read(store).await?, store.own_account().await?.as_ref()))
    }

    fn has(&self, id: Ulid) -> bool {
        self.0.iter().find(|(last, _)| id <= *last).is_some_and(|(_, is_open)| !is_open)
    }
}

async fn read(store: &Store) -> Result<Vec<FormerAccount>, StoreError> {
    let stored = store.get(space::SETTINGS, &key::text(CLOSED)).await?;
    stored.map_or_else(|| Ok(Vec::new()), |stored| parse_setting(CLOSED, &stored))
}

impl Log {
    pub(super) fn is_closed(&self, id: EventId) -> bool {
        self.closed.read().unwrap_or_else(PoisonError::into_inner).has(id.0)
    }

    /// Shows this account's conversations again: the tenant was nobody's, and is this account's now.
    pub async fn open_to(&self, account: &OwnAccount) -> Result<(), StoreError> {
        let closed = ClosedEvents::new(&read(&self.store).await?, Some(account));
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = closed;
        Ok(())
    }

    /// From now on the tenant is `new` (`None`: nobody's) and no longer `former`: one change, with `batch` and with `news`, which the
    /// new account hears too. An error that is not final says that nothing was changed. What is returned goes to
    /// [`Log::settle_account`].
    pub(super) async fn change_account(
        &self,
        mut batch: Batch,
        former: OwnAccount,
        new: Option<&OwnAccount>,
        conversations: FormerConversations,
        news: Vec<EventBody>,
    ) -> Result<(ChangeNo, Vec<Segment>), StoreError> {
        let dying = [space::INBOX, space::PENDING_INBOUND, space::WEBHOOK_FAILURES];
        let orders = [space::BOT_ORDERS, space::BOT_ORDER_IDS];
        let orders = orders.into_iter().filter(|_| conversations == FormerConversations::Delete);
        for space in dying.into_iter().chain(orders) {
            for key in self.store.keys(space, &[]).await? {
                batch.delete(space, key);
            }
        }
        // The bot's conversations with the former account's customers are theirs. Orders that the kitchen still has are not.
        let keeps_orders = conversations == FormerConversations::Keep && new.is_some();
        for key in self.store.keys(space::BOT_CONVERSATIONS, &[]).await? {
            let stored = match keeps_orders {
                true => self.store.get(space::BOT_CONVERSATIONS, &key).await?,
                false => None,
            };
            match stored.and_then(|stored| conversation_remnant(&stored)) {
                Some(remnant) => batch.put(space::BOT_CONVERSATIONS, key, remnant),
                None => batch.delete(space::BOT_CONVERSATIONS, key),
            }
        }
        close_orders(&self.store, &mut batch, &former, new, conversations).await?;
        match new {
            Some(new) => new.put(&mut batch),
            None => OwnAccount::forget(&mut batch),
        }
        let mut tail = self.tail.lock().await;
        let last = tail.last;
        let mut accounts = read(&self.store).await?;
        let mut deleted = Vec::new();
        match conversations {
            FormerConversations::Keep => accounts.push(FormerAccount { last, account: former }),
            FormerConversations::Delete => {
                accounts.clear();
                for key in self.store.keys(space::EVENTS, &[]).await? {
                    if parse_key(&key).is_some() {
                        batch.delete(space::EVENTS, key);
                    }
                }
                deleted = self.segments().await?;
                deleted.iter().for_each(|segment| segment.delete(&mut batch));
                batch.put(space::SETTINGS, key::text(TRIMMED), last.to_bytes().to_vec());
            }
        }
        let encoded = serde_json::to_vec(&accounts).expect("accounts are plain data, which JSON always takes");
        batch.put(space::SETTINGS, key::text(CLOSED), encoded);
        let news = self.number(&mut batch, &tail, news);
        let change = self.store.write(batch).await?;
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = ClosedEvents::new(&accounts, new);
        let is_deleted = conversations == FormerConversations::Delete;
        if is_deleted {
            (tail.count, tail.bytes, tail.whole_bytes) = (0, 0, 0);
            (tail.closed, tail.closed_bytes) = (0, 0);
        }
        // Nobody is told any more of what is closed.
        self.queue().forget(last, is_deleted);
        self.enqueue(&mut tail, news, Some(change));
        Ok((change, deleted))
    }

    /// Returns when the change of account is durable; by then its deleted pieces of history are gone.
    pub(super) async fn settle_account(&self, change: ChangeNo, deleted: Vec<Segment>) -> Result<(), StoreError> {
        self.wait_and_publish(change).await?;
        for segment in deleted {
            // The change is carried out. What stays is a stray, which the next owner removes.
            if let Err(error) = self.store.journal().archive().remove(segment.piece()).await {
                warn!(event = "segment_kept", %error, "a deleted piece of the history stays in the vault for now");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_reads_its_own_events() {
        let account = |number: &str| OwnAccount::new(number, None);
        let at = Ulid;
        let former = [
            FormerAccount { last: at(10), account: account("1") },
            FormerAccount { last: at(20), account: account("2") },
        ];
        let seen_by = |own: Option<&OwnAccount>| {
            let closed = ClosedEvents::new(&former, own);
            [10, 11, 20, 21].map(|id| !closed.has(at(id)))
        };
        assert_eq!(seen_by(Some(&account("3"))), [false, false, false, true]);
        assert_eq!(seen_by(Some(&account("1"))), [true, false, false, true], "the first has come back");
        assert_eq!(seen_by(None), [false, false, false, true]);
        assert!(!ClosedEvents::default().has(at(1)));
    }
}

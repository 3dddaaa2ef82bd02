//! Closes the orders of a deleted tenant: whoever makes the name again with another number must not read them. They are kept as long as all
//! orders are, and are open when the account comes back.
//!
//! Owns the bounds between accounts. Where an owner changes the number and keeps the conversations, the orders go on with the new number.

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::closed::FormerConversations;
use crate::store::{Batch, OwnAccount, Store, StoreError, key, parse_setting, space};

/// The setting that names each former account's orders.
const CLOSED: &str = "orders/closed";

/// Orders up to the last, after those of the one before, were this account's.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct FormerOrders {
    last: Ulid,
    account: OwnAccount,
}

/// Which orders are shown: by the last of each account, oldest first.
#[derive(Debug, Default)]
pub struct ClosedOrders(Vec<(Ulid, bool)>);

impl ClosedOrders {
    fn new(former: &[FormerOrders], own: Option<&OwnAccount>) -> Self {
        let is_open = |of: &FormerOrders| own.is_some_and(|own| own.is_same(&of.account));
        Self(former.iter().map(|of| (of.last, is_open(of))).collect())
    }

    /// What the account that the tenant is now does not see.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let former = read(store).await?;
        if former.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self::new(&former, store.own_account().await?.as_ref()))
    }

    pub fn has(&self, order: Ulid) -> bool {
        self.0.iter().find(|(last, _)| order <= *last).is_some_and(|(_, is_open)| !is_open)
    }

    /// The key for a new order: behind all former accounts' also where the clock was set back.
    pub fn key_behind(&self, key: Ulid) -> Ulid {
        match self.0.last() {
            Some((last, _)) if key <= *last => Ulid::from_parts(last.timestamp_ms() + 1, key.random()),
            _ => key,
        }
    }
}

async fn read(store: &Store) -> Result<Vec<FormerOrders>, StoreError> {
    let stored = store.get(space::SETTINGS, &key::text(CLOSED)).await?;
    stored.map_or_else(|| Ok(Vec::new()), |stored| parse_setting(CLOSED, &stored))
}

/// Puts into the batch what becomes of the orders with a change of the account; `new` is `None`: the tenant is nobody's.
pub(super) async fn close_orders(
    store: &Store,
    batch: &mut Batch,
    former: &OwnAccount,
    new: Option<&OwnAccount>,
    conversations: FormerConversations,
) -> Result<(), StoreError> {
    let mut accounts = read(store).await?;
    match (conversations, new) {
        (FormerConversations::Delete, _) => accounts.clear(),
        (FormerConversations::Keep, Some(new)) => {
            for of in accounts.iter_mut().filter(|of| of.account.is_same(former)) {
                of.account = new.clone();
            }
        }
        (FormerConversations::Keep, None) => {
            let newest = store.scan_back(space::BOT_ORDERS, None, 1).await?;
            let last = newest.first().and_then(|(key, _)| <[u8; 16]>::try_from(&**key).ok()).map(Ulid::from_bytes);
            accounts.extend(last.map(|last| FormerOrders { last, account: former.clone() }));
        }
    }
    if accounts.is_empty() {
        batch.delete(space::SETTINGS, key::text(CLOSED));
    } else {
        let encoded = serde_json::to_vec(&accounts).expect("accounts are plain data, which JSON always takes");
        batch.put(space::SETTINGS, key::text(CLOSED), encoded);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_sees_its_own_orders() {
        let account = |number: &str| OwnAccount::new(number, None);
        let former = [
            FormerOrders { last: Ulid(10), account: account("1") },
            FormerOrders { last: Ulid(20), account: account("2") },
        ];
        let seen_by = |own: Option<&OwnAccount>| {
            let closed = ClosedOrders::new(&former, own);
            [10, 11, 20, 21].map(|key| !closed.has(Ulid(key)))
        };
        assert_eq!(seen_by(Some(&account("3"))), [false, false, false, true]);
        assert_eq!(seen_by(Some(&account("1"))), [true, false, false, true], "the first has come back");
        assert_eq!(seen_by(None), [false, false, false, true]);
        assert!(!ClosedOrders::default().has(Ulid(1)));
    }

    #[test]
    fn an_order_of_now_is_nobody_elses_whatever_the_clock_says() {
        let last = Ulid::from_parts(2_000, 7);
        let closed = ClosedOrders::new(&[FormerOrders { last, account: OwnAccount::new("1", None) }], None);
        for key in [Ulid::from_parts(1_000, 3), Ulid::from_parts(2_000, 1), Ulid::from_parts(3_000, 1)] {
            assert!(!closed.has(closed.key_behind(key)), "{key}");
        }
        let later = Ulid::from_parts(3_000, 1);
        assert_eq!(closed.key_behind(later), later);
    }
}

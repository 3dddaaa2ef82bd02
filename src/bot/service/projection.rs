//! Orders as documents of the vault, `tenants/{tenant}/orders/{id}`, where it has documents that others read (Firestore). The order's
//! record is the truth, and this its copy in the words of the kitchen's pages.
//!
//! Each change of an order leaves a mark in the same change; who finds a mark writes the document and takes the mark away. So a document is
//! written whatever dies, and after it died twice at the most, with the same content. A document says which change it shows, and an older
//! one never replaces a newer: a process that has slept while another served the tenant harms nothing. Never writes what the journal does
//! not have.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};
use tracing::{debug, warn};

use super::records::{self, ProjectionMark};
use crate::{
    backoff::Backoff, crash, journal::ChangeNo, session::Session, store::StoreError, vault::VaultError,
    waha::KitchenOrder,
};

const PAGE: usize = 64;

/// Waiting after failures in a row.
const RETRY: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(300));

#[derive(Debug, thiserror::Error)]
enum ProjectionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl ProjectionError {
    /// The next order may be written all the same.
    fn is_of_one(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Setting { .. }),
            Self::Vault(error) => !matches!(error, VaultError::Unavailable(_)),
        }
    }
}

/// Until the session ends. `changes`: the last change of an order.
pub async fn run(session: Session, mut changes: watch::Receiver<ChangeNo>) {
    if !session.has_order_documents() {
        return;
    }
    let stop = session.stopping();
    let mut failures = 0_u32;
    loop {
        let change = *changes.borrow_and_update();
        let done = tokio::select! {
            () = stop.cancelled() => return,
            done = Box::pin(project(&session, change)) => done,
        };
        let wait = match done {
            Ok(()) => {
                failures = 0;
                None
            }
            Err(ProjectionError::Store(error)) if error.is_final() => {
                debug!(%error, "the documents of orders wait for the next session");
                return;
            }
            Err(error) => {
                let wait = RETRY.whole(failures);
                failures = failures.saturating_add(1);
                warn!(
                    event = "orders_unwritten",
                    %error,
                    retry.s = wait.as_secs(),
                    "orders are not written as documents: tried again"
                );
                Some(wait)
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed(), if wait.is_none() => if changed.is_err() { return },
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

/// Everything that is marked. An order that does not parse, or that the vault refuses, holds up none after it.
async fn project(session: &Session, change: ChangeNo) -> Result<(), ProjectionError> {
    // Of a former process everything is durable that is here.
    session.settled(change).await.map_err(StoreError::from)?;
    let (mut after, mut first_failure) = (None, None);
    loop {
        let marks = records::projection_marks(session.store(), after, PAGE).await?;
        let Some(last) = marks.last() else { return first_failure.map_or(Ok(()), Err) };
        after = Some(*last);
        for mark in marks {
            match write(session, mark).await {
                Ok(()) => {}
                Err(error) if error.is_of_one() => {
                    warn!(
                        event = "order_document_refused",
                        %error,
                        order = %mark.order,
                        "an order is not written as a document"
                    );
                    first_failure = first_failure.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

async fn write(session: &Session, mark: ProjectionMark) -> Result<(), ProjectionError> {
    if let Some(record) = records::order_at(session.store(), mark.order).await? {
        // It may be newer than the mark, and on its way to the vault.
        session.all_durable().await?;
        let tenant = session.tenant().as_str();
        let order = KitchenOrder::new(tenant, &record.restaurant, &record.order);
        let shown = serde_json::to_value(&order).expect("an order is plain data, which JSON always takes");
        session.put_order_document(&record.order.id, record.revision, &shown).await?;
        crash::point("order_document_written");
    }
    records::remove_projection_mark(session.store(), mark).await?;
    Ok(())
}

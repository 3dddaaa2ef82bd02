//! Back-pressure: while too much of what came is not kept yet, nothing more is read from the line, so that whoever sends faster than
//! the vault takes it fills TCP's buffers and not the memory.
//!
//! Never for long: what WhatsApp answers, pongs included, comes the same way. When the vault takes nothing at all the pongs stay away and
//! the line ends; what waited on it WhatsApp says again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tracing::debug;

use crate::session::Inner;

/// How long reading may pause without progress before it resumes.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(5);

/// Pauses and resumes the reading, for as long as the connection lasts.
pub(in crate::session) async fn ease(session: Arc<Inner>) -> Infallible {
    let arrivals = session.store.arrivals();
    loop {
        arrivals.until_crowded().await;
        debug!("more comes than is kept: reading pauses");
        session.line.pause();
        arrivals.until_eased(CROWDED_TIMEOUT).await;
        session.line.go_on();
    }
}

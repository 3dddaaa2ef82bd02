//! Logs (which of them: [`log_filter`]), what is counted ([`metrics`]), how long each step takes ([`traces`]), and what people are told
//! of it ([`alerts`]). Logs are text on a terminal, else one JSON object a line with `message` and `level` on top, as log collectors want
//! it (Railway drops what it cannot parse).
//!
//! Promise: no key, token, QR code, pairing code or text of a message is logged, whatever `log.filter` asks for. Our own lines
//! are written so. What other crates say is capped by [`foreign_cap`], which the filter cannot lift: at TRACE they write whole stanzas,
//! heads and frames. A panic is told by its place alone: its text may quote what the code was working on.

pub mod alerts;
pub mod log_filter;
pub mod metrics;
pub mod traces;

use std::{backtrace::Backtrace, io::IsTerminal as _};

use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, Targets},
    fmt::{self, writer::BoxMakeWriter},
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

use crate::config::{LogConfig, LogFormat};

/// How much crates may say whose lines somebody has read: target, most verbose level, and the reason. A target covers all that
/// begin with it; the longest counts. A new version of a crate here means to read its lines at that level anew.
const FOREIGN: &[(&str, LevelFilter, &str)] = &[
    (env!("CARGO_PKG_NAME"), LevelFilter::TRACE, "our own lines"),
    ("firestore", LevelFilter::WARN, "names collections and gRPC statuses"),
    ("gcloud_sdk", LevelFilter::OFF, "names documents' paths, and calls each cancelled request an error"),
    ("h2", LevelFilter::WARN, "names limits; writes frames at TRACE"),
    ("hyper", LevelFilter::WARN, "names its own misuse; writes heads at TRACE"),
    ("rustls", LevelFilter::WARN, "names alerts and hosts"),
    // whatsapp-rust 0.7.0. At INFO it writes pairing codes, at DEBUG every stanza.
    ("whatsapp_rust", LevelFilter::WARN, "names ids and errors"),
    ("whatsapp_rust::message", LevelFilter::OFF, "of what does not open it writes who wrote it; we tell of it without"),
    ("whatsapp_rust::retry", LevelFilter::OFF, "the same"),
    ("whatsapp_rust::download", LevelFilter::OFF, "writes the URLs of files with their tokens; we tell of what failed"),
    (
        "whatsapp_rust::client::node_io",
        LevelFilter::ERROR,
        "at WARN it writes refusals whole, with the token of an appeal",
    ),
    (
        "whatsapp_rust::handlers::iq",
        LevelFilter::ERROR,
        "at WARN it writes unknown requests whole: a QR code's refs are one",
    ),
    ("whatsapp_rust::handlers::notification", LevelFilter::ERROR, "at WARN it writes notifications whole"),
    ("Client/Mex", LevelFilter::ERROR, "the same"),
    ("wacore", LevelFilter::WARN, "names ids and errors"),
    ("wacore_libsignal", LevelFilter::OFF, "of what does not open it writes who wrote it, and bytes of a key"),
    ("wacore::prekeys", LevelFilter::ERROR, "at WARN it writes answers whole"),
    // Targets of the library's own, which are no module's path.
    ("AppState", LevelFilter::WARN, "names collections and keys' ids"),
    ("Blocking", LevelFilter::WARN, "names errors"),
    ("Bot/", LevelFilter::WARN, "names errors"),
    ("Chatstate", LevelFilter::WARN, "names errors"),
    ("Client/", LevelFilter::WARN, "names ids and errors; the pairing code comes at INFO, stanzas at DEBUG"),
    ("MessageQueue", LevelFilter::WARN, "names ids and delays"),
    ("PresenceHandler", LevelFilter::WARN, "names errors"),
    ("TcToken", LevelFilter::WARN, "names ids and errors"),
    ("UnifiedSession", LevelFilter::WARN, "names errors"),
];

/// Whose lines nobody has read. Of the crates in the tree the ERROR lines were, and none has a secret.
const UNREAD: LevelFilter = LevelFilter::ERROR;

/// What may be logged at all.
fn foreign_cap() -> Targets {
    let targets = FOREIGN.iter().map(|(target, level, _)| (*target, *level));
    Targets::new().with_targets(targets).with_default(UNREAD)
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    /// The standard output is for what the command answers.
    Stderr,
}

/// Installs the subscriber. A second call does nothing.
pub fn init(settings: &LogConfig, stream: LogStream) {
    let (is_terminal, writer) = match stream {
        LogStream::Stdout => (std::io::stdout().is_terminal(), BoxMakeWriter::new(std::io::stdout)),
        LogStream::Stderr => (std::io::stderr().is_terminal(), BoxMakeWriter::new(std::io::stderr)),
    };
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_terminal,
    };
    // The filter was checked with the configuration.
    let filter = EnvFilter::try_new(&settings.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    // The cap is a layer of its own: whoever changes the filter does not come near it.
    let registry = tracing_subscriber::registry().with(filter).with(foreign_cap());
    let installed = if json {
        let layer = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
        registry.with(layer.with_writer(writer)).try_init()
    } else {
        let text = fmt::layer().with_target(false).with_writer(writer);
        // Colours are for eyes; the terminal's own word on them (NO_COLOR) stands.
        registry.with(if is_terminal { text } else { text.with_ansi(false) }).try_init()
    };
    if installed.is_ok() {
        log_filter::install(handle, &settings.filter);
        report_panics();
    }
}

/// A panic goes to the log as an error: in the thread or task where it happened it may otherwise end unseen. Of its text only
/// that which stands in the code: a formatted one (an index into a text, an `expect` on an error) may quote a message.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let what =
            panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("a panic with a text made at run time");
        // By RUST_BACKTRACE: names of functions and places only.
        let backtrace = Backtrace::capture();
        tracing::error!(event = "panic", place, what, %backtrace, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn foreign_targets_say_no_more_than_what_was_read() {
        let cap = foreign_cap();
        for (target, level) in [
            ("sessiond::session", Level::TRACE),
            ("Client/PairCode", Level::WARN),
            ("whatsapp_rust::client", Level::WARN),
            ("wacore::send", Level::WARN),
            ("whatsapp_rust::handlers::iq", Level::ERROR),
            ("hyper_util::client", Level::WARN),
            ("tungstenite::protocol", Level::ERROR),
            ("a_crate_of_next_year", Level::ERROR),
        ] {
            assert!(cap.would_enable(target, &level), "{target} at {level}");
        }
        for (target, level) in [
            ("Client/PairCode", Level::INFO),
            ("Client/Recv", Level::DEBUG),
            ("Client/Mex", Level::WARN),
            ("whatsapp_rust::download", Level::ERROR),
            ("whatsapp_rust::message::receive", Level::ERROR),
            ("wacore_libsignal::protocol::session_cipher", Level::ERROR),
            ("whatsapp_rust::handlers::iq", Level::WARN),
            ("hyper::proto::h1::io", Level::INFO),
            ("tungstenite::protocol", Level::WARN),
            ("a_crate_of_next_year", Level::WARN),
        ] {
            assert!(!cap.would_enable(target, &level), "{target} at {level}");
        }
    }
}

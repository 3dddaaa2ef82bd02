//! Classifies `<stream:error>` stanzas. Pure.
//!
//! The library ends the connection by itself where the device was removed or replaced, and in a pairing. To the other errors it answers
//! with an event, or with nothing, and waits for WhatsApp to close the socket (whatsapp-rust 0.7, `handle_stream_error`).

use whatsapp_rust::wacore_binary::NodeRef;

#[derive(Debug, PartialEq, Eq)]
pub enum StreamError {
    /// The library ends the connection.
    Handled,
    /// The stream is over.
    Code(i32),
    /// It may be of one stanza only: of one that went nowhere, or whose ack WhatsApp misses.
    Doubtful,
}

impl StreamError {
    pub fn read(stanza: &NodeRef<'_>) -> Self {
        let has = |tag| stanza.get_optional_child(tag).is_some();
        let code = stanza.attrs().optional_string("code").and_then(|code| code.parse().ok());
        match code {
            Some(401 | 409 | 515 | 516) => Self::Handled,
            _ if has("conflict") || has("xml-not-well-formed") => Self::Handled,
            Some(code) => Self::Code(code),
            None => Self::Doubtful,
        }
    }
}

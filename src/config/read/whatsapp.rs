//! `whatsapp`: the address, the version and the authorities of WhatsApp.

use super::SettingReader;
use crate::config::{WHATSAPP, WhatsApp};

impl SettingReader<'_> {
    pub(super) fn whatsapp(&mut self) -> Option<WhatsApp> {
        let endpoint = self.endpoint();
        let version = self.parsed("whatsapp.version", "three numbers like 2.3000.1026131876", version);
        let media_authority = self.media_authority();
        Some(WhatsApp { endpoint: endpoint?, version: version?, media_authority: media_authority? })
    }

    fn endpoint(&mut self) -> Option<String> {
        let endpoint = self.text("whatsapp.endpoint");
        if endpoint == WHATSAPP {
            return Some(endpoint);
        }
        if cfg!(feature = "loopback") {
            let url = endpoint.parse::<http::Uri>().ok();
            let is_socket =
                url.is_some_and(|url| matches!(url.scheme_str(), Some("ws" | "wss")) && url.host().is_some());
            if !is_socket {
                self.mistake("whatsapp.endpoint", "expected an address like ws://127.0.0.1:8099/ws/chat");
            }
            return is_socket.then_some(endpoint);
        }
        self.mistake(
            "whatsapp.endpoint",
            "this build speaks to WhatsApp only (another address needs the feature `loopback`)",
        );
        None
    }

    fn media_authority(&mut self) -> Option<Option<String>> {
        let file = self.text("whatsapp.media_authority");
        if file.is_empty() {
            return Some(None);
        }
        if !cfg!(feature = "loopback") {
            self.mistake("whatsapp.media_authority", "this build trusts the public authorities only");
            return None;
        }
        let pem = std::fs::read_to_string(&file).ok();
        if pem.is_none() {
            self.mistake("whatsapp.media_authority", "expected a readable file");
        }
        pem.map(Some)
    }
}

fn version(text: &str) -> Option<Option<(u32, u32, u32)>> {
    if text.is_empty() {
        return Some(None);
    }
    let numbers: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    <[u32; 3]>::try_from(numbers).ok().map(|[a, b, c]| Some((a, b, c)))
}

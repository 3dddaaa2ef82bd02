//! A message's reference to its file: where WhatsApp has it, and what it must be. A stranger wrote all of it.

use bytes::Bytes;
use whatsapp_rust::{
    download::{DownloadParams, Downloadable},
    waproto::{codec, whatsapp as wa},
};

use crate::{
    message::{
        media::{FileName, title},
        past,
    },
    session::{Inner, inbound::content},
    store::StoreError,
};

/// The longest path that any host of WhatsApp's gives out, several times over.
const MAX_PATH: usize = 2048;

/// A file at WhatsApp.
pub struct FileReference {
    pub params: DownloadParams,
    /// Whether we wrote the message.
    pub from_me: bool,
}

/// `None`: there is no such message, or nothing in it can be fetched.
pub async fn find(session: &Inner, name: &FileName) -> Result<Option<FileReference>, StoreError> {
    let Some((body, from_outbox)) = body(session, name).await? else { return Ok(None) };
    let Ok(message) = codec::message_decode(&body) else { return Ok(None) };
    let me = session.status.borrow().phone_number.clone();
    let by_me = me.is_some_and(|me| name.sender().split(['@', ':']).next() == Some(me.as_str()));
    Ok(of(&message).map(|params| FileReference { params, from_me: from_outbox || by_me }))
}

/// The message, whole or what of it says of its file; and whether it was sent from here.
pub async fn body(session: &Inner, name: &FileName) -> Result<Option<(Bytes, bool)>, StoreError> {
    if let Some(body) = session.inbox.body(name.chat(), name.id(), name.sender()).await? {
        return Ok(Some((body, false)));
    }
    let accepted = session.outbox.accepted(name.id()).await?;
    let accepted = accepted.filter(|accepted| accepted.chat == name.chat() && !accepted.body.is_empty());
    if let Some(accepted) = accepted {
        return Ok(Some((accepted.body, true)));
    }
    // Last: those of a chat are read one by one.
    let file = past::file(&session.store, name.chat(), name.id(), name.sender()).await?;
    Ok(file.map(|file| (file, false)))
}

/// The file that a message carries.
pub fn of(message: &wa::Message) -> Option<DownloadParams> {
    macro_rules! first {
        ($($field:ident),+) => {
            $(if let Some(file) = content::unwrap(message).$field.as_option() {
                return params(file, file.url.as_deref());
            })+
        };
    }
    first!(image_message, video_message, ptv_message, audio_message, document_message, sticker_message);
    None
}

/// A message that has of the other what its file is fetched by and called, and nothing else.
pub fn only(message: &wa::Message) -> Option<wa::Message> {
    let mut kept = fetched_by(message)?;
    if let (Some(document), Some(title)) = (kept.document_message.as_option_mut(), title(message)) {
        document.file_name = Some(title);
    }
    Some(kept)
}

/// The name that its sender gave to the file of a message.
pub fn title(message: &wa::Message) -> Option<String> {
    let document = content::unwrap(message).document_message.as_option()?;
    [&document.file_name, &document.title].into_iter().flatten().find_map(|name| title::plain(name))
}

fn fetched_by(message: &wa::Message) -> Option<wa::Message> {
    macro_rules! first {
        ($($field:ident: $kind:ident),+) => {
            $(if let Some(file) = content::unwrap(message).$field.as_option() {
                let file = wa::message::$kind {
                    url: file.url.clone(),
                    direct_path: file.direct_path.clone(),
                    media_key: file.media_key.clone(),
                    file_sha256: file.file_sha256.clone(),
                    file_enc_sha256: file.file_enc_sha256.clone(),
                    file_length: file.file_length,
                    ..Default::default()
                };
                return Some(wa::Message { $field: file.into(), ..Default::default() });
            })+
        };
    }
    first!(
        image_message: ImageMessage,
        video_message: VideoMessage,
        ptv_message: VideoMessage,
        audio_message: AudioMessage,
        document_message: DocumentMessage,
        sticker_message: StickerMessage
    );
    None
}

/// Only what the library joins to a host of WhatsApp's choosing: a message may also name a whole address (`static_url`), which the
/// library would fetch wherever it leads.
fn params(file: &dyn Downloadable, url: Option<&str>) -> Option<DownloadParams> {
    let given = file.direct_path().filter(|path| !path.is_empty());
    let direct_path = match given {
        Some(path) => path.to_owned(),
        None => url?.parse::<http::Uri>().ok()?.path_and_query()?.as_str().to_owned(),
    };
    is_path(&direct_path).then(|| DownloadParams {
        direct_path,
        media_key: file.media_key().map(<[u8]>::to_vec),
        file_sha256: file.file_sha256().unwrap_or_default().to_vec(),
        file_enc_sha256: file.file_enc_sha256().map(<[u8]>::to_vec),
        file_length: file.file_length().unwrap_or(0),
        media_type: file.app_info(),
    })
}

/// The library writes it behind the name of a host: anything but a path from the root (`@evil.example/`, `.evil.example/`) would
/// change the host.
pub fn is_path(text: &str) -> bool {
    text.len() <= MAX_PATH
        && text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#')
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::buffa::MessageField;

    use super::*;

    fn image(direct_path: Option<&str>, url: Option<&str>) -> wa::Message {
        let image = wa::message::ImageMessage {
            direct_path: direct_path.map(str::to_owned),
            url: url.map(str::to_owned),
            static_url: Some("http://169.254.169.254/latest/meta-data/".into()),
            media_key: Some(vec![1; 32]),
            file_sha256: Some(vec![2; 32]),
            file_enc_sha256: Some(vec![3; 32]),
            file_length: Some(5),
            ..Default::default()
        };
        wa::Message { image_message: MessageField::some(image), ..Default::default() }
    }

    #[test]
    fn nothing_in_a_message_changes_the_host() {
        for path in [
            "@evil.example/v/x",
            ".evil.example/v/x",
            ":443@evil.example/",
            "evil.example",
            "",
            "/v/x\r\nHost: evil.example",
            "/v/x y",
            "\\\\evil.example",
        ] {
            assert!(of(&image(Some(path), None)).is_none(), "{path:?}");
        }
        let found = of(&image(Some("/v/t62.7118-24/x.enc?ccb=11-4&oh=01_"), None)).unwrap();
        assert_eq!((found.direct_path.as_str(), found.static_url()), ("/v/t62.7118-24/x.enc?ccb=11-4&oh=01_", None));
        let found = of(&image(None, Some("https://evil.example/v/x.enc?oh=1"))).unwrap();
        assert_eq!(found.direct_path, "/v/x.enc?oh=1");
    }
}

//! Has rules' files fetched and taken to WhatsApp before anything is decided of them: no turn waits for a host. A file that cannot be had
//! in time costs its rule the file, and never the text.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::{
    asking::{BREATH, TRY_AGAIN},
    records::{self, AskRecord},
};
use crate::{
    bot::rules::{FiledReply, RuleFile},
    message::{
        Humanize, Mentions, Outgoing,
        media::{Attachment, AttachmentKind, Origin},
    },
    session::{AcceptError, Session},
    store::StoreError,
};

/// How long hosts may take for a file, with all tries.
const FILE_LIMIT: Duration = Duration::from_secs(20);

/// What a rule says with its file.
#[derive(Debug, Clone)]
pub struct FetchedFile {
    pub caption: String,
    /// With the file; `None`: it cannot be had, and the text is said alone.
    pub message: Option<Box<Outgoing>>,
}

/// The files of a question. Whoever asks for them again gets the same messages, by their ids.
pub async fn files(session: &Session, ask: &AskRecord) -> Result<Vec<FetchedFile>, StoreError> {
    let settings = records::settings(session.store()).await?.value;
    let humanize = settings.humanize.then_some(Humanize { reads: true });
    // Without a line no file goes to WhatsApp, and no text either.
    while !session.may_decide() {
        sleep(BREATH).await;
    }
    let mut files = Vec::with_capacity(ask.files.len());
    for (at, FiledReply { caption, file }) in ask.files.iter().enumerate() {
        let key = format!("bot/{}/{}/{at}", ask.chat, ask.id);
        let attachment = attachment(caption, file);
        // A host that answers nobody would hold the places of all who ask.
        let is_missing = session.is_missing_file(&file.url);
        let uploaded = if is_missing {
            Err(AcceptError::Unfetched("it could not be had a moment ago".into()))
        } else {
            let uploading = upload(session, &ask.chat, &attachment, &file.url, &key, humanize);
            let too_late = |_| Err(AcceptError::Unfetched("it takes too long".into()));
            timeout(FILE_LIMIT, uploading).await.unwrap_or_else(too_late)
        };
        let message = match uploaded {
            Ok(message) => Some(Box::new(message)),
            Err(error) => {
                let is_the_files =
                    matches!(error, AcceptError::Unfetched(_) | AcceptError::TooLarge(_) | AcceptError::Draft(_));
                if is_the_files && !is_missing {
                    session.note_missing_file(&file.url);
                }
                warn!(event = "bot_file_missing", %error, "a rule's file cannot be had: its text is said without it");
                None
            }
        };
        files.push(FetchedFile { caption: caption.clone(), message });
    }
    Ok(files)
}

/// What may pass by is tried again until the time is over, as whoever calls this has it.
async fn upload(
    session: &Session,
    chat: &str,
    attachment: &Attachment,
    url: &str,
    key: &str,
    humanize: Option<Humanize>,
) -> Result<Outgoing, AcceptError> {
    loop {
        match session.bot_file(chat, attachment.clone(), url, key, humanize).await {
            Err(
                error @ (AcceptError::NotConnected
                | AcceptError::VaultDown
                | AcceptError::Busy
                | AcceptError::MediaDown
                | AcceptError::Unasked(_)),
            ) => {
                debug!(%error, "a rule's file is taken to WhatsApp again");
                sleep(TRY_AGAIN).await;
            }
            done => return done,
        }
    }
}

/// Bytes decide what it is, but that a sound may be meant as a voice message.
fn attachment(caption: &str, file: &RuleFile) -> Attachment {
    let said = file.mimetype.as_deref().and_then(|mime| mime.split(';').next());
    let is_voice = said.is_some_and(|mime| mime.eq_ignore_ascii_case("audio/ogg"));
    Attachment {
        kind: if is_voice { AttachmentKind::Voice } else { AttachmentKind::Any },
        origin: Origin::Url(file.url.clone()),
        caption: caption.to_owned(),
        file_name: file.filename.clone(),
        mime: file.mimetype.clone(),
        mentions: Mentions::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_bytes_are_unless_it_is_meant_as_a_voice() {
        let kind = |mimetype: Option<&str>| {
            let mimetype = mimetype.map(str::to_owned);
            let file = RuleFile { url: "https://example.com/a".into(), filename: None, mimetype };
            attachment("Hola", &file).kind
        };
        assert_eq!(kind(None), AttachmentKind::Any);
        assert_eq!(kind(Some("image/jpeg")), AttachmentKind::Any);
        assert_eq!(kind(Some("audio/ogg; codecs=opus")), AttachmentKind::Voice);
    }
}

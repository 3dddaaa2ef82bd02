//! What a vote in a poll chose. WhatsApp sends the digests of the chosen options, sealed with the poll's secret, so the poll must
//! be here: one that the tenant sent is in the outbox, one that came in is in the inbox.

use tracing::debug;
use whatsapp_rust::{
    Client, Jid,
    features::PollVoteCiphertext,
    types::events::InboundMessage,
    wacore::poll::compute_option_hash,
    waproto::{codec, whatsapp as wa},
};

use super::{
    content::{self, Parties},
    translate,
};
use crate::message::{Content, Inbox, Outbox};

/// `None`: it is no vote, or one that says nothing to us, since the poll is not known or it does not open.
pub async fn read(
    client: &Client,
    inbox: &Inbox,
    outbox: &Outbox,
    inbound: &InboundMessage,
    me: &[Jid],
) -> Option<Content> {
    let update = content::unwrap(&inbound.message).poll_update_message.as_option()?;
    let parties = translate::parties(&inbound.info.source, me);
    let target = parties.target(update.poll_creation_message_key.as_option()?)?;
    let body = match outbox.body(&target.id).await {
        Ok(Some(body)) => Some(body),
        _ => {
            let found = inbox.find(&inbound.info.source.chat.to_string(), &target.id).await;
            found.ok().flatten().map(|found| found.body)
        }
    };
    let options = match body {
        Some(body) => open(client, &parties, &target.sender, &target.id, update, &body).await,
        None => None,
    };
    if options.is_none() {
        debug!(message.id = %inbound.info.id, "a vote in a poll that is not known, or that does not open");
    }
    Some(match options {
        Some(options) => Content::Vote { poll: target, options },
        None => Content::Unknown { name: "poll_update_message".into(), text: String::new() },
    })
}

async fn open(
    client: &Client,
    parties: &Parties<'_>,
    creator: &str,
    poll_id: &str,
    update: &wa::message::PollUpdateMessage,
    body: &[u8],
) -> Option<Vec<String>> {
    let poll_message = codec::message_decode(body).ok()?;
    let secret = poll_message.message_context_info.as_option()?.message_secret.as_deref()?;
    let poll = content::poll(content::unwrap(&poll_message))?;
    let vote = update.vote.as_option()?;
    let sealed = PollVoteCiphertext { enc_payload: vote.enc_payload.as_deref()?, enc_iv: vote.enc_iv.as_deref()? };
    let creator: Jid = creator.parse().ok()?;
    let chosen = client.polls().decrypt_vote(sealed, secret, poll_id, &creator, parties.sender).await.ok()?;
    let named = |digest: &Vec<u8>| {
        poll.options.iter().find(|option| compute_option_hash(option).as_slice() == digest.as_slice()).cloned()
    };
    Some(chosen.iter().filter_map(named).collect())
}

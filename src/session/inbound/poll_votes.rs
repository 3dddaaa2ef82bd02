//! Decrypts poll votes. A vote holds digests of the chosen options, encrypted with the poll's secret, so the poll
//! itself is needed: from the outbox if the tenant sent it, else from the inbox.

use bytes::Bytes;
use tracing::debug;
use whatsapp_rust::{
    Client, Jid,
    features::PollVoteCiphertext,
    types::events::InboundMessage,
    wacore::{
        poll::{compute_option_hash, decrypt_poll_vote_with_secret},
        types::message::MessageSource,
    },
    wacore_binary::JidExt as _,
    waproto::{codec, whatsapp as wa},
};

use super::{content, translate};
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
    let body = body(inbox, outbox, &inbound.info.source, &target.id).await;
    let options = match body {
        Some(body) => {
            let creator = target.sender.parse().ok()?;
            let sealed = SealedVote {
                creators: names(client, &creator, target.from_me, inbound, me).await,
                voters: names(client, parties.sender, parties.from_me, inbound, me).await,
                poll: &target.id,
            };
            sealed.open(update, &body)
        }
        None => None,
    };
    if options.is_none() {
        debug!(message.id = %inbound.info.id, "a vote in a poll that is not known, or that does not open");
    }
    Some(match options {
        Some(options) => Content::Vote { poll: target, options },
        None => Content::Mark { name: "poll_update".into(), target: Some(target), text: String::new() },
    })
}

/// The poll, whole.
async fn body(inbox: &Inbox, outbox: &Outbox, source: &MessageSource, id: &str) -> Option<Bytes> {
    if let Ok(Some(body)) = outbox.body(id).await {
        return Some(body);
    }
    for chat in [translate::conversation(source), &source.chat] {
        if let Ok(Some(found)) = inbox.find(&chat.to_string(), id).await {
            return Some(found.body);
        }
    }
    None
}

/// The names that somebody may have in what a vote is sealed with.
async fn names(client: &Client, jid: &Jid, is_me: bool, inbound: &InboundMessage, me: &[Jid]) -> Vec<String> {
    let mut names = vec![jid.to_non_ad_string()];
    let mut add = |name: &Jid| {
        let name = name.to_non_ad_string();
        if !names.contains(&name) {
            names.push(name);
        }
    };
    if is_me {
        me.iter().for_each(add);
        return names;
    }
    let source = &inbound.info.source;
    // The library may learn from this very message what the other name is.
    for (name, alternate) in [(&source.sender, &source.sender_alt), (&source.chat, &source.recipient_alt)] {
        if let Some(alternate) = alternate
            && name.is_same_user_as(jid)
        {
            add(alternate);
        }
    }
    if let Ok(Some(entry)) = client.get_lid_pn_entry(&jid.to_non_ad()).await {
        add(&Jid::pn(entry.phone_number.as_ref()));
        add(&Jid::lid(entry.lid.as_ref()));
    }
    names
}

/// A vote is sealed with one name of the poll's creator and one of the voter: the apps take either kind for each.
struct SealedVote<'a> {
    creators: Vec<String>,
    voters: Vec<String>,
    poll: &'a str,
}

impl SealedVote<'_> {
    fn open(&self, update: &wa::message::PollUpdateMessage, body: &[u8]) -> Option<Vec<String>> {
        let poll_message = codec::message_decode(body).ok()?;
        let secret = poll_message.message_context_info.as_option()?.message_secret.as_deref()?;
        let poll = content::poll(content::unwrap(&poll_message))?;
        let vote = update.vote.as_option()?;
        let sealed =
            || Some(PollVoteCiphertext { enc_payload: vote.enc_payload.as_deref()?, enc_iv: vote.enc_iv.as_deref()? });
        let mut pairs = self.creators.iter().flat_map(|creator| self.voters.iter().map(move |voter| (creator, voter)));
        let open = |(creator, voter): (&String, &String)| {
            decrypt_poll_vote_with_secret(sealed()?, secret, self.poll, creator, voter).ok()
        };
        let chosen = pairs.find_map(open)?;
        let named = |digest: &Vec<u8>| {
            poll.options.iter().find(|option| compute_option_hash(option).as_slice() == digest.as_slice()).cloned()
        };
        Some(chosen.iter().filter_map(named).collect())
    }
}

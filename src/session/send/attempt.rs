//! One attempt to send one message over one connection. Makes sure of everything that must be true before a ciphertext leaves,
//! sends, waits for WhatsApp's answer, and writes the outcome into the outbox.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};
use whatsapp_rust::{Client, ErrorChainExt as _, Freshness, Jid, SendError, SendOptions, Server, waproto::codec};

use super::{
    answers::SendAnswer, channel_posts, group_keys, judgement::Judgement, recipient_check::obstacle, status_broadcast,
};
use crate::{
    crash,
    message::{Failure, FailureReason, Unsettled, WaitingMessage},
    session::Inner,
    store::StoreError,
    telemetry::traces::{self, SpanName},
};

/// How long WhatsApp and the vault may take, all in all, until a message is on the wire: at the first attempt, and twice as long at each
/// further one. An answer that was lost is asked for again soon, and what is slow gets its time. What goes to many asks about all of them,
/// and has the longer time from the beginning.
const FIRST_SEND_TIMEOUT: Duration = Duration::from_secs(15);
const SEND_TIMEOUT: Duration = Duration::from_secs(90);

/// The library calls the line gone: its end is known here within this time.
const LINE_PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks whether the owner's word, which is on its way, has come; and what the bot needs to read it.
const OWNERS_BREATH: Duration = Duration::from_millis(100);

/// The next step for a chat, after an attempt to send its first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChatOutcome {
    /// Its message is settled, or failed: the next one goes.
    Onward,
    /// The line was lost: the same again, over the next.
    Again,
    /// The same message again after a moment.
    Soon,
    /// The same message again after a wait that grows, this long at least.
    Later(Option<Duration>),
    /// It may be what ended the line: the same message again after a wait that grows, and on a new line after the others.
    AfterOthers,
}

/// How an attempt came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttemptEnd {
    /// There was no answer in its time.
    Silence,
    /// The line ended before the message had left: perhaps for a question that goes with it.
    LineBefore,
    /// The line ended while WhatsApp's answer was waited for.
    LineAfter,
}

/// Runs `work` while the connection lasts; `None` if the line goes first. For waits on WhatsApp and the library, which
/// may wait for minutes on a dead line. Not for outbox writes: those must finish.
async fn on_line<T>(session: &Inner, client: &Arc<Client>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // An answer that is there counts, whatever became of the line behind it.
        biased;
        done = work => Some(done),
        () = session.client_gone(client) => None,
    }
}

/// Carries one message over one connection.
pub(super) async fn carry(session: &Inner, client: &Arc<Client>, waiting: &WaitingMessage) -> ChatOutcome {
    let id = &*waiting.id;
    let began = Instant::now();
    let ready = async {
        prepare(session, client).await?;
        session.outbox.await_durable(waiting).await?;
        anyhow::Ok(await_owner(session, waiting).await?)
    };
    // What the library does is boxed, here and below: as an argument it would have its room twice in each message that is on its way.
    match on_line(session, client, Box::pin(ready)).await {
        None => return ChatOutcome::Again,
        Some(Ok(())) => {}
        Some(Err(error)) => {
            debug!(message.id = id, error = format!("{error:#}"), "not sending yet");
            return ChatOutcome::Soon;
        }
    }
    // Only now: it may have been settled, by a receipt, while the vault was waited for.
    let message = match session.outbox.begin(id).await {
        Ok(Some(message)) => message,
        Ok(None) => {
            session.outbox.forget(id);
            return ChatOutcome::Onward;
        }
        Err(error) => {
            warn!(event = "outbox_unreadable", message.id = id, %error, "the outbox cannot be read");
            return ChatOutcome::Later(None);
        }
    };
    let left = message.expires_at_ms.saturating_sub(session.outbox.certain_ms());
    let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis) else {
        return expire(session, id).await;
    };
    let chat = jid(&message.chat);
    let goes_to_many = !message.audience.is_empty() || chat.as_ref().is_ok_and(|chat| chat.server == Server::Group);
    let limit = send_timeout(goes_to_many, message.attempts);
    let mut expected = session.answers.expect(id);
    let sending = async {
        let chat = chat?;
        let names = session.names_of(&chat).await.map_err(|error| SendError::Internal(error.into()))?;
        if let Some(failure) = obstacle(session, client, &message, &chat, &names).await? {
            return Ok(Some(failure));
        }
        send(session, client, message, chat, names).await.map(|()| None)
    };
    // Given up when its time is over: what the library has not queued for the wire by then does not leave. What it has may leave all the
    // same, under its id.
    let error = match on_line(session, client, timeout(limit.min(left), Box::pin(sending))).await {
        // It may be what WhatsApp ended the line for: the message itself, or a question that goes with it.
        None => return leave_unanswered(session, waiting, FailureReason::Unconfirmed, AttemptEnd::LineBefore).await,
        Some(Ok(Ok(None))) => {
            crash::point("on_the_wire");
            let sent = Instant::now();
            traces::message(&session.tenant, id, SpanName::Sent, sent - began);
            let answer = timeout(session.env.settings.ack_timeout, expected.answer());
            match on_line(session, client, answer).await {
                None => {
                    return leave_unanswered(session, waiting, FailureReason::Unconfirmed, AttemptEnd::LineAfter).await;
                }
                Some(Ok(SendAnswer::Settled)) => {
                    traces::message(&session.tenant, id, SpanName::Acknowledged, sent.elapsed());
                    return ChatOutcome::Onward;
                }
                Some(Ok(SendAnswer::NotNow(code))) => {
                    session.note_too_much(code);
                    debug!(message.id = id, code, "WhatsApp does not take a message now");
                    return ChatOutcome::Later(None);
                }
                Some(Err(_)) => {
                    // Swallowed by the connection, or this one by WhatsApp?
                    let is_deaf = !session.answers.any_since(sent);
                    let next =
                        leave_unanswered(session, waiting, FailureReason::Unconfirmed, AttemptEnd::Silence).await;
                    if is_deaf {
                        warn!(
                            event = "message_unconfirmed",
                            message.id = id,
                            "WhatsApp confirms nothing: connecting anew"
                        );
                        session.line.cut();
                    }
                    return next;
                }
            }
        }
        Some(Ok(Ok(Some(failure)))) => return fail(session, id, failure).await,
        Some(Ok(Err(error))) => error,
        Some(Err(_)) => {
            return leave_unanswered(session, waiting, FailureReason::Unconfirmed, AttemptEnd::Silence).await;
        }
    };
    if let Some(rejection) = error.server_rejection() {
        session.note_too_much(rejection.code);
    }
    match Judgement::of(&error) {
        Judgement::Final(failure) => {
            debug!(message.id = id, %error, "a message cannot be sent");
            fail(session, id, failure).await
        }
        Judgement::Later(wait) => {
            debug!(message.id = id, %error, "a message cannot be sent now");
            ChatOutcome::Later(wait)
        }
        Judgement::Unanswered => {
            leave_unanswered(session, waiting, FailureReason::Unconfirmed, AttemptEnd::Silence).await
        }
        Judgement::Broken => {
            warn!(event = "message_unsent", message.id = id, %error, "a message is not sent");
            leave_unanswered(session, waiting, FailureReason::Unsendable, AttemptEnd::Silence).await
        }
        Judgement::LineGone => {
            // The end of the line is told in a moment, and is counted where it is told.
            let _ = on_line(session, client, sleep(LINE_PATIENCE)).await;
            leave_unanswered(session, waiting, FailureReason::Unconfirmed, AttemptEnd::LineBefore).await
        }
    }
}

/// A bot's message waits for the owner's word to the same person, which is on its way and takes it back.
async fn await_owner(session: &Inner, waiting: &WaitingMessage) -> Result<(), StoreError> {
    if !waiting.from_bot {
        return Ok(());
    }
    let mut has_waited = false;
    loop {
        let owner_writes_to = session.owner_writes_to();
        let is_written_to = !owner_writes_to.is_empty() && {
            let names = session.store.names(&waiting.chat).await?;
            names.iter().any(|name| owner_writes_to.contains(name))
        };
        if !is_written_to && !has_waited {
            return Ok(());
        }
        // Once more when it is over: the bot has yet to read it.
        sleep(OWNERS_BREATH).await;
        has_waited = is_written_to;
    }
}

fn send_timeout(goes_to_many: bool, attempts: u32) -> Duration {
    match goes_to_many {
        true => SEND_TIMEOUT,
        false => FIRST_SEND_TIMEOUT.saturating_mul(1 << attempts.min(3)).min(SEND_TIMEOUT),
    }
}

/// Its time was over before it could leave.
async fn expire(session: &Inner, id: &str) -> ChatOutcome {
    warn!(event = "message_expired", message.id = id, "a message could not be sent in time");
    match session.outbox.expire(id).await {
        Ok(true) => ChatOutcome::Onward,
        Ok(false) => {
            session.outbox.forget(id);
            ChatOutcome::Onward
        }
        Err(error) => unwritten(id, &error),
    }
}

/// Counts an attempt that came to nothing; after some the message has failed.
async fn leave_unanswered(
    session: &Inner,
    waiting: &WaitingMessage,
    reason: FailureReason,
    end: AttemptEnd,
) -> ChatOutcome {
    let id = &*waiting.id;
    if end != AttemptEnd::Silence {
        session.answers.note_loss();
    }
    match session.outbox.note_attempt(id).await {
        Ok(attempts) if attempts >= session.env.settings.send_attempts => fail(session, id, reason.into()).await,
        // It was settled meanwhile, which the next look finds.
        Ok(0) => ChatOutcome::Again,
        // Lines end, and most of them not because of a message that had left.
        Ok(1) if end == AttemptEnd::LineAfter => ChatOutcome::Again,
        Ok(attempts) => {
            debug!(message.id = id, attempts, ?end, "no answer to a message");
            match end {
                AttemptEnd::Silence => ChatOutcome::Later(None),
                AttemptEnd::LineBefore | AttemptEnd::LineAfter => ChatOutcome::AfterOthers,
            }
        }
        Err(error) => unwritten(id, &error),
    }
}

async fn fail(session: &Inner, id: &str, failure: Failure) -> ChatOutcome {
    warn!(event = "message_failed", message.id = id, %failure, "a message has failed");
    crash::pause("failing").await;
    match session.outbox.fail(id, failure).await {
        Ok(_) => ChatOutcome::Onward,
        Err(error) => unwritten(id, &error),
    }
}

fn unwritten(id: &str, error: &StoreError) -> ChatOutcome {
    warn!(event = "outbox_unwritten", message.id = id, %error, "the outbox cannot be written");
    ChatOutcome::Later(None)
}

/// Everything that must be true before anything is encrypted.
pub(in crate::session) async fn prepare(session: &Inner, client: &Arc<Client>) -> anyhow::Result<()> {
    let unconfirmed = session.env.clock.instant().since(session.journal.confirmed_at());
    if unconfirmed > session.env.settings.ownership_limit || session.journal.outage() {
        session.journal.confirm().await?;
    }
    client.flush_pending_signal_state().await?;
    session.store.wait(session.journal.recorded()).await?;
    Ok(())
}

fn jid(text: &str) -> Result<Jid, SendError> {
    text.parse().map_err(|_| SendError::InvalidRequest("the chat is no jid".into()))
}

async fn send(
    session: &Inner,
    client: &Arc<Client>,
    message: Unsettled,
    chat: Jid,
    names: Vec<Jid>,
) -> Result<(), SendError> {
    let body = codec::message_decode(&message.body)
        .map_err(|error| SendError::InvalidRequest(format!("the message does not parse: {error}")))?;
    if !message.audience.is_empty() {
        return status_broadcast::send(session, client, message, body).await;
    }
    if chat.server == Server::Newsletter {
        return channel_posts::publish(session, client, chat, message.id, body).await;
    }
    let mut options = SendOptions::default().with_message_id(message.id);
    // The tenant's own devices get a copy.
    let people: Vec<Jid> = names.into_iter().chain([client.pn(), client.lid()].into_iter().flatten()).collect();
    if chat.server == Server::Group {
        group_keys::have_sessions(client, &chat).await?;
    } else if session.unknown_devices.take(&people) {
        options = options.with_device_freshness(Freshness::Refresh);
    }
    client.send_message_with_options(chat, body, options).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::future_size::future_size;

    /// There are hundreds at a time. Without boxes each takes 43 KiB with its task.
    #[test]
    fn a_message_on_its_way_takes_little_room_beside_what_the_library_needs() {
        type Carried = (&'static Inner, &'static Arc<Client>, &'static WaitingMessage);
        let size = future_size(|(session, client, waiting): Carried| carry(session, client, waiting));
        assert!(size < 16 * 1024, "{size}");
    }

    #[test]
    fn what_goes_to_many_has_the_longer_time_at_once() {
        assert_eq!([0, 1, 2, 9].map(|attempts| send_timeout(false, attempts).as_secs()), [15, 30, 60, 90]);
        assert_eq!([0, 9].map(|attempts| send_timeout(true, attempts).as_secs()), [90, 90]);
    }
}

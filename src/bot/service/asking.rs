//! Asks a tenant's external bot or the operator's language model what the engine wants asked, has rules' files fetched, and hands what
//! comes of it to the desk.
//!
//! Each question is a record, written in the change of its turn; the answer and the end of that record are one change as well. So whatever
//! dies, a question is asked (again, under the same id) until there is an answer or its time is over, and what is answered is said once.
//! One that is slow, down or hostile costs its own chats the fallback, and others nothing: few are asked at a time, each within its time,
//! and an answer is bounded. Within a chat one question comes after the other.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jiff::SignedDuration;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tracing::{debug, warn};
use ulid::Ulid;

use super::{
    BotContext,
    desk::BotCommand,
    fetching,
    records::{self, AskRecord, Respondent},
    turn_cause::AskOutcome,
};
use crate::{
    bot::{
        external::{ExternalAnswer, ExternalBot, ExternalQuestion, MAX_ANSWER_BYTES, QuestionMessage},
        language_model::ModelLine,
    },
    config::Secret,
    crash,
    journal::ChangeNo,
    outbound::signature,
    outbound::{OutboundError, Request},
    session::Session,
    store::StoreError,
    waha::chat_id,
};

/// Questions on their way, of one tenant.
const MAX_ASKED: usize = 8;

const PAGE: usize = 64;

/// A question that is older is nobody's to answer any more.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(15);

/// Between two tries, within the time of a question.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(1);

/// While nothing may be decided.
pub(super) const BREATH: Duration = Duration::from_millis(250);

/// After the store or the vault failed.
const RETRY_DELAY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("it answers {0}")]
    Status(u16),
    #[error("its answer is no list of replies")]
    Unreadable,
    #[error("no answer in time")]
    Late,
}

/// Until the session ends. `changes`: the last change that asks something, and once at the start. A tenant that asks nothing costs one
/// reading then, and no memory after it.
pub async fn run(
    session: Session,
    cx: Arc<BotContext>,
    desk: mpsc::Sender<Box<BotCommand>>,
    mut changes: watch::Receiver<ChangeNo>,
) {
    let stop = session.stopping();
    while let Some(Ok(())) = stop.run_until_cancelled(changes.changed()).await {
        if Box::pin(ask_all(&session, &cx, &desk, &mut changes)).await.is_break() {
            return;
        }
    }
}

/// Until nothing is left to ask, or for good.
async fn ask_all(
    session: &Session,
    cx: &Arc<BotContext>,
    desk: &mpsc::Sender<Box<BotCommand>>,
    changes: &mut watch::Receiver<ChangeNo>,
) -> ControlFlow<()> {
    let stop = session.stopping();
    let mut flights: FuturesUnordered<BoxFuture<'static, String>> = FuturesUnordered::new();
    let mut chats = HashSet::new();
    loop {
        let change = *changes.borrow_and_update();
        let due = tokio::select! {
            () = stop.cancelled() => return ControlFlow::Break(()),
            due = due(session, change) => due,
        };
        match due {
            Ok(due) => {
                if due.is_empty() && flights.is_empty() {
                    return ControlFlow::Continue(());
                }
                for (key, ask) in due {
                    if chats.len() < MAX_ASKED && chats.insert(ask.chat.clone()) {
                        flights.push(flight(session.clone(), cx.clone(), desk.clone(), key, ask).boxed());
                    }
                }
            }
            Err(error) if error.is_final() => {
                debug!(%error, "questions of the bot to others wait for the next session");
                return ControlFlow::Break(());
            }
            Err(error) => {
                warn!(event = "bot_questions_unreadable", %error, "questions of the bot to others cannot be read now");
                if stop.run_until_cancelled(sleep(RETRY_DELAY)).await.is_none() {
                    return ControlFlow::Break(());
                }
                continue;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return ControlFlow::Break(()),
            changed = changes.changed() => if changed.is_err() { return ControlFlow::Break(()) },
            Some(chat) = flights.next() => { chats.remove(&chat); }
        }
    }
}

/// The oldest question of each chat, of as many chats as may be asked for at a time.
async fn due(session: &Session, change: ChangeNo) -> Result<Vec<(Ulid, AskRecord)>, StoreError> {
    // Of a former process everything is durable that is here.
    session.settled(change).await.map_err(StoreError::from)?;
    let (mut first, mut after) = (FirstAsks::default(), None);
    loop {
        let page = records::asks(session.store(), after, PAGE).await?;
        if first.take(page.asks) || page.next.is_none() {
            return Ok(first.asks);
        }
        after = page.next;
    }
}

/// The oldest question of each chat: a customer who writes much takes nobody else's turn.
#[derive(Default)]
struct FirstAsks {
    chats: HashSet<String>,
    asks: Vec<(Ulid, AskRecord)>,
}

impl FirstAsks {
    /// Takes the next questions. True: these are enough, whichever of them are on their way.
    fn take(&mut self, page: Vec<(Ulid, AskRecord)>) -> bool {
        self.asks.extend(page.into_iter().filter(|(_, ask)| self.chats.insert(ask.chat.clone())));
        self.chats.len() >= MAX_ASKED
    }
}

/// Asks one question and has the answer said; gives the chat.
async fn flight(
    session: Session,
    cx: Arc<BotContext>,
    desk: mpsc::Sender<Box<BotCommand>>,
    key: Ulid,
    ask: AskRecord,
) -> String {
    let outcome = loop {
        match outcome(&session, &cx, &ask).await {
            Ok(outcome) => break outcome,
            Err(error) if error.is_final() => return ask.chat,
            Err(error) => {
                warn!(
                    event = "bot_records_unreadable",
                    %error,
                    "the bot's records cannot be read: its question is asked later"
                );
                sleep(RETRY_DELAY).await;
            }
        }
    };
    crash::point("bot_asked");
    loop {
        // What waits to be read may be the owner's word.
        while !session.may_decide() {
            sleep(BREATH).await;
        }
        let (done, is_done) = oneshot::channel();
        let command = BotCommand::Answer { key, ask: ask.clone(), outcome: outcome.clone(), answer: done };
        if desk.send(Box::new(command)).await.is_err() {
            return ask.chat;
        }
        match is_done.await {
            Ok(Ok(_)) => return ask.chat,
            Ok(Err(error)) => {
                debug!(%error, "an answer to a question of the bot waits");
                sleep(RETRY_DELAY).await;
            }
            Err(_) => return ask.chat,
        }
    }
}

async fn outcome(session: &Session, cx: &BotContext, ask: &AskRecord) -> Result<AskOutcome, StoreError> {
    let is_old = cx.clock.now().duration_since(ask.asked_at) > MAX_AGE;
    let is_awaited = is_awaited(session, ask).await?;
    let is_over = is_old || !is_awaited;
    Ok(match ask.of {
        Respondent::FileHosts if !is_awaited => AskOutcome::Files { files: Vec::new(), human: false },
        // A rule's answer is said however late, as one without a file is.
        Respondent::FileHosts => AskOutcome::Files { files: fetching::files(session, ask).await?, human: ask.human },
        Respondent::ExternalBot if is_over => AskOutcome::Replies(ExternalAnswer::default()),
        Respondent::ExternalBot => AskOutcome::Replies(replies(session, cx, ask).await?),
        Respondent::LanguageModel if is_over => AskOutcome::Lines(Vec::new()),
        Respondent::LanguageModel => AskOutcome::Lines(lines(session, cx, ask).await?),
    })
}

/// What the language model has read in a customer's words; nothing, where it does not help or was switched off meanwhile.
async fn lines(session: &Session, cx: &BotContext, ask: &AskRecord) -> Result<Vec<ModelLine>, StoreError> {
    let (menu, settings) = tokio::try_join!(records::menu(session.store()), records::settings(session.store()))?;
    let is_wanted = settings.value.language_model && settings.value.takes_orders;
    match cx.model.as_ref().filter(|_| is_wanted) {
        Some(model) => Ok(model.ask(&menu.value, &ask.texts.join("\n")).await),
        None => Ok(Vec::new()),
    }
}

/// What the external bot says, or what is said in its place.
async fn replies(session: &Session, cx: &BotContext, ask: &AskRecord) -> Result<ExternalAnswer, StoreError> {
    let settings = records::settings(session.store()).await?.value;
    // It was switched off meanwhile.
    let Some(bot) = settings.external_bot.filter(|_| !settings.takes_orders) else {
        return Ok(ExternalAnswer::default());
    };
    let limit = Duration::from_secs(u64::from(bot.timeout_seconds));
    let asked = timeout(limit, ask_until_answered(session, cx, &bot, ask)).await;
    Ok(match asked.unwrap_or(Err(AskError::Late)) {
        Ok(answer) => answer,
        Err(error) => {
            warn!(event = "bot_service_silent", %error, "the external bot does not answer: the fallback is said");
            ExternalAnswer {
                replies: Some(bot.fallback).filter(|text| !text.is_empty()).into_iter().collect(),
                human: false,
            }
        }
    })
}

/// False: later questions of the chat, or a human's word there, have ended it.
async fn is_awaited(session: &Session, ask: &AskRecord) -> Result<bool, StoreError> {
    let names = session.store().names(&ask.chat).await?;
    let chat = records::conversation(session.store(), &names).await?;
    Ok(chat.record.conversation.is_awaiting(&ask.id))
}

/// A silent one is asked again until its time is over, as whoever calls this has it.
async fn ask_until_answered(
    session: &Session,
    cx: &BotContext,
    bot: &ExternalBot,
    ask: &AskRecord,
) -> Result<ExternalAnswer, AskError> {
    loop {
        match ask_once(session, cx, bot, ask).await {
            Err(error @ (AskError::Outbound(OutboundError::Unreachable(_)) | AskError::Status(429 | 500..))) => {
                debug!(%error, "the external bot is asked again");
                sleep(TRY_AGAIN).await;
            }
            done => return done,
        }
    }
}

async fn ask_once(
    session: &Session,
    cx: &BotContext,
    bot: &ExternalBot,
    ask: &AskRecord,
) -> Result<ExternalAnswer, AskError> {
    let url = cx.outbound.check(&bot.url).map_err(OutboundError::from)?;
    let now = cx.clock.now().as_millisecond();
    let question = ExternalQuestion {
        event: "bot.ask",
        id: &ask.id,
        session: session.tenant().as_str(),
        chat_id: &chat_id(&ask.chat),
        name: ask.name.as_deref(),
        messages: ask.texts.iter().map(|text| QuestionMessage { text }).collect(),
        timestamp: ask.asked_at.as_millisecond(),
    };
    let body = serde_json::to_vec(&question).expect("a question is plain data, which JSON always takes");
    let key = Some(Secret::new(bot.key.as_str())).filter(|key| !key.expose().is_empty());
    let mut headers = signature::headers(&ask.id, now, &body, key.as_ref());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = Request { method: Method::POST, headers, body: body.into(), ..Request::get(url) };
    let answer = cx.outbound.send(request, MAX_ANSWER_BYTES).await?;
    let status = answer.status;
    let body = answer.bytes().await?;
    if !status.is_success() {
        return Err(AskError::Status(status.as_u16()));
    }
    ExternalAnswer::read(&body).ok_or(AskError::Unreadable)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_chat_that_asks_much_takes_no_others_turn() {
        let ask = |n: usize, chat: &str| {
            let (id, chat) = (n.to_string(), chat.to_owned());
            let (texts, files, asked_at) = (Vec::new(), Vec::new(), Timestamp::UNIX_EPOCH);
            let of = Respondent::ExternalBot;
            (Ulid(n as u128), AskRecord { id, of, chat, name: None, texts, files, human: false, asked_at })
        };
        let mut first = FirstAsks::default();
        assert!(!first.take((0..PAGE).map(|n| ask(n, "ana")).collect()), "the others' are behind a page of one chat");
        assert!(!first.take(vec![ask(PAGE, "ana"), ask(PAGE + 1, "luz"), ask(PAGE + 2, "luz")]));
        let due: Vec<_> = first.asks.iter().map(|(key, ask)| (key.0 as usize, ask.chat.as_str())).collect();
        assert_eq!(due, [(0, "ana"), (PAGE + 1, "luz")]);
        let others = (0..MAX_ASKED).map(|n| ask(2 * PAGE + n, &n.to_string())).collect();
        assert!(first.take(others), "more cannot be asked at a time");
    }
}

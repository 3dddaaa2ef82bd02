//! What is asked of a desk: another menu, other settings, a chat taken or given back, an order moved or paid. Owns the versions.

use tokio::sync::oneshot;
use tracing::info;
use ulid::Ulid;

use super::{BotDesk, MAX_UNCONFIRMED, listens, pacing};
use crate::{
    bot::{
        menu::Menu,
        order::{OrderStage, PaymentStatus},
        restaurant::RestaurantSettings,
        service::{
            BotError, Changed, order_steps,
            records::{self, AskRecord, OrderRecord, Versioned},
            turn::DecideError,
            turn_cause::{AskOutcome, TurnCause},
        },
    },
    journal::ChangeNo,
    store::{Batch, StoreError},
};

/// What is asked of a desk.
pub enum BotCommand {
    PutMenu {
        menu: Menu,
        expected: Option<u64>,
        answer: oneshot::Sender<Changed<Versioned<Menu>>>,
    },
    PutSettings {
        settings: Box<RestaurantSettings>,
        expected: Option<u64>,
        answer: oneshot::Sender<Changed<Versioned<RestaurantSettings>>>,
    },
    Take {
        chat: String,
        answer: oneshot::Sender<Changed<()>>,
    },
    GiveBack {
        chat: String,
        answer: oneshot::Sender<Changed<()>>,
    },
    Move {
        id: String,
        to: OrderStage,
        answer: oneshot::Sender<Changed<OrderRecord>>,
    },
    NotePayment {
        id: String,
        answer: oneshot::Sender<Changed<OrderRecord>>,
    },
    /// The external bot's or the language model's, or files; of a question that was kept under `key`.
    Answer {
        key: Ulid,
        ask: AskRecord,
        outcome: AskOutcome,
        answer: oneshot::Sender<Changed<()>>,
    },
}

impl BotDesk {
    pub(super) async fn serve(&mut self, command: BotCommand) -> Result<(), StoreError> {
        // Whoever asked may be gone: then nobody hears the answer.
        match command {
            BotCommand::PutMenu { menu, expected, answer } => {
                let _ = answer.send(self.put_menu(menu, expected).await);
            }
            BotCommand::PutSettings { settings, expected, answer } => {
                let paced = (self.settings.version > 0).then(|| self.settings.value.pacing.clone());
                let put = self.put_settings(*settings, expected).await;
                let is_paced = match &put {
                    Ok((written, _)) if paced.as_ref() != Some(&written.value.pacing) => {
                        self.session.set_pacing(pacing(written)).await
                    }
                    _ => Ok(()),
                };
                let _ = answer.send(put);
                // What is written counts all the same: the bot begins anew with it.
                is_paced?;
            }
            BotCommand::Take { chat, answer } => {
                let taken = self.act(&chat, TurnCause::TakenOver).await;
                let _ = answer.send(taken.map(|(_, change)| ((), change)));
            }
            BotCommand::GiveBack { chat, answer } => {
                let given = self.act(&chat, TurnCause::GivenBack).await;
                let _ = answer.send(given.map(|(_, change)| ((), change)));
            }
            BotCommand::Answer { key, ask, outcome, answer } => {
                let said = self.say_answer(key, ask, outcome).await;
                let _ = answer.send(said.map(|change| ((), change)));
            }
            BotCommand::Move { id, to, answer } => {
                let _ = answer.send(self.move_order(&id, to).await);
            }
            BotCommand::NotePayment { id, answer } => {
                let _ = answer.send(self.note_payment(&id).await);
            }
        }
        Ok(())
    }

    /// The same while a record does not parse: another in its place is taken, and everything else is refused. True: what was wrong may be
    /// mended.
    pub(super) async fn mend(&mut self, command: BotCommand, unreadable: impl Fn() -> StoreError) -> bool {
        match command {
            BotCommand::PutMenu { .. } | BotCommand::PutSettings { .. } => self.serve(command).await.is_ok(),
            BotCommand::Take { answer, .. }
            | BotCommand::GiveBack { answer, .. }
            | BotCommand::Answer { answer, .. } => {
                let _ = answer.send(Err(unreadable().into()));
                false
            }
            BotCommand::Move { answer, .. } | BotCommand::NotePayment { answer, .. } => {
                let _ = answer.send(Err(unreadable().into()));
                false
            }
        }
    }

    pub(super) async fn put_menu(&mut self, menu: Menu, expected: Option<u64>) -> Changed<Versioned<Menu>> {
        let version = next_version(&self.menu, &records::no_menu().value, expected)?;
        let written = Versioned { version, value: menu };
        let mut batch = Batch::default();
        records::put_menu(&mut batch, &written);
        let change = self.session.store().write(batch).await?;
        (self.menu, self.restaurant) = (written.clone(), None);
        info!(items = written.value.items.len(), version, "the bot has a new menu");
        Ok((written, change))
    }

    pub(super) async fn put_settings(
        &mut self,
        settings: RestaurantSettings,
        expected: Option<u64>,
    ) -> Changed<Versioned<RestaurantSettings>> {
        let version = next_version(&self.settings, &records::no_settings().value, expected)?;
        let written = Versioned { version, value: settings };
        let mut batch = Batch::default();
        records::put_settings(&mut batch, &written);
        // One that has lost its place begins anew.
        let is_switched_on = listens(&written) && !(self.is_on() && self.has_place);
        let place = self.place_at_start(&written.value);
        if is_switched_on {
            records::put_place(&mut batch, &place);
        }
        let change = self.session.store().write(batch).await?;
        info!(active = written.value.active, version, "the bot has new settings");
        if is_switched_on {
            (self.read, self.place, self.unwritten) = (place.cursor, place, 0);
        }
        if is_switched_on || !listens(&written) {
            self.gathering.clear();
            self.forget_ahead();
        }
        self.gathering.set_window(written.value.gather_ms);
        (self.settings, self.restaurant) = (written.clone(), None);
        Ok((written, change))
    }

    pub(super) async fn move_order(&mut self, id: &str, to: OrderStage) -> Changed<OrderRecord> {
        let (key, record) = records::order(self.session.store(), id).await?.ok_or(BotError::NoOrder)?;
        order_steps::check_move(&record, to)?;
        let chat = record.order.chat.clone();
        let (moved, change) = self.act(&chat, TurnCause::Moved { key, record: Box::new(record.clone()), to }).await?;
        Ok((moved.unwrap_or(record), change))
    }

    pub(super) async fn note_payment(&mut self, id: &str) -> Changed<OrderRecord> {
        let (key, record) = records::order(self.session.store(), id).await?.ok_or(BotError::NoOrder)?;
        if record.order.payment_status == PaymentStatus::Paid {
            return Ok((record, ChangeNo::ZERO));
        }
        let paid = order_steps::paid(record, self.shared.clock.now())?;
        let chat = paid.order.chat.clone();
        let (_, change) = self.act(&chat, TurnCause::Paid { key, record: Box::new(paid.clone()) }).await?;
        Ok((paid, change))
    }

    /// Says what comes of an answer. What was said in the chat meanwhile comes first: it may be the owner's word.
    async fn say_answer(&mut self, key: Ulid, ask: AskRecord, outcome: AskOutcome) -> Result<ChangeNo, BotError> {
        if self.is_on() {
            self.more = true;
            self.read().await?;
            let events = self.gathering.take(&ask.chat);
            if !events.is_empty() {
                let ahead = self.ahead.get(&ask.chat).cloned();
                match self.decide(&ask.chat, TurnCause::Heard { events, ahead }).await {
                    Ok(_) => {}
                    Err(DecideError::NotNow(events)) => {
                        events.into_iter().for_each(|event| self.gathering.push(&ask.chat, event));
                        return Err(BotError::VaultDown);
                    }
                    Err(DecideError::Store(error)) => return Err(error.into()),
                }
            }
        }
        let cause = TurnCause::Answered { key, ask: ask.id, outcome };
        self.act(&ask.chat, cause).await.map(|(_, change)| change)
    }

    /// A turn that somebody asks for.
    pub(super) async fn act(
        &mut self,
        chat: &str,
        cause: TurnCause,
    ) -> Result<(Option<OrderRecord>, ChangeNo), BotError> {
        if self.session.is_vault_down() || self.unconfirmed.len() >= MAX_UNCONFIRMED {
            return Err(BotError::VaultDown);
        }
        self.decide(chat, cause).await.map_err(|undecided| match undecided {
            DecideError::NotNow(_) => BotError::VaultDown,
            DecideError::Store(error) => error.into(),
        })
    }
}

/// Two who change the same thing do not undo each other's work.
fn next_version<T: PartialEq>(current: &Versioned<T>, nothing: &T, expected: Option<u64>) -> Result<u64, BotError> {
    let Versioned { version: current, ref value } = *current;
    match expected {
        // Of a tenant that was deleted the versions stay, and nothing of what they were of.
        Some(0) if value == nothing => Ok(current + 1),
        Some(expected) if expected != current => Err(BotError::WrongVersion { current }),
        _ => Ok(current + 1),
    }
}

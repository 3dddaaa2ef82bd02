//! Opens a session: reads the tenant from the vault, takes it over, makes its working copy, and starts its tasks.

use std::sync::{Arc, Mutex, OnceLock, atomic::AtomicBool};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, info_span};

use super::{
    Env, Inner, MAX_LOOKS_OF_TENANT, MAX_READERS_OF_TENANT, Prepared, STAYS_AWAY, Session, State, Status, app_state,
    connection::supervisor::Supervisor,
    country, files, guarded, history, inbound, naming, pairing, requests,
    send::{self, answers::Answers},
    standing, state_events,
};
use crate::{
    journal::{self, OpenError},
    message::{EventId, Inbox, Log, Outbox, Retention},
    store::{Exported, Rejection, STOPPED, Store, StoreCallbacks, StoreError, StoreOptions, key, space},
    tenant::TenantId,
    vault::Decision,
};

/// Why a session cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Journal(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Session {
    /// Reads the tenant from the vault, takes it over, and makes its working copy. Connects when there are credentials.
    ///
    /// `known` says that the directory has it as connected: then a vault without history is damage, not a new tenant. `published`: the
    /// last event that a session before it published in this process. `number`: the one that the directory has of it. `prepared`: see
    /// [`prepare`].
    pub async fn open(
        env: Arc<Env>,
        tenant: TenantId,
        known: bool,
        published: Option<EventId>,
        number: Option<&str>,
        prepared: Option<Prepared>,
    ) -> Result<Self, SessionError> {
        let tasks = TaskTracker::new();
        let journal_tasks = TaskTracker::new();
        let context = env.journal_context(&tenant, known);
        let opened = journal::open_prepared(context, prepared, &journal_tasks, CancellationToken::new()).await?;
        let journal = opened.journal;
        let dir = env.sessions_dir.join(tenant.as_str());
        let store =
            Store::create(&dir, opened.records, journal.clone(), &env.pool, StoreOptions { clock: env.clock.clone() })
                .await?;
        #[cfg(feature = "loopback")]
        if crate::crash::gates_off() {
            store.gates_off();
        }
        if let Some(number) = number {
            pairing::own_account::expect_number(&store, number).await?;
        }
        let config = &env.messages;
        let keep = Retention {
            events: config.keep_events,
            bytes: config.keep_bytes,
            age: config.keep,
            live: config.live_events,
            whole: config.keep_whole,
            whole_bytes: config.keep_whole_bytes,
        };
        let (feed, shelf, clock) = (env.feed.clone(), env.shelf.clone(), env.clock.clone());
        let log = Log::open(tenant.clone(), store.clone(), feed, shelf, clock, keep, published).await?;
        let log = Arc::new(log);
        let inbox = Arc::new(Inbox::new(store.clone(), log.clone(), env.clock.clone()));
        let (ttl, waiting_bytes) = (config.ttl, config.waiting_bytes);
        let outbox = Outbox::open(store.clone(), log.clone(), env.clock.clone(), ttl, waiting_bytes).await?;
        let outbox = Arc::new(outbox);
        // Side by side: each waits for its turn on the store's thread, and for nothing else.
        let stopped = key::text(STOPPED);
        let (device, stopped, exported, rejection, country, has_keys, told, pairing_mark) = tokio::try_join!(
            store.device(),
            store.get(space::SETTINGS, &stopped),
            Exported::read(&store),
            Rejection::read(&store),
            country::OwnCountry::read(&store),
            store.has_app_state_keys(),
            state_events::PublishedStates::read(&store),
            pairing::mark::PairingMark::read(&store),
        )?;
        let device = device.filter(|device| device.pn.is_some() && device.account.is_some());
        journal.know_record(Decision {
            whatsapp_connected: Some(device.is_some()),
            phone_number: device.as_ref().map(|device| device.pn.as_ref().map(|pn| pn.user.to_string())),
            connected_at: None,
        });
        let stopped = stopped.is_some();
        let gone = exported.as_ref().map(Exported::words);
        // A build that writes no such mark may have paired it since.
        let rejection = rejection.filter(|_| device.is_none() && gone.is_none());
        let own = store.own_account().await?;
        let first_sync = Arc::new(app_state::first_sync::FirstSync::new(has_keys));
        let skipped = match &device {
            Some(device) if !has_keys && !device.push_name.is_empty() => {
                app_state::refetch::SkippedCollections::without_keys()
            }
            _ => app_state::refetch::SkippedCollections::default(),
        };
        let (commands, command_queue) = mpsc::channel(16);
        let reason = match (&device, &gone) {
            (Some(_), _) if stopped => STAYS_AWAY,
            (Some(_), _) => "restored",
            (None, Some(gone)) => gone.as_str(),
            (None, None) if rejection.is_some() => super::LOGGED_OUT,
            (None, None) => super::NOT_PAIRED,
        };
        // One that is linked dials by itself: until then it takes messages as it does while it connects.
        let state = if device.is_some() && !stopped { State::Starting } else { State::Stopped };
        let now = env.clock.now();
        let since = rejection.map_or(now, |rejection| rejection.at.min(now));
        let status = Status {
            paired: device.is_some(),
            rejected: rejection.is_some(),
            phone_number: device.as_ref().and_then(|device| Some(device.pn.as_ref()?.user.to_string())),
            expected: own.map(|own| own.number),
            lid: device.as_ref().and_then(|device| Some(device.lid.as_ref()?.to_non_ad_string())),
            jid: device.as_ref().and_then(|device| Some(device.pn.as_ref()?.to_string())),
            push_name: device.map(|device| device.push_name).filter(|name| !name.is_empty()),
            ..Status::new(state, reason.into(), since)
        };
        let inner = Arc::new(Inner {
            tenant: tenant.clone(),
            journal,
            store,
            log,
            inbox,
            outbox,
            files: files::Files::new(env.media.settings.per_tenant),
            status: watch::Sender::new(status),
            line: Arc::default(),
            ready: watch::Sender::new(None),
            client: watch::Sender::new(None),
            commands,
            answers: Answers::default(),
            seen: standing::WhatsAppReadings::default(),
            owes_acks: Arc::default(),
            late: Arc::default(),
            unknown_devices: Arc::default(),
            member_receipts: inbound::member_receipts::MemberReceipts::default(),
            presences: requests::presence::Presences::default(),
            typing: send::manners::Typing::default(),
            calls: inbound::calls::Calls::default(),
            subjects: requests::subjects::GroupSubjects::default(),
            label_numbers: requests::labels::LabelNumbers::default(),
            label_names: requests::labels::LabelNames::default(),
            collected: app_state::buffer::AppStateBuffer::default(),
            skipped,
            first_sync,
            live_changes: app_state::live::LiveChanges::new(has_keys.then(|| env.clock.now())),
            recoveries: inbound::recoveries::Recoveries::default(),
            questions: history::fetch::PhoneRequests::default(),
            changes: send::channel_posts::PendingEdits::default(),
            pacer: send::pacing::Pacer::default(),
            pace: requests::pace::RequestPace::new(env.clock.clone()),
            stopped: AtomicBool::new(stopped),
            stop_turn: tokio::sync::Mutex::default(),
            exported: Mutex::new(exported),
            published_states: told,
            country,
            chosen_readings: naming::ChosenReadings::default(),
            refused_scan: pairing::own_account::RefusedScan::default(),
            pairing_mark,
            unlinking: AtomicBool::new(false),
            accepting: Arc::default(),
            reading: Arc::new(Semaphore::new(MAX_READERS_OF_TENANT)),
            looks: Semaphore::new(MAX_LOOKS_OF_TENANT),
            end: OnceLock::new(),
            closed_for: OnceLock::new(),
            stop: CancellationToken::new(),
            tasks: tasks.clone(),
            journal_tasks,
            env,
        });
        let hooks: Arc<dyn StoreCallbacks> = inner.clone();
        inner.store.attach(&hooks);
        let span = info_span!("session", %tenant);
        let courier = send::courier::Courier::new(inner.clone()).run(inner.stop.clone());
        tasks.spawn(guarded(inner.clone(), courier).instrument(span.clone()));
        tasks.spawn(guarded(inner.clone(), state_events::tell(inner.clone())).instrument(span.clone()));
        tasks.spawn(guarded(inner.clone(), pairing::mark::keep(inner.clone())).instrument(span.clone()));
        let tidy = inner.log.clone().tidy_up(inner.stop.clone());
        tasks.spawn(guarded(inner.clone(), tidy).instrument(span.clone()));
        if inner.env.media.settings.eager {
            tasks.spawn(files::eager(inner.clone()).instrument(span.clone()));
        }
        let supervisor = Supervisor::new(inner.clone()).run(command_queue);
        tasks.spawn(guarded(inner.clone(), supervisor).instrument(span));
        Ok(Self(inner))
    }
}

/// Reads a tenant that another process serves, for [`Session::open`] as soon as that one has let go of it.
pub async fn prepare(env: &Env, tenant: &TenantId, known: bool) -> Result<Prepared, OpenError> {
    journal::prepare(&env.journal_context(tenant, known)).await
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::{Client, types::events::Event};

    use super::*;
    use crate::{
        future_size::future_size,
        session::{SessionCommand, app_state::refetch::SkippedCollections, send::courier::Courier},
    };

    /// Without boxes for what they do now and then these take 32 KiB of each session, however quiet it is.
    #[test]
    fn tasks_that_wait_take_little_room() {
        type Ready = watch::Receiver<Option<Arc<Client>>>;
        type Commands = mpsc::Receiver<SessionCommand>;
        let supervisor =
            future_size(|(inner, one, commands): (Arc<Inner>, Supervisor, Commands)| guarded(inner, one.run(commands)));
        let courier =
            future_size(|(inner, one, stop): (Arc<Inner>, Courier, CancellationToken)| guarded(inner, one.run(stop)));
        let log = future_size(|(inner, log, stop): (Arc<Inner>, Arc<Log>, CancellationToken)| {
            guarded(inner, log.tidy_up(stop))
        });
        let recorder = future_size(|(inner, client, events): (Arc<Inner>, Arc<Client>, mpsc::Receiver<Arc<Event>>)| {
            guarded(inner.clone(), inbound::recorder::record(inner, client, events))
        });
        let asking = future_size(|(inner, client): (Arc<Inner>, Arc<Client>)| inner.ask_for_lost(client));
        let fetching = future_size(|(skipped, client, ready): (&'static SkippedCollections, Arc<Client>, Ready)| {
            skipped.fetch(client, ready)
        });
        let sizes = [supervisor, courier, log, recorder, asking, fetching];
        assert!(sizes.iter().sum::<usize>() < 20 * 1024, "{sizes:?}");
    }
}

//! The one table of what `/metrics` shows: name, kind, labels, and what it is. The guide has the same table, and a test holds it to this
//! one.
//!
//! Prometheus' conventions: base units, the unit in the name, `_total` for what only grows, one quantity a name. A label named `tenant`
//! makes a series for each tenant; `metrics.per_tenant` says whether those are shown.

/// One name.
#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: MetricKind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub enum MetricKind {
    Counter,
    Gauge,
    /// With the upper ends of its buckets.
    Histogram(&'static [f64]),
}

impl Family {
    /// It has a series for each tenant.
    pub fn is_per_tenant(&self) -> bool {
        self.labels.contains(&"tenant")
    }
}

/// From a local write to a cloud that is ill.
const VAULT: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 20.0];
const DURABLE: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// A receiver may be away for a day.
const DELIVERY: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86400.0];
const WEBHOOK: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// Few: there are many routes.
const HTTP: &[f64] = &[0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];
/// A turn waits for what else a customer writes.
const REPLY: &[f64] = &[0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0];
/// What the library times: decryption, questions to WhatsApp, sends, logins.
pub(super) const LIBRARY: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];
const RESTORE: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

macro_rules! families {
    ($($id:ident $kind:ident $(($buckets:expr))? $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub static $id: Family = Family {
            name: $name,
            kind: MetricKind::$kind $(($buckets))?,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// All of them.
        pub static FAMILIES: &[&Family] = &[$(&$id),*];
    };
}

families! {
    BUILD_INFO Gauge "sessiond_build_info" ["version", "vault"] "1; which version runs, and where its vault is.";

    // The fleet, as it is at the scrape.
    TENANTS Gauge "sessiond_tenants" [] "Tenants with a place in this process.";
    SESSIONS Gauge "sessiond_sessions" ["state"] "Tenants by the state of their session.";
    SESSIONS_ILL Gauge "sessiond_sessions_ill" [] "Sessions that should work and do not, as the keyed /health lists them.";
    TENANTS_UNOWNED Gauge "sessiond_tenants_unowned" [] "Tenants that no process serves.";
    HEARTBEAT Gauge "sessiond_heartbeat_timestamp_seconds" [] "When the last heartbeat had asked every session.";
    INCIDENTS Counter "sessiond_incidents_total" ["kind"] "Faults since the start, by kind, as the keyed /health lists them.";
    TAKEOVERS Counter "sessiond_takeovers_total" ["reason"] "Tenants that this process has taken over, by why it opened them.";
    RESTORE_SECONDS Histogram(RESTORE) "sessiond_restore_seconds" [] "Reading a tenant from the vault and taking it over.";
    HANDOVERS_GIVEN Counter "sessiond_handovers_given_total" ["outcome"] "Asks of other processes for a tenant of this one, while it stops, by what came of them.";
    HANDOVER_GIVING Histogram(RESTORE) "sessiond_handover_seconds" [] "From such an ask until the tenant was written, hung up and let go of.";
    HANDOVERS_TAKEN Counter "sessiond_handovers_taken_total" ["outcome"] "Tenants that another process was asked for and that are open here, by what that one answered.";
    FORWARDED Counter "sessiond_forwarded_requests_total" ["outcome"] "Requests for tenants of other processes that went to those, by what came of each try.";

    // One tenant.
    SESSION_STATE Gauge "sessiond_session_state" ["tenant", "state"] "1 for the state in which the tenant's session is; other states have no series.";
    SESSION_ILL Gauge "sessiond_session_ill" ["tenant"] "1 for a session that should work and does not.";
    SESSION_SCAN_NEEDED Gauge "sessiond_session_scan_needed" ["tenant"] "1 when WhatsApp has logged the tenant out and nobody has scanned since.";
    SESSION_LAST_STANZA Gauge "sessiond_session_last_stanza_timestamp_seconds" ["tenant"] "When WhatsApp said something last, whatever it was.";
    SESSION_MESSAGES Counter "sessiond_session_messages_total" ["tenant", "direction"] "Messages since the tenant was opened here.";
    SESSION_OUTBOX Gauge "sessiond_session_outbox_messages" ["tenant"] "Accepted messages that WhatsApp has not confirmed.";
    SESSION_OWED Gauge "sessiond_session_webhook_owed_events" ["tenant"] "Events in hand that a webhook has not taken.";
    NEW_CHATS Gauge "sessiond_new_chats_quota_ratio" ["tenant"] "Part of the new chats used that WhatsApp allows, when it was asked last.";
    TIMELOCK Gauge "sessiond_timelock_active" ["tenant"] "1 when WhatsApp kept the account from strangers, when it was asked last.";

    // Connections to WhatsApp.
    DISCONNECTS Counter "sessiond_disconnects_total" ["reason"] "Connections to WhatsApp that ended, by how.";
    RECONNECTS Counter "sessiond_reconnects_total" ["reason"] "Times that a linked session dialed again, by how its connection before had ended.";
    PAIRINGS Counter "sessiond_pairings_total" ["outcome"] "Pairings, by how they went.";

    // Messages.
    MESSAGES Counter "sessiond_messages_total" ["direction", "kind"] "Messages that were recorded; those from the tenant's own phone go out, too.";
    MESSAGE_FAILURES Counter "sessiond_message_failures_total" ["reason"] "Accepted messages that are not sent, by why.";
    DECRYPT_FAILURES Counter "sessiond_decrypt_failures_total" [] "Messages that came and could not be decrypted; the phone is asked for them.";
    MESSAGE_DURABLE Histogram(DURABLE) "sessiond_message_durable_seconds" [] "From a message's stanza until the vault has it.";
    MESSAGE_DELIVERY Histogram(DELIVERY) "sessiond_message_delivery_seconds" ["consumer"] "From recording a message until a consumer has it, for each webhook and socket; what passes between the stanza and the recording is in sessiond_message_durable_seconds alone.";
    OUTBOX Gauge "sessiond_outbox_messages" [] "Accepted messages that WhatsApp has not confirmed, of all tenants.";
    OUTBOX_OLDEST Gauge "sessiond_outbox_oldest_timestamp_seconds" [] "When the oldest of them was accepted; no series while there is none.";
    SOCKETIO_CLIENTS Gauge "sessiond_socketio_clients" [] "Sockets that have shown a key.";

    // The bot.
    BOT_TURNS Counter "sessiond_bot_turns_total" ["outcome"] "Turns that the bot has taken in a chat, by what came of them.";
    BOT_ORDERS Counter "sessiond_bot_orders_total" ["outcome"] "Orders that customers have placed with the bot, and what became of them.";
    BOT_REPLY Histogram(REPLY) "sessiond_bot_reply_seconds" [] "From recording what a customer wrote until the bot's answer to it waits to be sent.";
    MODEL_QUESTIONS Counter "sessiond_bot_model_questions_total" ["outcome"] "Sentences that the language model was to read, by what came of it.";

    // Files.
    MEDIA_FETCHES Counter "sessiond_media_fetches_total" ["outcome"] "Files that were to be fetched from WhatsApp, by what came of it.";
    MEDIA_BYTES Counter "sessiond_media_bytes_total" ["direction"] "Bytes of files fetched from WhatsApp, and sent to it.";
    MEDIA_STORED Gauge "sessiond_media_stored_bytes" [] "Bytes of files that are kept, as far as they are counted.";

    // Webhooks.
    WEBHOOKS Gauge "sessiond_webhooks" ["state"] "Webhooks by how their receivers are.";
    WEBHOOK_DELIVERIES Counter "sessiond_webhook_deliveries_total" ["outcome"] "Attempts to deliver an event, by how they ended.";
    WEBHOOK_DURATION Histogram(WEBHOOK) "sessiond_webhook_duration_seconds" [] "How long an attempt took.";
    WEBHOOK_PARKED Counter "sessiond_webhook_parked_events_total" [] "Events that a receiver refuses, or that retention took before they were delivered.";
    WEBHOOK_OWED Gauge "sessiond_webhook_owed_events" [] "Events in hand that a webhook has not taken, of all tenants.";

    // The vault.
    VAULT_UP Gauge "sessiond_vault_up" [] "0 while the vault takes nothing.";
    VAULT_OPERATIONS Counter "sessiond_vault_operations_total" ["op", "outcome"] "Questions to the vault, by how they ended.";
    VAULT_SECONDS Histogram(VAULT) "sessiond_vault_operation_seconds" ["op"] "How long the vault took.";
    VAULT_DOCUMENTS Counter "sessiond_vault_documents_total" ["op"] "Documents read, written and deleted, as Firestore bills them.";
    JOURNAL_BACKLOG Gauge "sessiond_journal_backlog" [] "Changes that the vault does not have yet, of all tenants.";

    // HTTP.
    HTTP_REQUESTS Counter "sessiond_http_requests_total" ["route", "method", "status"] "Requests that were answered, by the route in the table; without Socket.IO.";
    HTTP_DURATION Histogram(HTTP) "sessiond_http_request_duration_seconds" ["route"] "From the request to the head of its answer.";

    // The process.
    PROCESS_CPU Counter "process_cpu_seconds_total" [] "User and system time.";
    PROCESS_START Gauge "process_start_time_seconds" [] "When the process began, in seconds since 1970.";
    PROCESS_RESIDENT Gauge "process_resident_memory_bytes" [] "Resident memory.";
    PROCESS_VIRTUAL Gauge "process_virtual_memory_bytes" [] "Virtual memory.";
    PROCESS_OPEN_FDS Gauge "process_open_fds" [] "File descriptors in use.";
    PROCESS_MAX_FDS Gauge "process_max_fds" [] "The limit of file descriptors.";
    PROCESS_THREADS Gauge "process_threads" [] "Threads.";
}

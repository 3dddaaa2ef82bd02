//! Builds the library's client for one connection, and ends it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{debug, warn};
use whatsapp_rust::{
    CacheConfig, Client, ClientBuilderError, TokioRuntime,
    store::{Device, commands::DeviceCommand, persistence_manager::PersistenceManager},
    wacore::{runtime::Runtime, store::device::DevicePropsOverride},
};

use super::{frame_watch::WatchedRuntime, transport::Dialer, version::Version, web::BoundedBody, wire_gate::WireGate};
use crate::session::{
    Inner,
    app_state::first_sync::PatientRuntime,
    inbound::{hook::DurabilityHook, message_secrets::StoredMessageSecrets},
    pairing::qr_rotation::PairingRuntime,
};

/// How long the library may take to end a connection before it is aborted.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);

/// `over`: cancelled when the client is no longer used. `forgets`: drop the stored certificate and edge route, so that
/// the hello does not depend on them.
pub(super) async fn client(
    session: &Inner,
    version: Version,
    over: CancellationToken,
    paired: bool,
    forgets: bool,
) -> anyhow::Result<Arc<Client>> {
    let env = &session.env;
    let persistence = Arc::new(PersistenceManager::new(session.store.clone()).await?);
    if forgets {
        warn!(
            event = "route_forgotten",
            "WhatsApp has not answered for some time: forgetting its certificate and its route"
        );
        let forget = |device: &mut Device| (device.server_cert_chain, device.edge_routing_info) = (None, None);
        persistence.modify_device(forget).await;
    }
    let props = DevicePropsOverride::new().with_os(env.settings.device_name.clone());
    if !paired {
        persistence.process_command(DeviceCommand::SetDeviceProps(props)).await;
    }
    let hook = DurabilityHook {
        tenant: session.tenant.clone(),
        inbox: session.inbox.clone(),
        outbox: session.outbox.clone(),
        store: session.store.clone(),
        owes_acks: session.owes_acks.clone(),
        late: session.late.clone(),
        unknown_devices: session.unknown_devices.clone(),
    };
    let secrets = StoredMessageSecrets { inbox: session.inbox.clone(), outbox: session.outbox.clone() };
    let caches = CacheConfig { original_message_resolver: Some(Arc::new(secrets)), ..CacheConfig::default() };
    let gate = Arc::new(WireGate::new(session.store.clone()));
    let dialer = Dialer::new(env.endpoint.clone(), session.journal.clone(), session.line.clone(), gate.clone());
    let first_sync = session.first_sync.clone();
    let runtime: Arc<dyn Runtime> = if paired {
        Arc::new(WatchedRuntime(PatientRuntime { runtime: TokioRuntime, first_sync, over }))
    } else {
        Arc::new(WatchedRuntime(PatientRuntime { runtime: PairingRuntime, first_sync, over }))
    };
    let client = Client::builder()
        .with_runtime_arc(runtime)
        .with_persistence_manager(persistence)
        .with_transport_factory(dialer)
        .with_http_client_arc(Arc::new(BoundedBody(env.http_of(&session.tenant).clone())))
        .with_version_override(version)
        .with_inbound_durability_hook(hook)
        .with_cache_config(caches)
        .with_wanted_pre_key_count(env.settings.pre_keys)
        .with_background_saver_interval(Duration::from_secs(30))
        .build()
        .await
        .map_err(|error: ClientBuilderError| anyhow::anyhow!(error))?
        .into_client();
    gate.attach(&client);
    // Within a pairing the library restarts the connection by itself (515) and remembers that a first sync is due.
    client.enable_auto_reconnect.store(!paired, Ordering::Relaxed);
    Ok(client)
}

/// Ends the library's client for good, so that never two of them live on one store.
pub(super) async fn farewell(session: &Inner, client: &Arc<Client>, mut run: AbortOnDropHandle<()>, abrupt: bool) {
    if abrupt {
        // Not a word more to WhatsApp: the tenant is another's, or what would be said cannot be trusted.
        session.line.shut();
        run.abort();
        // Its background work ends, too: nothing of it can leave any more.
        let client = client.clone();
        session.tasks.spawn(async move {
            if timeout(FAREWELL, client.disconnect()).await.is_err() {
                debug!("the library does not end a connection that was cut");
            }
        });
    } else if timeout(FAREWELL, client.disconnect()).await.is_err() {
        warn!(event = "library_stuck", "the library does not end the connection: cutting the line");
        session.line.cut();
    }
    if !run.is_finished() && timeout(FAREWELL, &mut run).await.is_err() {
        run.abort();
    }
}

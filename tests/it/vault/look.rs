//! A tenant's state as another program reads it from the embedded vault, while the daemon has it.

use std::sync::Arc;

use rand::{SeedableRng as _, rngs::SmallRng};
use sessiond::{
    clock::SystemClock,
    journal::{self, Policy},
    seal::{Keyring, read_key_file},
    store::{key, space},
    vault::InstanceId,
};

use crate::support::{stage::Stage, vault_loss};

/// Whether the vault has the tenant's setting of this name.
pub async fn has_setting(stage: &Stage, tenant: &str, name: &str) -> bool {
    let tenant = tenant.parse().unwrap();
    let key = read_key_file(&stage.path("cloud").join("vault.key")).unwrap();
    let cx = journal::Context {
        vault: Arc::from(vault_loss::vault(stage).await),
        seal: Keyring::new(vec![key]).tenant(&tenant),
        tenant,
        writer: InstanceId("nobody".into()),
        clock: SystemClock::shared(),
        policy: Policy::default(),
        rng: SmallRng::from_os_rng(),
        expect_history: false,
        check: None,
    };
    let state = journal::look(&cx).await.unwrap();
    state.iter().any(|record| record.space == space::SETTINGS && record.key == key::text(name))
}

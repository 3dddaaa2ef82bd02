//! One device is one tenant, whoever imports it at the same time: its Signal counters have one writer. Real vaults; each import has
//! its own connection to the vault, as commands on two machines have.

use std::sync::Arc;

use sessiond::{
    clock::SystemClock,
    import::{
        CounterMargin, Finality, ImportLimits, ImportOrigin, ImportWriter, Occupancy, RefusedImport, SettledTenant,
        baileys,
    },
    journal::Policy,
    seal::Keyring,
    tenant::TenantId,
    vault::{Decision, DocumentKind, InstanceId, JournalDocument, Seq, TenantInfo, Vault},
};

use crate::{
    support::import_devices,
    vault::contract::{ContractVault, OnDisk, OnFirestore},
};

/// Devices that two imports want at once.
const ROUNDS: u64 = 12;

fn writer(vault: Arc<dyn Vault>, name: &str) -> ImportWriter {
    ImportWriter {
        vault,
        keyring: Arc::new(Keyring::new(vec!["0c".repeat(32).parse().unwrap()])),
        instance: InstanceId(name.into()),
        clock: SystemClock::shared(),
        policy: Policy::default(),
        unsearchable: Arc::default(),
    }
}

fn device(seed: u64) -> SettledTenant {
    let creds = import_devices::creds(seed, &import_devices::number(seed)).to_string();
    let copy = baileys::document::read(creds.as_bytes(), ImportOrigin::Baileys, &ImportLimits::default()).unwrap();
    copy.verify(None).unwrap();
    copy.settle(Finality::Final, CounterMargin::default())
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn is_elsewhere(result: &Result<Occupancy, RefusedImport>, than: &str) -> bool {
    matches!(result, Err(RefusedImport::DeviceElsewhere { tenant, .. }) if tenant == than)
}

async fn at_once(home: impl ContractVault) {
    let (mut both_refused, mut one_is_in) = (0, 0);
    for round in 0..ROUNDS {
        let (here, there) = (home.vault(), home.other().await);
        let (one, other) = (writer(here, "one"), writer(there, "other"));
        let copy = device(round);
        let names = [format!("one-{round}"), format!("other-{round}")];
        let tenants = names.each_ref().map(|name| tenant(name));
        let results = tokio::join!(one.write(&tenants[0], &copy), other.write(&tenants[1], &copy));
        let results = [results.0, results.1];
        match results.each_ref().map(Result::is_ok) {
            [true, true] => panic!("round {round}: two tenants have one device"),
            [false, false] => {
                both_refused += 1;
                assert!(is_elsewhere(&results[0], &names[1]) && is_elsewhere(&results[1], &names[0]), "{results:?}");
                // Neither is in the other's way afterwards.
                assert_eq!(one.write(&tenants[0], &copy).await.unwrap(), Occupancy::Free);
                assert!(is_elsewhere(&other.write(&tenants[1], &copy).await, &names[0]));
            }
            [first, _] => {
                one_is_in += 1;
                let (winner, loser) = if first { (0, 1) } else { (1, 0) };
                assert!(is_elsewhere(&results[loser], &names[winner]), "{results:?}");
            }
        }
    }
    println!("of {ROUNDS} devices: {one_is_in} came in once at once, {both_refused} after a second try");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_at_once_never_both_come_in() {
    at_once(OnDisk::new().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_imports_at_once_never_both_come_in_with_firestore() {
    let Some(home) = OnFirestore::new().await else { return };
    at_once(home).await;
}

/// What a tenant's import reads does not grow with the tenants that are there.
async fn reads_do_not_grow(home: impl ContractVault) {
    const ROUNDS: usize = 6;
    const BATCH: u64 = 8;
    let vault = home.vault();
    let import = writer(vault.clone(), "one");
    let mut reads = Vec::new();
    for round in 0..ROUNDS as u64 {
        let before = vault.usage().reads;
        for at in round * BATCH..(round + 1) * BATCH {
            assert_eq!(import.write(&tenant(&format!("t{at}")), &device(at)).await.unwrap(), Occupancy::Free);
        }
        reads.push(vault.usage().reads - before);
    }
    println!("reads of {BATCH} imports each: {reads:?}");
    assert!(reads[ROUNDS - 1] <= reads[1], "{reads:?}");
    // Whoever has the device is found whatever is said in its status; so is one whose number other hands wrote in another form.
    let said = TenantInfo { status: Some("connected".into()), ..TenantInfo::default() };
    vault.notice(&tenant("t3"), &said).await.unwrap();
    assert!(is_elsewhere(&writer(vault.clone(), "two").write(&tenant("elsewhere"), &device(3)).await, "t3"));
    let number = format!("+{}", import_devices::number(4));
    let rewritten = Decision { phone_number: Some(Some(number)), ..Decision::default() };
    let entries = vault.documents(&tenant("t4"), Seq(1)).await.unwrap();
    let last = entries.last().unwrap();
    let next = JournalDocument { seq: last.seq.next(), kind: DocumentKind::Takeover, ..last.clone() };
    vault.append(&tenant("t4"), Some(last.digest()), &[next], Some(&rewritten)).await.unwrap();
    let refused = writer(vault.clone(), "three").write(&tenant("elsewhere"), &device(4)).await;
    assert!(refused.is_err() && !matches!(refused, Err(RefusedImport::Vault(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reads_of_an_import_do_not_grow_with_the_tenants() {
    reads_do_not_grow(OnDisk::new().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reads_of_an_import_do_not_grow_with_the_tenants_with_firestore() {
    let Some(home) = OnFirestore::new().await else { return };
    reads_do_not_grow(home).await;
}

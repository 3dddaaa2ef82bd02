//! Each home of the vault keeps these promises of the processes on it: instances, letters, the check value, and what is counted.

use bytes::Bytes;
use sessiond::vault::{Decision, Instance, InstanceId, MAX_PAYLOAD, Seq, TenantInfo};
use tokio::task::JoinSet;

use super::{ContractVault, at, contract, document, instance, is_refused, tenant};

contract! {
    instances_come_and_go
    letters_come_and_go
    the_check_value_is_made_once
    usage_counts_documents
}

async fn instances_come_and_go(home: &dyn ContractVault) {
    let vault = home.vault();
    assert_eq!(vault.instances().await.unwrap(), []);
    let mut one = instance("one");
    let (address, process) = (Some("http://10.0.0.2:8080".into()), Some("this machine, that process".into()));
    let listens_at = Some("[fd12::7]:3001".into());
    let two = Instance { address, listens_at, process, ..instance("two") };
    vault.put_instance(&two).await.unwrap();
    vault.put_instance(&one).await.unwrap();
    assert_eq!(vault.instances().await.unwrap(), [one.clone(), two.clone()]);
    one = Instance { heartbeat_at: at(120), draining: true, ..one };
    vault.put_instance(&one).await.unwrap();
    assert_eq!(vault.instances().await.unwrap(), [one.clone(), two.clone()]);
    for _ in 0..2 {
        vault.remove_instance(&two.id).await.unwrap();
        assert_eq!(home.other().await.instances().await.unwrap(), [one.clone()]);
    }
}

/// One of each process to each other, the newest, whoever has a record.
async fn letters_come_and_go(home: &dyn ContractVault) {
    let (vault, other) = (home.vault(), home.other().await);
    let [one, two, odd] = ["one", "two", "49170@s.whatsapp.net:5 ä%2f"].map(|id| InstanceId(id.into()));
    assert_eq!(vault.letters(&one).await.unwrap(), []);
    vault.put_letter(&two, &one, "first".into()).await.unwrap();
    other.put_letter(&odd, &one, "from somebody odd".into()).await.unwrap();
    other.put_letter(&one, &two, "back".into()).await.unwrap();
    vault.put_letter(&two, &one, "second".into()).await.unwrap();
    let to_one = [(odd.clone(), "from somebody odd".into()), (two.clone(), "second".into())];
    assert_eq!(other.letters(&one).await.unwrap(), to_one);
    assert_eq!(other.letters(&odd).await.unwrap(), []);
    for _ in 0..2 {
        vault.remove_letter(&odd, &one).await.unwrap();
        assert_eq!(other.letters(&one).await.unwrap(), to_one[1..]);
    }
    // Letters to a process go with its record, those of it stay.
    vault.put_instance(&instance("one")).await.unwrap();
    vault.remove_instance(&one).await.unwrap();
    assert_eq!((other.letters(&one).await.unwrap(), other.letters(&two).await.unwrap().len()), (Vec::new(), 1));
    let large = Bytes::from(vec![7; MAX_PAYLOAD]);
    vault.put_letter(&one, &two, large.clone()).await.unwrap();
    assert_eq!(other.letters(&two).await.unwrap(), [(one.clone(), large)]);
    is_refused(vault.put_letter(&one, &two, vec![7; MAX_PAYLOAD + 1].into()).await);
    is_refused(vault.put_letter(&InstanceId("a/b".into()), &two, Bytes::new()).await);
}

async fn the_check_value_is_made_once(home: &dyn ContractVault) {
    let vault = home.vault();
    vault.ping().await.unwrap();
    assert_eq!(vault.check_value().await.unwrap(), None);
    let mut racers = JoinSet::new();
    for racer in 0..8u8 {
        let vault = vault.clone();
        racers.spawn(async move { vault.create_check_value(vec![racer; 40].into()).await.unwrap().then_some(racer) });
    }
    let winners: Vec<u8> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(home.other().await.check_value().await.unwrap(), Some(vec![winners[0]; 40].into()));
    vault.ping().await.unwrap();
    let (old, new) = (Bytes::from(vec![winners[0]; 40]), Bytes::from_static(b"sealed with another key"));
    assert!(!vault.replace_check_value(new.clone(), old.clone()).await.unwrap(), "it is not that one");
    assert_eq!(vault.check_value().await.unwrap(), Some(old.clone()));
    assert!(vault.replace_check_value(old.clone(), new.clone()).await.unwrap());
    assert!(!vault.replace_check_value(old, new.clone()).await.unwrap(), "it was that one before");
    assert_eq!(home.other().await.check_value().await.unwrap(), Some(new.clone()));
    // By which a file knows itself: it is no other vault's now.
    vault.put_instance(&instance("a")).await.unwrap();
    assert_eq!(vault.check_value().await.unwrap(), Some(new));
}

async fn usage_counts_documents(home: &dyn ContractVault) {
    let (vault, id) = (home.vault(), tenant("a"));
    vault.notice(&id, &TenantInfo { status: Some("x".into()), ..TenantInfo::default() }).await.unwrap();
    let start = vault.usage();
    let decision = Decision { whatsapp_connected: Some(true), ..Decision::default() };
    vault.append(&id, None, &[document(1, "x"), document(2, "x")], Some(&decision)).await.unwrap();
    vault.append(&id, None, &[document(2, "x")], None).await.unwrap_err();
    vault.documents(&id, Seq(1)).await.unwrap();
    vault.document(&id, Seq(9)).await.unwrap();
    vault.remove_documents(&id, &[Seq(1)]).await.unwrap();
    vault.put_instance(&instance("i")).await.unwrap();
    let end = vault.usage();
    let spent = [end.reads - start.reads, end.writes - start.writes, end.deletes - start.deletes];
    assert_eq!(spent, [3, 4, 1]);
}

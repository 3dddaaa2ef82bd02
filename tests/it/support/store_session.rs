//! The session above the store, as far as the store sees it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use sessiond::store::{CopyFailure, OwnAccount, Store, StoreCallbacks};
use whatsapp_rust::{
    wacore::store::{Device, traits::DeviceStore},
    waproto::whatsapp::ADVSignedDeviceIdentity,
};

use crate::support::store_world::World;

/// As the library has it when it answers `pair-success`.
pub fn paired(mut device: Device) -> Device {
    device.pn = Some("5511987650001:7@s.whatsapp.net".parse().unwrap());
    device.lid = Some("100000012345678:7@lid".parse().unwrap());
    device.account = Some(Arc::new(ADVSignedDeviceIdentity::default()));
    device
}

/// A session as the store sees it: it saves a device when it is asked to, and hears what was lost.
pub struct Session {
    store: Arc<Store>,
    device: Device,
    pub asked: AtomicUsize,
    pub lost: Mutex<Vec<String>>,
    pub failures: Mutex<Vec<CopyFailure>>,
}

impl Session {
    pub fn attach(world: &World, device: Device) -> Arc<Self> {
        let session = Arc::new(Self {
            store: world.store.clone(),
            device,
            asked: AtomicUsize::new(0),
            lost: Mutex::default(),
            failures: Mutex::default(),
        });
        world.store.attach(&(session.clone() as Arc<dyn StoreCallbacks>));
        session
    }
}

#[async_trait]
impl StoreCallbacks for Session {
    async fn save_device(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.store.save(&self.device).await.unwrap();
    }

    async fn another_account(&self, _: &OwnAccount) -> bool {
        false
    }

    async fn pairing(&self, _: &OwnAccount) {}

    fn copy_failed(&self, failure: &CopyFailure) {
        self.failures.lock().unwrap().push(failure.clone());
    }

    fn lost_inbound(&self, chat: &str, sender: &str, id: &str) {
        self.lost.lock().unwrap().push(format!("{chat} {sender} {id}"));
    }

    fn app_state_key_came(&self) {}

    fn met(&self, _: &str, _: &str) {}
}

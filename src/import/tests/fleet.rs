//! The old service's database, as a fleet moves: most are whole, some are broken, each in its own way.

use serde_json::json;

use super::*;
use crate::import::baileys::realtime;

#[test]
fn five_broken_tenants_of_fifty_are_named() {
    let creds = value(&files(BAILEYS_7), "creds.json");
    let other = value(&files(BAILEYS_6), "creds.json");
    let mut tenants = serde_json::Map::new();
    for at in 0..50 {
        let mut creds = creds.clone();
        let session = match at {
            7 => json!({ "creds": creds.to_string()[..900] }),
            17 => {
                creds["account"] = other["account"].clone();
                json!({ "creds": creds })
            }
            27 => {
                creds.as_object_mut().expect("creds").remove("me");
                json!({ "creds": creds })
            }
            37 => json!({ "creds": other }),
            // The database keeps no empty objects.
            47 => Value::Null,
            _ => json!({ "creds": creds, "savedAt": at }),
        };
        let mut tenant = json!({ "baileys_session": session, "restaurant": { "whatsappConnected": true } });
        tenant.as_object_mut().expect("a tenant").retain(|_, value| !value.is_null());
        tenants.insert(format!("t{at:02}"), tenant);
    }
    let text = json!({ "tenants": tenants }).to_string();
    let (found, result) =
        collect(|take| realtime::read(text.as_bytes(), ImportOrigin::RealtimeDatabase, &ImportLimits::default(), take));
    result.expect("an export");
    assert_eq!(found.len(), 50);
    let mut broken = Vec::new();
    for tenant in found {
        if let Err(error) = tenant.copy.and_then(|copy| copy.verify(Some("4915000000000"))) {
            broken.push(format!("{}: {error}", tenant.name));
        }
    }
    assert_eq!(
        broken,
        [
            "t07: creds is no JSON (line 1, column 900)",
            "t17: the copy is not whole: the account did not sign this device",
            "t27: this device was never paired: me.id is missing",
            "t37: the copy is not whole: it is of the number 4915000000005, not of 4915000000000",
            "t47: the credentials are missing",
        ]
    );
}

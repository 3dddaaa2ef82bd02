//! The Realtime Database and Firestore.

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::{
    import::baileys::{firestore, realtime},
    journal::Record,
    store::{key, space},
};

fn newest(export: &Value) -> (Vec<SourceTenant>, Result<(), ImportError>) {
    let source = std::io::Cursor::new(export.to_string());
    collect(|take| realtime::read_newest(source, ImportOrigin::RealtimeDatabase, &ImportLimits::default(), take))
}

fn realtime(text: &str) -> (Vec<SourceTenant>, Result<(), ImportError>) {
    collect(|take| realtime::read(text.as_bytes(), ImportOrigin::RealtimeDatabase, &ImportLimits::default(), take))
}

/// The database drops what is empty, and its REST gives arrays that are full enough as arrays.
fn session() -> Value {
    let mut session = whole(&files(BAILEYS_7));
    session["keys"].as_object_mut().expect("keys").retain(|name, _| !name.contains(['.', '@']));
    session["updatedAt"] = json!(1_790_000_000_000_i64);
    session
}

#[test]
fn every_part_of_the_tree_may_be_exported() {
    let session = session();
    let tenant = json!({
        "baileys_session": session,
        "menu": { "0": { "name": "Pizza" }, "creds": null },
        "restaurant": { "name": "Trattoria", "whatsappConnected": true, "logo": "x".repeat(1000) },
    });
    for (export, name, connected) in [
        (json!({ "orders": [1, { "a": [2] }], "tenants": { "t1": tenant }, "users": { "x": true } }), "t1", Some(true)),
        (
            json!({ "tenants": { "t1": { "baileys_session": session, "restaurant": { "whatsappConnected": "yes" } } } }),
            "t1",
            None,
        ),
        (json!({ "t1": tenant }), "t1", Some(true)),
        (tenant.clone(), "", Some(true)),
        (json!({ "baileys_sessions": { "t2": session } }), "t2", None),
        (json!({ "t2": session }), "t2", None),
        (session.clone(), "", None),
    ] {
        let (found, result) = realtime(&export.to_string());
        result.expect("an export");
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!((found[0].name.as_str(), found[0].connected), (name, connected));
        let copy = found[0].copy.as_ref().expect("a copy");
        copy.verify(Some("4915000000000")).expect("whole");
        assert_eq!(copy.pre_keys.len(), 7);
    }
}

/// It is beside the session in the tree, before it or after it, and belongs to that tenant alone.
#[test]
fn an_export_says_whose_a_session_is() {
    let session = json!({ "creds": value(&files(BAILEYS_7), "creds.json"), "updatedAt": 1 });
    let stated = |number: Value| json!({ "baileys": { "connected": true, "phoneNumber": number }, "note": "x" });
    let tenant = |number: &str| json!({ "baileys_session": session, "whatsapp": stated(json!(number)) });
    let mut without = tenant("");
    without["whatsapp"] = stated(Value::Null);
    let tenants = json!({
        "a": tenant("4915000000000"),
        "b": tenant("not a number"),
        "c": without,
        "d": tenant("4915000000099"),
        "e": { "baileys_session": session },
        "whatsapp": tenant("4915000000077"),
    });
    let expected = [
        ("a", Some("4915000000000")),
        ("b", None),
        ("c", None),
        ("d", Some("4915000000099")),
        ("e", None),
        ("whatsapp", Some("4915000000077")),
    ];
    for export in [json!({ "tenants": tenants }), json!({ "above": { "all": { "tenants": tenants } } })] {
        for (found, result) in [realtime(&export.to_string()), newest(&export)] {
            result.expect("an export");
            let told: Vec<_> = found.iter().map(|tenant| (tenant.name.as_str(), tenant.number.as_deref())).collect();
            assert_eq!(told, expected);
        }
    }
    // Said in the new place, it is said of the copy in the older one as well.
    let export = json!({
        "baileys_sessions": { "t": session },
        "tenants": { "t": { "whatsapp": stated(json!("4915000000099")), "restaurant": { "whatsappConnected": true } } },
    });
    let (found, _) = newest(&export);
    assert_eq!((found.len(), found[0].number.as_deref()), (1, Some("4915000000099")));
}

#[test]
fn creds_alone_are_what_the_old_service_kept() {
    let creds = value(&files(BAILEYS_7), "creds.json");
    let (found, result) =
        realtime(&json!({ "tenants": { "t": { "baileys_session": { "creds": creds, "savedAt": 1 } } } }).to_string());
    result.expect("an export");
    assert!(found[0].copy.as_ref().is_ok_and(|copy| copy.pre_keys.is_empty() && copy.sessions.is_empty()));
}

/// A root export has the place of today and the one before it; the older place comes first.
#[test]
fn of_two_copies_of_a_tenant_the_newest_counts() {
    let (seven, six) = (session(), whole(&files(BAILEYS_6)));
    let at = |session: &Value, times: Value| {
        let mut session = session.clone();
        session.as_object_mut().expect("a session").remove("updatedAt");
        session.as_object_mut().expect("a session").extend(times.as_object().expect("times").clone());
        session
    };
    let (early, late) =
        (json!({ "savedAt": 1_790_000_000_000_i64 }), json!({ "updatedAt": "2026-10-01T10:00:00.000Z" }));
    let export = |older_place: Value, newer_place: Value, connected: bool| {
        json!({
            "baileys_sessions": { "t": older_place, "alone": at(&seven, json!({})) },
            "tenants": { "t": { "baileys_session": newer_place, "restaurant": { "whatsappConnected": connected } } },
        })
    };
    let told = |export: &Value| {
        let (found, result) = newest(export);
        result.expect("an export");
        let of_t = found.into_iter().filter(|tenant| tenant.name == "t");
        let told = of_t.map(|tenant| (tenant.connected, tenant.copy.map(|copy| copy.number().to_owned())));
        told.map(|(connected, copy)| (connected, copy.unwrap_or_else(|error| error.code().to_owned())))
            .collect::<Vec<_>>()
    };
    let (number_7, number_6, older) = ("4915000000000".to_owned(), "4915000000005".to_owned(), "older_copy".to_owned());
    let is = |connected: bool, of: &String| (Some(connected), of.clone());
    // Whichever place it is in.
    assert_eq!(
        told(&export(at(&six, early.clone()), at(&seven, late.clone()), true)),
        [is(true, &older), is(true, &number_7)]
    );
    assert_eq!(
        told(&export(at(&six, late.clone()), at(&seven, early.clone()), true)),
        [is(true, &number_6), is(true, &older)]
    );
    // What the new place says of the tenant counts for both.
    assert_eq!(told(&export(at(&six, late.clone()), at(&seven, early.clone()), false))[0], is(false, &number_6));
    // Nobody knows: none.
    for (one, other) in [(json!({}), late.clone()), (late.clone(), json!({})), (early.clone(), early.clone())] {
        assert_eq!(told(&export(at(&six, one), at(&seven, other), true)), [is(true, &"twice_in_source".to_owned())]);
    }
    // A newest copy that is broken does not make room for an older one.
    let broken = at(&json!({ "creds": { "noiseKey": 1 } }), late);
    assert_eq!(
        told(&export(at(&six, early), broken, true)),
        [is(true, &older), is(true, &"damaged_credentials".to_owned())]
    );
    // A place without credentials is no copy.
    let export = json!({
        "baileys_sessions": { "t": six },
        "tenants": { "t": { "restaurant": { "whatsappConnected": true } } },
    });
    assert_eq!(told(&export), [is(true, &number_6)]);
    // What is missing may be newer.
    let text = export.to_string();
    let cut = std::io::Cursor::new(&text[..text.len() - 20]);
    let (found, result) =
        collect(|take| realtime::read_newest(cut, ImportOrigin::RealtimeDatabase, &ImportLimits::default(), take));
    assert!(found.is_empty() && matches!(result, Err(ImportError::Json { .. })), "{result:?}");
}

#[test]
fn an_export_without_tenants_is_an_error() {
    for export in [json!({}), json!({ "tenants": {} }), json!({ "orders": [1], "users": { "x": true } })] {
        let (found, result) = realtime(&export.to_string());
        assert!(found.is_empty() && matches!(result, Err(ImportError::NoCredentials)), "{export}: {result:?}");
    }
}

#[test]
fn a_cut_export_gives_what_came_before() {
    let session = session();
    let export =
        json!({ "tenants": { "a": { "baileys_session": session }, "b": { "baileys_session": session } } }).to_string();
    let (found, result) = realtime(&export[..export.len() - 600]);
    assert!(matches!(result, Err(ImportError::Json { what: "the export", .. })), "{result:?}");
    assert_eq!(found.iter().map(|tenant| tenant.name.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_tenant_that_is_too_large_costs_itself() {
    let session = session();
    let mut bomb = session.clone();
    bomb["keys"]["pre-key-9"] = json!({ "x": vec![Value::Null; 20_000] });
    let mut deep = json!(1);
    for _ in 0..80 {
        deep = json!([deep]);
    }
    let export = json!({ "tenants": {
        "a": { "baileys_session": bomb },
        "b": { "baileys_session": session },
        "c": { "baileys_session": { "creds": deep } },
        "d": { "baileys_session": session },
    } });
    let limits = ImportLimits { values: 10_000, ..ImportLimits::default() };
    let text = export.to_string();
    let (found, result) =
        collect(|take| realtime::read(text.as_bytes(), ImportOrigin::RealtimeDatabase, &limits, take));
    result.expect("the rest is readable");
    for tenant in &found {
        match tenant.name.as_str() {
            "a" | "c" => assert!(matches!(tenant.copy, Err(ImportError::TooLarge { .. })), "{tenant:?}"),
            _ => assert!(tenant.copy.is_ok(), "{tenant:?}"),
        }
    }
    assert_eq!(found.len(), 4);
    let few = ImportLimits { tenants: 2, ..ImportLimits::default() };
    let (found, result) = collect(|take| realtime::read(text.as_bytes(), ImportOrigin::RealtimeDatabase, &few, take));
    assert!(found.len() == 2 && matches!(result, Err(ImportError::TooLarge { .. })));
    let short = ImportLimits { source_bytes: 1_000, ..ImportLimits::default() };
    let (_, result) = collect(|take| realtime::read(text.as_bytes(), ImportOrigin::RealtimeDatabase, &short, take));
    assert!(matches!(result, Err(ImportError::TooLarge { .. })), "{result:?}");
}

#[test]
fn the_hydrators_names_are_taken_for_what_they_are() {
    let mut session = session();
    let keys = session["keys"].as_object().expect("keys").clone();
    session["keys"] = keys.into_iter().map(|(name, key)| (format!("app-state-sync-key-{name}"), key)).collect();
    let (found, result) = realtime(&json!({ "t": session }).to_string());
    result.expect("an export");
    let copy = found[0].copy.as_ref().expect("a copy");
    assert_eq!((copy.pre_keys.len(), copy.sync_keys.len()), (7, 1));
}

/// A value as Firestore's REST interface writes it; bytes as bytes.
fn typed(node: &Value) -> Value {
    match node {
        Value::Null => json!({ "nullValue": null }),
        Value::Bool(flag) => json!({ "booleanValue": flag }),
        Value::Number(number) => json!({ "integerValue": number.to_string() }),
        Value::String(text) => json!({ "stringValue": text }),
        Value::Array(items) => json!({ "arrayValue": { "values": items.iter().map(typed).collect::<Vec<_>>() } }),
        Value::Object(fields) if fields.get("type") == Some(&json!("Buffer")) => {
            json!({ "bytesValue": fields["data"] })
        }
        Value::Object(fields) => {
            let fields: serde_json::Map<_, _> = fields.iter().map(|(name, node)| (name.clone(), typed(node))).collect();
            json!({ "mapValue": { "fields": fields } })
        }
    }
}

#[test]
fn documents_of_firestore_in_both_shapes_of_their_keys() {
    let store = files(BAILEYS_6);
    let folder = read(&store).expect("a copy");
    let whole = whole(&store);
    let mut nested = serde_json::Map::new();
    nested.insert("creds".to_owned(), typed(&whole["creds"]));
    nested.insert("keys".to_owned(), typed(&whole["keys"]));
    nested.insert("savedAt".to_owned(), json!({ "timestampValue": "2026-02-01T10:00:00Z" }));
    let mut dotted = nested.clone();
    dotted.remove("keys");
    for (name, key) in whole["keys"].as_object().expect("keys") {
        dotted.insert(format!("keys.{name}"), typed(key));
    }
    let named = |id: &str, fields: &serde_json::Map<String, Value>| {
        json!({ "name": format!("projects/p/databases/(default)/documents/baileys_sessions/{id}"), "fields": fields,
                "createTime": "2026-01-01T00:00:00Z" })
    };
    let (one, two) = (named("one", &nested), named("two", &dotted));
    for (text, names) in [
        (one.to_string(), vec!["one"]),
        (json!({ "documents": [one, two], "nextPageToken": "x" }).to_string(), vec!["one", "two"]),
        (json!([{ "document": two, "readTime": "x" }, { "readTime": "x" }]).to_string(), vec!["two"]),
    ] {
        let (found, result) = collect(|take| firestore::read(text.as_bytes(), &ImportLimits::default(), take));
        result.expect("documents");
        assert_eq!(found.iter().map(|tenant| tenant.name.as_str()).collect::<Vec<_>>(), names);
        for tenant in &found {
            assert_same(tenant.copy.as_ref().expect("a copy"), &folder);
        }
    }
    let (_, result) = collect(|take| firestore::read(br#"{"a":1}"#.as_slice(), &ImportLimits::default(), take));
    assert!(matches!(result, Err(ImportError::OtherFormat(_))));
}

/// A restaurant as the old service's pages write it.
fn restaurant() -> Value {
    json!({
        "baileys_session": { "creds": value(&files(BAILEYS_7), "creds.json"), "updatedAt": 1 },
        "bot": { "config": { "active": true, "lastUpdated": 1 }, "messages": { "welcome": "x" }, "quickOrderMode": true },
        "config": {
            "businessHours": { "enabled": true, "timezone": "America/Bogota", "schedule": {
                "monday": { "active": true, "open": "11:00", "close": "22:30" }, "sunday": { "active": false },
            } },
            "deliveryCost": { "cost": 5000, "freeDeliveryMin": 0 },
            "deliveryTime": { "min": 30, "max": "45" },
        },
        "menu": { "items": {
            "-Na": { "id": "a1", "name": "Ajiaco", "price": 24000, "category": "Sopas", "description": "x", "available": false },
            "-Nb": { "name": " Limonada", "price": "6000" },
            "-Nc": { "name": "Sin precio" },
            "-Nd": { "id": "a1", "name": "Dos veces", "price": 1 },
        } },
        "restaurant": { "name": " Trattoria ", "whatsappConnected": true },
    })
}

#[test]
fn a_restaurants_menu_hours_and_switches_come_with_its_session() {
    let restaurant = restaurant();
    for (export, name) in [
        (json!({ "tenants": { "t": restaurant }, "config": { "deliveryTime": { "min": 1, "max": 2 } } }), "t"),
        // A tenant may be called whatever a place is called.
        (json!({ "tenants": { "menu": restaurant } }), "menu"),
        (json!({ "t": restaurant }), "t"),
        (restaurant.clone(), ""),
    ] {
        let (mut found, result) = newest(&export);
        result.expect("an export");
        assert_eq!((found.len(), found[0].name.as_str()), (1, name));
        let copy = found.remove(0).copy.expect("a copy");
        let menu = copy.restaurant.menu.as_ref().expect("a menu");
        let dishes: Vec<_> = menu
            .items
            .iter()
            .map(|dish| (dish.id.as_str(), dish.name.as_str(), dish.price.amount(), dish.available))
            .collect();
        assert_eq!(dishes, [("a1", "Ajiaco", 24_000, false), ("-Nb", "Limonada", 6_000, true)]);
        let settings = copy.restaurant.settings.as_ref().expect("settings");
        assert!(settings.active && settings.quick_order_mode && settings.name == "Trattoria");
        let hours = settings.business_hours.as_ref().expect("hours");
        assert_eq!((hours.schedule["monday"].open.as_str(), hours.schedule["sunday"].active), ("11:00", false));
        assert_eq!(settings.delivery_time.map(|time| (time.min, time.max)), Some((30, 45)));
        let cost = settings.delivery_cost.expect("a cost");
        assert_eq!((cost.cost.amount(), cost.free_delivery_min), (5_000, None));
        let problems: Vec<_> = copy.tally.problems.iter().map(|problem| problem.entry.as_str()).collect();
        assert_eq!(problems, ["-Nc", "-Nd"], "no price; another dish's id");

        let mut report = ImportReport::new("t", None, ImportOutcome::Importable);
        report.describe(&copy, Finality::Final);
        assert!(report.to_string().contains(", dishes 2, settings 6, bot on\n"), "{report}");
        assert_eq!(json!(report)["bot_on"], json!(true));
    }
}

#[test]
fn what_an_owner_has_written_here_stays_and_receipts_are_as_builds_before_read_them() {
    let (mut found, _) = newest(&json!({ "tenants": { "t": restaurant() } }));
    let settled = found.remove(0).copy.expect("a copy").settle(Finality::Final, CounterMargin::default());
    let record = |name: &str| Record { space: space::BOT, key: key::text(name), value: b"{}".to_vec().into() };
    for (state, expected) in [
        (vec![], vec!["menu", "settings", "place"]),
        (vec![record("menu")], vec!["settings", "place"]),
        (vec![record("settings"), record("place")], vec!["menu"]),
    ] {
        let entry = TenantEntry::new(&settled, &state, &[], Timestamp::UNIX_EPOCH).expect("an entry");
        let written = entry.changes.iter().filter(|change| change.space == space::BOT);
        let written: Vec<_> = written.map(|change| change.key.clone()).collect();
        assert_eq!(written, expected.iter().map(|name| key::text(name)).collect::<Vec<_>>());
        let receipt = entry.changes.iter().find(|change| *change.key == *key::text("session/import"));
        let receipt = receipt.and_then(|change| change.value.clone()).expect("a receipt");
        let receipt: Value = serde_json::from_slice(&receipt).expect("JSON");
        let kinds: Vec<_> = receipt["entries"].as_object().expect("counts").keys().collect();
        assert!(!kinds.iter().any(|kind| ["menu_item", "bot_setting"].contains(&kind.as_str())), "{kinds:?}");
    }
}

#[test]
fn a_setting_that_is_not_whole_costs_itself_and_the_bot_stays_off() {
    let mut tenant = restaurant();
    tenant["bot"] = json!({ "messages": { "welcome": "x" } });
    tenant["restaurant"] = json!({ "name": "x".repeat(300), "whatsappConnected": true });
    tenant["config"] = json!({ "businessHours": { "enabled": true }, "deliveryTime": { "min": 50, "max": 10 } });
    tenant["menu"]["items"]["-Na"]["description"] = json!("x".repeat(2 << 20));
    let (mut found, result) = newest(&json!({ "tenants": { "t": tenant } }));
    result.expect("an export");
    let copy = found.remove(0).copy.expect("a copy");
    assert_eq!(copy.restaurant, RestaurantCopy::default());
    let problems: Vec<_> = copy.tally.problems.iter().map(|problem| problem.entry.as_str()).collect();
    assert_eq!(problems, ["menu/items", "restaurant/name", "config/businessHours", "config/deliveryTime"]);
}

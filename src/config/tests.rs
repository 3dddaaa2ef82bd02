use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use super::{
    Advertise, Config, Credentials, MediaHome, Origins, PerTenant, VaultHome, is_reloadable, source::SettingTable,
};
use crate::telemetry::alerts::{AlertCondition, AlertLanguage};

fn load(variables: &[(&str, &str)], file: Option<&str>) -> Result<Config, Vec<String>> {
    let environment = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessiond.toml");
    if let Some(text) = file {
        fs::write(&path, text).unwrap();
    }
    Config::from_parts(file.map(|_| path.as_path()), &environment)
        .map_err(|mistakes| mistakes.0.into_iter().map(|m| format!("{}: {}", m.key, m.expected)).collect())
}

#[test]
fn the_defaults_start_on_the_embedded_vault() {
    let config = load(&[], None).unwrap();
    assert_eq!(config.http.listen, "0.0.0.0:3000".parse().unwrap());
    assert!(
        matches!(config.vault.home, VaultHome::Embedded { path, shared: false } if path == Path::new("data/vault.db"))
    );
    assert_eq!(config.restore.deadline, Duration::from_secs(240));
    assert_eq!(config.heartbeat.interval, Duration::from_secs(120));
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let file = "[restore]\nbatch_size = 7\n[heartbeat]\ninterval = \"1m\"\n";
    let config = load(&[("SESSIOND_RESTORE__BATCH_SIZE", "9"), ("PORT", "8080")], Some(file)).unwrap();
    assert_eq!(config.restore.batch_size, 9);
    assert_eq!(config.heartbeat.interval, Duration::from_secs(60));
    assert_eq!(config.http.listen.port(), 8080);
}

#[test]
fn kubernetes_variables_of_a_service_of_our_name_are_no_settings() {
    let variables = [
        ("SESSIOND_PORT", "tcp://10.96.0.7:80"),
        ("SESSIOND_PORT_80_TCP_ADDR", "10.96.0.7"),
        ("SESSIOND_SERVICE_HOST", "10.96.0.7"),
        ("SESSIOND_SERVICE_PORT_HTTP", "80"),
        ("SESSIOND_API_SERVICE_HOST", "10.96.0.8"),
        ("SESSIOND_API_PORT", "tcp://10.96.0.8:80"),
    ];
    assert!(load(&variables, None).is_ok());
    for mistaken in [("SESSIOND_SERVICE__HOST", "x"), ("SESSIOND_PORT", "8080")] {
        assert!(load(&[mistaken], None).is_err(), "{mistaken:?}");
    }
}

#[test]
fn all_mistakes_are_listed_together() {
    let file = "nonsense = 1\n[restore]\nbatch_size = \"five\"\ndeadline = \"soon\"\n[vault]\nkind = \"cloud\"\n";
    let variables = [("SESSIOND_HTTP__LISTEN", "nowhere"), ("SESSIOND_TYPO", "x"), ("SESSIOND_ADMIN_KEY", "short")];
    let mistakes = load(&variables, Some(file)).unwrap_err();
    for key in
        ["nonsense", "restore.batch_size", "restore.deadline", "vault.kind", "http.listen", "typo", "auth.admin_key"]
    {
        assert!(mistakes.iter().any(|m| m.starts_with(key)), "{key} in {mistakes:#?}");
    }
    assert_eq!(mistakes.len(), 7, "{mistakes:#?}");
}

#[test]
fn what_would_start_and_not_work_is_a_mistake() {
    for (variable, value, key) in [
        ("RUST_LOG", "warning", "log.filter"),
        ("SESSIOND_LOG__FILTER", "bogus", "log.filter"),
        ("SESSIOND_ADMIN_KEY", "contraseñacontraseña", "auth.admin_key"),
        ("SESSIOND_ADMIN_KEY", "sixteen characters ", "auth.admin_key"),
        ("SESSIOND_METRICS__LISTEN", "127.0.0.1:3000", "metrics.listen"),
        ("SESSIOND_METRICS__LISTEN", "[::]:3000", "metrics.listen"),
        ("SESSIOND_CLUSTER__LISTEN", "127.0.0.1:3000", "cluster.listen"),
        ("SESSIOND_WHATSAPP__ENDPOINT", "http://foo", "whatsapp.endpoint"),
    ] {
        let mistakes = load(&[(variable, value)], None).unwrap_err();
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(key)), "{variable}={value}: {mistakes:?}");
    }
    for (variable, value) in [
        ("RUST_LOG", "info, sessiond=debug"),
        ("SESSIOND_ADMIN_KEY", "sixteen or more characters"),
        ("SESSIOND_METRICS__LISTEN", "127.0.0.1:3001"),
        ("SESSIOND_METRICS__LISTEN", "127.0.0.1:0"),
        ("SESSIOND_METRICS__LISTEN", "[::1]:3000"),
    ] {
        assert!(load(&[(variable, value)], None).is_ok(), "{variable}={value}");
    }
}

#[test]
fn firestore_asks_for_a_master_key_and_an_admin_key() {
    let mistakes =
        load(&[("FIRESTORE_PROJECT_ID", "demo"), ("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")], None).unwrap_err();
    assert_eq!(mistakes.len(), 2, "{mistakes:#?}");
    let key = "00".repeat(32);
    let config = load(
        &[
            ("FIRESTORE_PROJECT_ID", "demo"),
            ("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1"),
            ("SESSIOND_MASTER_KEY", &key),
            ("SESSIOND_ADMIN_KEY", "0123456789abcdef"),
        ],
        None,
    )
    .unwrap();
    assert!(matches!(config.vault.home, VaultHome::Firestore { credentials: Credentials::Emulator(_), .. }));
    // Only there a write costs money.
    assert_eq!(config.vault.writes_per_minute.map(u32::from), Some(3000));
    assert_eq!(load(&[], None).unwrap().vault.writes_per_minute, None);
}

#[test]
fn a_service_account_names_the_project() {
    let account = BASE64.encode(r#"{"type":"service_account","project_id":"from-key"}"#);
    let config = load(
        &[
            ("FIREBASE_SERVICE_ACCOUNT_KEY", account.as_str()),
            ("SESSIOND_MASTER_KEY", &"5a".repeat(32)),
            ("SESSIOND_ADMIN_KEY", "0123456789abcdef"),
        ],
        None,
    )
    .unwrap();
    assert!(matches!(config.vault.home, VaultHome::Firestore { project, .. } if project == "from-key"));
}

#[test]
fn a_throwaway_disk_needs_embedded_by_name() {
    assert!(load(&[("RAILWAY_ENVIRONMENT", "production")], None).is_err());
    assert!(load(&[("RAILWAY_ENVIRONMENT", "production"), ("SESSIOND_VAULT__KIND", "embedded")], None).is_ok());
    assert!(load(&[("RAILWAY_ENVIRONMENT", "p"), ("RAILWAY_VOLUME_MOUNT_PATH", "/data")], None).is_ok());
}

#[test]
fn outbound_requests_stay_on_the_public_internet_unless_it_is_said() {
    let to = |address: &str| address.parse::<std::net::IpAddr>().unwrap();
    assert!(!load(&[], None).unwrap().outbound.allow.admits("x", to("10.0.0.1")));
    let config = load(&[("SESSIOND_OUTBOUND__ALLOW", "10.0.0.0/8,internal.example")], None).unwrap();
    assert!(config.outbound.allow.admits("x", to("10.0.0.1")) && !config.outbound.allow.admits("x", to("127.0.0.1")));
    assert!(config.outbound.allow.names("internal.example"));
    let mistakes = load(&[("SESSIOND_OUTBOUND__ALLOW", "10.0.0.0/8,http://x")], None).unwrap_err();
    assert!(mistakes.len() == 1 && mistakes[0].starts_with("outbound.allow"), "{mistakes:?}");
}

#[test]
fn doors_are_shut_by_default_and_opened_by_exact_words() {
    let shut = load(&[], None).unwrap();
    assert!(matches!(&shut.http.origins, Origins::These(origins) if origins.is_empty()));
    assert!(!shut.auth.legacy_open && shut.auth.firebase.is_none() && shut.http.proxies.trusted.is_empty());
    let open = load(
        &[
            ("SESSIOND_HTTP__CORS_ORIGINS", "https://kdsapp.site, http://localhost:5000"),
            ("SESSIOND_HTTP__TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1,2001:db8::/32"),
            ("SESSIOND_AUTH__FIREBASE_PROJECT", "demo-kds"),
            ("SESSIOND_LIMITS__SENDING_PER_KEY", "0"),
        ],
        None,
    )
    .unwrap();
    assert!(matches!(&open.http.origins, Origins::These(origins) if origins.len() == 2));
    assert_eq!(open.http.proxies.trusted.len(), 3);
    assert_eq!(open.auth.firebase.unwrap().project, "demo-kds");
    assert_eq!((open.limits.sending.per_key, open.limits.pairing.per_key.unwrap().get()), (None, 20));
    for open in [("SESSIOND_AUTH__LEGACY_OPEN", "true"), ("SESSIOND_HTTP__CORS_ORIGINS", "*")] {
        assert!(matches!(load(&[open], None).unwrap().http.origins, Origins::Any));
    }
    let bad = [
        ("SESSIOND_HTTP__CORS_ORIGINS", "https://kdsapp.site/"),
        ("SESSIOND_HTTP__CORS_ORIGINS", "kdsapp.site"),
        ("SESSIOND_HTTP__CORS_ORIGINS", "https://a.example,*"),
        ("SESSIOND_HTTP__TRUSTED_PROXIES", "railway"),
        ("SESSIOND_HTTP__CLIENT_ADDRESS_HEADER", "X Real IP"),
        ("SESSIOND_AUTH__FIREBASE_KEYS_URL", "http://keys.example/jwk"),
        ("SESSIOND_AUTH__FIREBASE_PROJECT", "a/b"),
        ("SESSIOND_AUTH__REFRESH", "5m"),
    ];
    for (name, value) in bad {
        let mistakes = load(&[(name, value)], None).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{name}={value}: {mistakes:?}");
    }
}

#[test]
fn files_have_a_place_and_an_address() {
    let config = load(&[], None).unwrap();
    assert!(matches!(&config.media.home, MediaHome::Folder(folder) if folder == Path::new("data/media")));
    assert_eq!((config.media.max_received, config.media.keep_bytes), (100 << 20, 2 << 30));
    assert_eq!(config.http.public_url, "http://localhost:3000");
    let own = load(&[("SESSIOND_HTTP__LISTEN", "127.0.0.1:8080")], None).unwrap();
    assert_eq!(own.http.public_url, "http://127.0.0.1:8080");
    let railway = load(&[("RAILWAY_PUBLIC_DOMAIN", "kds.up.railway.app")], None).unwrap();
    assert_eq!(railway.http.public_url, "https://kds.up.railway.app");
    let named = load(&[("SESSIOND_HTTP__PUBLIC_URL", "https://kdsapp.site/whatsapp/")], None).unwrap();
    assert_eq!(named.http.public_url, "https://kdsapp.site/whatsapp");
    let cloud = [("SESSIOND_MEDIA__STORE", "gcs"), ("SESSIOND_MEDIA__BUCKET", "kdsapp.firebasestorage.app")];
    let cloud = load(&cloud, None).unwrap().media.home;
    assert!(matches!(cloud, MediaHome::Gcs { bucket, prefix, endpoint: None, .. }
        if bucket == "kdsapp.firebasestorage.app" && prefix == "whatsapp"));
    let proxies = "trattoria=http://user:hidden@10.0.0.1:3128,*=http://10.0.0.2:3128";
    let config = load(&[("SESSIOND_MEDIA__PROXIES", proxies)], None).unwrap();
    assert_eq!(config.media.proxies.len(), 2);
    assert!(!format!("{config:?}").contains("hidden"));
    for (name, value) in [
        ("SESSIOND_HTTP__PUBLIC_URL", "kdsapp.site"),
        ("SESSIOND_HTTP__PUBLIC_URL", "ftp://kdsapp.site"),
        ("SESSIOND_MEDIA__STORE", "floppy"),
        ("SESSIOND_MEDIA__STORE", "gcs"),
        ("SESSIOND_MEDIA__PER_TENANT", "0"),
        ("SESSIOND_MEDIA__PROXIES", "http://10.0.0.1"),
        ("SESSIOND_MEDIA__PROXIES", "../x=http://10.0.0.1"),
        ("SESSIOND_WHATSAPP__MEDIA_AUTHORITY", "/no/such/file"),
    ] {
        let mistakes = load(&[(name, value)], None).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{name}={value}: {mistakes:?}");
    }
}

#[test]
fn other_processes_reach_a_port_that_has_an_address() {
    let cluster = |variables: &[(&str, &str)]| load(variables, None).map(|config| config.cluster);
    assert_eq!(cluster(&[]).unwrap().listen, None);
    let any = ("SESSIOND_CLUSTER__LISTEN", "[::]:3001");
    assert_eq!(cluster(&[any]).unwrap_err().len(), 1, "nobody could reach it");
    let given = cluster(&[any, ("SESSIOND_CLUSTER__ADVERTISE", "10.0.0.5")]).unwrap();
    assert_eq!(given.listen, Some("[::]:3001".parse().unwrap()));
    assert_eq!(given.advertise, Advertise::Address("10.0.0.5".parse().unwrap()));
    let railway = cluster(&[any, ("RAILWAY_PRIVATE_DOMAIN", "sessiond.railway.internal")]).unwrap();
    assert_eq!(railway.advertise, Advertise::Beside("sessiond.railway.internal".into()));
    let one = cluster(&[("SESSIOND_CLUSTER__LISTEN", "10.0.0.5:3001")]).unwrap();
    assert_eq!(one.advertise, Advertise::Listener);
    assert_eq!(cluster(&[("SESSIOND_CLUSTER__LISTEN", "3001")]).unwrap_err().len(), 1);
}

#[test]
fn metrics_need_a_key_unless_they_have_an_address() {
    let metrics = load(&[], None).unwrap().metrics;
    assert_eq!((metrics.listen, metrics.per_tenant), (None, PerTenant::Auto));
    let variables = [("SESSIOND_METRICS__LISTEN", "[::]:9090"), ("SESSIOND_METRICS__PER_TENANT", "off")];
    let metrics = load(&variables, None).unwrap().metrics;
    assert_eq!((metrics.listen, metrics.per_tenant), (Some("[::]:9090".parse().unwrap()), PerTenant::Off));
    for (name, value) in [("SESSIOND_METRICS__LISTEN", "9090"), ("SESSIOND_METRICS__PER_TENANT", "1000")] {
        let mistakes = load(&[(name, value)], None).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{name}={value}: {mistakes:?}");
    }
}

#[test]
fn the_old_service_is_named_by_its_own_variables() {
    let import = load(&[], None).unwrap().import;
    assert_eq!((import.on_start, import.database_url, import.deadline), (false, None, Duration::from_secs(60)));
    assert!(matches!(import.credentials, Credentials::ApplicationDefault));
    let account = BASE64.encode(r#"{"project_id":"kds","private_key":"secret"}"#);
    let variables = [
        ("SESSIOND_IMPORT__ON_START", "rtdb"),
        ("FIREBASE_DATABASE_URL", "https://kds-default-rtdb.firebaseio.com/"),
        ("FIREBASE_SERVICE_ACCOUNT_KEY", &account),
        ("SESSIOND_VAULT__KIND", "embedded"),
    ];
    let config = load(&variables, None).unwrap();
    assert!(config.import.on_start);
    assert_eq!(config.import.database_url.as_deref(), Some("https://kds-default-rtdb.firebaseio.com"));
    assert_eq!(config.import.project, "kds");
    assert!(matches!(config.import.credentials, Credentials::ServiceAccount(_)));
    assert!(!format!("{config:?}").contains("secret"));
    for wrong in [
        &[("SESSIOND_IMPORT__ON_START", "rtdb")][..],
        &[("SESSIOND_IMPORT__ON_START", "firestore")],
        &[("FIREBASE_DATABASE_URL", "http://kds.firebaseio.com")],
        &[("FIREBASE_DATABASE_URL", "kds.firebaseio.com")],
        &[("SESSIOND_IMPORT__DEADLINE", "0s")],
    ] {
        let mistakes = load(wrong, None).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].starts_with("import."), "{wrong:?}: {mistakes:?}");
    }
}

#[test]
fn a_mirror_is_off_and_needs_a_database() {
    assert!(!load(&[], None).unwrap().bot.mirror);
    let on = ("SESSIOND_BOT__MIRROR", "rtdb");
    let url = ("FIREBASE_DATABASE_URL", "https://kds-default-rtdb.firebaseio.com");
    assert!(load(&[on, url], None).unwrap().bot.mirror);
    for (wrong, key) in [(&[on][..], "import.database_url"), (&[("SESSIOND_BOT__MIRROR", "on"), url], "bot.mirror")] {
        let mistakes = load(wrong, None).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(key), "{wrong:?}: {mistakes:?}");
    }
}

#[test]
fn alerts_are_off_until_a_channel_is_set_and_each_condition_has_its_switch() {
    let alerts = load(&[], None).unwrap().alerts;
    assert_eq!((alerts.slack, alerts.discord, alerts.webhook, alerts.mail), (None, None, None, None));
    assert_eq!(alerts.smtp, None);
    assert_eq!(alerts.conditions[&AlertCondition::ScanNeeded], Duration::from_secs(60));
    let file = "[alerts]\nslack = \"https://hooks.slack.com/services/T0/B0/secret\"\nlanguage = \"en\"\nscan_needed = \"off\"\n\
                mail_key = \"re_secret\"\nmail_from = \"a@b.example\"\nmail_to = [\"c@d.example\", \"e@f.example\"]\n";
    let alerts = load(&[("SESSIOND_ALERTS__VAULT_DOWN", "5m")], Some(file)).unwrap().alerts;
    assert!(alerts.slack.is_some() && alerts.language == AlertLanguage::English);
    assert_eq!(alerts.conditions.get(&AlertCondition::ScanNeeded), None);
    assert_eq!(alerts.conditions[&AlertCondition::VaultDown], Duration::from_secs(300));
    let mail = alerts.mail.clone().expect("it is whole");
    assert_eq!((mail.url.expose(), mail.to.len()), ("https://api.resend.com/emails", 2));
    assert!(!format!("{alerts:?}").contains("secret"), "{alerts:?}");
    for (name, value) in [
        ("SESSIOND_ALERTS__SLACK", "http://hooks.slack.com/services/secret"),
        ("SESSIOND_ALERTS__DISCORD", "secret"),
        ("SESSIOND_ALERTS__WEBHOOK_KEY", "a key without a webhook"),
        ("SESSIOND_ALERTS__MAIL_KEY", "secret"),
        ("SESSIOND_ALERTS__MAIL_TO", "a@b.example"),
        ("SESSIOND_ALERTS__SMTP_CA", "/etc/ssl/own.pem"),
        ("SESSIOND_ALERTS__LANGUAGE", "fr"),
        ("SESSIOND_ALERTS__SCAN_NEEDED", "soon"),
        ("SESSIOND_ALERTS__PER_HOUR", "0"),
    ] {
        let mistakes = load(&[(name, value)], None).unwrap_err();
        assert!(mistakes.len() == 1 && !mistakes[0].contains("secret"), "{name}={value}: {mistakes:?}");
    }
}

#[test]
fn mail_goes_by_one_way_and_over_smtp_only_with_tls() {
    let load_with = |url: &str, more: &str| {
        let file =
            format!("[alerts]\nsmtp_url = \"{url}\"\nmail_from = \"KDS <a@b.example>\"\nmail_to = [\"c@d.example\"]\n");
        load(&[], Some((file + more).as_str())).map(|config| config.alerts)
    };
    let alerts = load_with("smtps://kds%40b.example:secret%2F1@smtp.b.example", "smtp_ca = \"own.pem\"").unwrap();
    assert!(!format!("{alerts:?}").contains("secret"), "{alerts:?}");
    let smtp = alerts.smtp.expect("it is whole");
    let (user, password) = smtp.server.login.as_ref().expect("it is in the URL");
    assert_eq!((user.as_str(), password.expose()), ("kds@b.example", "secret/1"));
    assert_eq!((smtp.server.host.as_str(), smtp.server.port, smtp.server.starts_plain), ("smtp.b.example", 465, false));
    assert_eq!((smtp.server.ca.as_deref(), smtp.to.len()), (Some(Path::new("own.pem")), 1));
    let plain = load_with("smtp://[::1]:2525", "").unwrap().smtp.expect("it is whole").server;
    assert_eq!((plain.host.as_str(), plain.port, plain.starts_plain, plain.login), ("::1", 2525, true, None));
    assert_eq!(load_with("smtp://b.example", "").unwrap().smtp.expect("it is whole").server.port, 587);
    for (url, more) in [
        ("https://user:secret@b.example", ""),
        ("smtps://user:secret@b.example/inbox", ""),
        ("smtp://user:secret@b.example?tls=none", ""),
        ("smtp://secret@b.example", ""),
        ("smtps://", ""),
        ("secret", ""),
        ("smtps://user:secret@b.example", "mail_key = \"re_secret\""),
    ] {
        let mistakes = load_with(url, more).unwrap_err();
        assert!(mistakes.len() == 1 && !mistakes[0].contains("secret"), "{url}: {mistakes:?}");
    }
}

#[test]
fn a_mistake_in_an_address_of_a_mail_is_told_of_that_address() {
    let url = "smtp_url = \"smtps://user:secret@b.example\"";
    for (more, key) in [
        ("mail_from = \"a@b.example\"\nmail_to = [\"nobody\"]", "alerts.mail_to"),
        ("mail_from = \"a@b.example\"", "alerts.mail_to"),
        ("mail_from = \"nobody\"\nmail_to = [\"a@b.example\"]", "alerts.mail_from"),
    ] {
        let mistakes = load(&[], Some(&format!("[alerts]\n{url}\n{more}\n"))).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].contains(key) && !mistakes[0].contains("secret"), "{mistakes:?}");
    }
}

#[test]
fn another_configuration_names_what_it_changes_and_no_value() {
    let before = load(&[("SESSIOND_ALERTS__SLACK", "https://hooks.slack.com/services/secret")], None).unwrap();
    let variables =
        [("SESSIOND_ALERTS__SLACK", "https://hooks.slack.com/services/other"), ("SESSIOND_HEARTBEAT__INTERVAL", "60s")];
    let after = load(
        &variables,
        Some("[heartbeat]\nannounce = \"10s\"\n[log]\nfilter = \"warn\"\n[http]\nkeep_alive = \"75s\"\n"),
    )
    .unwrap();
    let changed = before.differences(&after);
    assert_eq!(changed, ["alerts.slack", "heartbeat.announce", "heartbeat.interval", "log.filter"]);
    let reloaded: Vec<_> = changed.iter().filter(|key| is_reloadable(key)).collect();
    assert_eq!(reloaded, ["alerts.slack", "heartbeat.interval", "log.filter"]);
    assert_eq!(before.differences(&before.clone()), [""; 0]);
    assert!(!format!("{before:?}").contains("secret"), "{before:?}");
}

#[test]
fn traces_go_to_a_whole_address_from_a_build_that_has_them() {
    for (name, value) in [
        ("SESSIOND_OTEL__ENDPOINT", "collector:4318"),
        ("SESSIOND_OTEL__ENDPOINT", "/v1/traces"),
        ("SESSIOND_OTEL__SAMPLE", "1.5"),
        ("SESSIOND_OTEL__SAMPLE", "NaN"),
    ] {
        assert_eq!(load(&[(name, value)], None).unwrap_err().len(), 1, "{name}={value}");
    }
    let configured = load(&[("SESSIOND_OTEL__ENDPOINT", "http://collector:4318/v1/traces")], None);
    assert_eq!(configured.is_ok(), cfg!(feature = "otel"));
    assert_eq!(load(&[], None).unwrap().traces.endpoint, None);
}

#[test]
fn secrets_do_not_show() {
    let key = "deadbeef".repeat(8);
    let config = load(&[("SESSIOND_ADMIN_KEY", "very-secret-admin-key"), ("SESSIOND_MASTER_KEY", &key)], None).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("very-secret") && !shown.contains("deadbeef"), "{shown}");
}

#[test]
fn every_key_of_the_default_file_is_read() {
    let mut mistakes = Vec::new();
    let table = SettingTable::merge(None, &BTreeMap::new(), &mut mistakes);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/read");
    let files = fs::read_dir(folder).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let source = files.chain([include_str!("read.rs").to_owned()]).collect::<String>();
    for key in table.keys() {
        assert!(source.contains(&format!("\"{key}\"")), "{key} is in the default file and read by nobody");
    }
}

#[test]
fn a_language_model_needs_a_name_and_a_way_that_nobody_listens_on() {
    assert_eq!(load(&[], None).unwrap().bot.language_model, None);
    let set = |url: &str, key: &str, model: &str| {
        let variables = [
            ("SESSIOND_BOT__LANGUAGE_MODEL__URL", url),
            ("SESSIOND_BOT__LANGUAGE_MODEL__KEY", key),
            ("SESSIOND_BOT__LANGUAGE_MODEL__MODEL", model),
        ];
        load(&variables, None)
    };
    let model = set("https://api.example.com/v1/", "a-secret-key", "small").unwrap().bot.language_model.unwrap();
    assert_eq!((model.url.as_str(), model.model.as_str()), ("https://api.example.com/v1", "small"));
    assert_eq!(model.timeout, Duration::from_secs(5));
    assert!(!format!("{model:?}").contains("a-secret-key"));
    assert!(set("http://127.0.0.1:8000/v1", "", "small").unwrap().bot.language_model.unwrap().key.is_none());
    for (url, key, model, wrong) in [
        ("http://api.example.com/v1", "", "small", "bot.language_model.url"),
        ("api.example.com", "", "small", "bot.language_model.url"),
        ("https://api.example.com/v1", "two words", "small", "bot.language_model.key"),
        ("https://api.example.com/v1", "", "", "bot.language_model.model"),
    ] {
        let mistakes = set(url, key, model).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(wrong), "{mistakes:?}");
    }
}

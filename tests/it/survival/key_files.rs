//! The keys of a daemon: made whole or not at all, never made anew over what another key has sealed, and a mistake in them is said as all
//! mistakes in the configuration are.

use std::{
    path::Path,
    process::{Command, Output},
};

use sessiond::demo::{Setup, until};

/// A daemon of its own folder, without WhatsApp.
struct KeyFileScene {
    dir: tempfile::TempDir,
    setup: Setup,
}

impl KeyFileScene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let setup = Setup::new(env!("CARGO_BIN_EXE_sessiond"), dir.path(), "ws://127.0.0.1:1/ws/chat").unwrap();
        Self { dir, setup }
    }

    fn run(&self, command: &str, environment: &[(&str, &str)]) -> Output {
        let mut run = Command::new(&self.setup.program);
        run.env_clear().envs(self.setup.environment.iter().cloned()).envs(environment.iter().copied());
        run.env("SESSIOND_DATA__DIR", &self.setup.data_dir)
            .env("SESSIOND_HTTP__LISTEN", self.setup.address.to_string());
        run.arg(command).output().unwrap()
    }

    /// The first life of a vault: it ends with a signal as soon as the port is open.
    async fn lives_once(&self) {
        let daemon = self.setup.start(crate::support::stage::LIMIT).await.unwrap();
        assert_eq!(daemon.terminate(crate::support::stage::LIMIT).await.unwrap(), Some(0));
    }

    fn files(&self) -> Vec<String> {
        let listed = std::fs::read_dir(&self.setup.data_dir).into_iter().flatten();
        let mut names: Vec<_> = listed.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_not_made_anew() {
    let scene = KeyFileScene::new();
    scene.lives_once().await;
    let key = scene.setup.data_dir.join("vault.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let vault = std::fs::read(scene.setup.data_dir.join("vault.db")).unwrap();
    for command in ["serve", "check"] {
        let output = scene.run(command, &[]);
        assert_eq!(output.status.code(), Some(78), "{}", said(&output));
        assert!(said(&output).contains("is lost") && !said(&output).contains("back it up"), "{}", said(&output));
        assert!(!key.exists(), "{command} made another key");
        assert_eq!(std::fs::read(scene.setup.data_dir.join("vault.db")).unwrap(), vault);
    }
    std::fs::write(&key, kept).unwrap();
    scene.lives_once().await;
    // Another key is a mistake of the same kind.
    let output = scene.run("serve", &[("SESSIOND_MASTER_KEY", &"7a".repeat(32))]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
}

/// The key is in memory: what is sealed with it would open for nobody after a restart.
/// It is so at a first start, and so it is where a volume is not mounted: nobody but the operator can tell the two.
#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_empty_for_a_key_that_is_not_new_is_told() {
    let KeyFileScene { dir, setup } = KeyFileScene::new();
    let scene = KeyFileScene { dir, setup: setup.set("SESSIOND_MASTER_KEY", "7a".repeat(32)) };
    let told = || {
        let log = std::fs::read_to_string(&scene.setup.log).unwrap();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("the vault is new or empty")).collect();
        assert!(lines.iter().all(|line| line.contains("vault.db") && line.contains("vault_empty")), "{lines:?}");
        lines.len()
    };
    scene.lives_once().await;
    assert_eq!(told(), 1);
    scene.lives_once().await;
    assert_eq!(told(), 1, "it is not new any more");
    std::fs::remove_dir_all(&scene.setup.data_dir).unwrap();
    scene.lives_once().await;
    assert_eq!(told(), 2);

    // The key in a file of its own: told where the file was there and the vault was not, and not at a first start.
    let own = KeyFileScene::new();
    let told = || std::fs::read_to_string(&own.setup.log).unwrap().matches("vault_empty").count();
    own.lives_once().await;
    assert_eq!(told(), 0);
    for name in own.files().iter().filter(|name| name.starts_with("vault.db")) {
        std::fs::remove_file(own.setup.data_dir.join(name)).unwrap();
    }
    own.lives_once().await;
    assert_eq!(told(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_lost_meanwhile_is_put_back() {
    let scene = KeyFileScene::new();
    let daemon = scene.setup.start(crate::support::stage::LIMIT).await.unwrap();
    let file = scene.setup.data_dir.join("vault.key");
    let kept = std::fs::read(&file).unwrap();
    let is_back = async || std::fs::read(&file).is_ok_and(|now| now == kept);
    std::fs::remove_file(&file).unwrap();
    until(crate::support::stage::LIMIT, "the key", is_back).await.unwrap();
    std::fs::write(&file, "7a".repeat(32)).unwrap();
    until(crate::support::stage::LIMIT, "the key instead of another", is_back).await.unwrap();
    assert_eq!(scene.files().iter().filter(|name| name.starts_with("vault.key.")).count(), 1, "{:?}", scene.files());
    assert_eq!(daemon.terminate(crate::support::stage::LIMIT).await.unwrap(), Some(0));
    scene.lives_once().await;
}

/// Trying again does not help: so the exit code says that it is the configuration.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_holds_no_key_is_a_mistake_like_others() {
    let scene = KeyFileScene::new();
    scene.lives_once().await;
    for (name, wrong) in [("vault.key", ""), ("vault.key", "nonsense"), ("admin.key", ""), ("admin.key", "abc")] {
        let file = scene.setup.data_dir.join(name);
        let kept = std::fs::read(&file).ok();
        std::fs::write(&file, wrong).unwrap();
        let output = scene.run("serve", &[]);
        assert_eq!(output.status.code(), Some(78), "{name} {wrong:?}: {}", said(&output));
        assert!(said(&output).contains(name), "{}", said(&output));
        match kept {
            Some(kept) => std::fs::write(&file, kept).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
    }
    scene.lives_once().await;
}

#[test]
fn a_check_makes_nothing() {
    let scene = KeyFileScene::new();
    let output = scene.run("check", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("there is no vault yet"), "{}", said(&output));
    assert!(!scene.setup.data_dir.exists(), "{:?}", scene.files());
    let left = std::fs::read_dir(scene.dir.path()).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_bad_master_key_is_listed_with_the_other_mistakes() {
    let scene = KeyFileScene::new();
    let bad = "a-secret-that-is-no-key";
    let environment =
        [("SESSIOND_MASTER_KEY", bad), ("SESSIOND_HTTP__LISTEN_TYPO", "x"), ("SESSIOND_LOG__FORMAT", "xml")];
    for command in ["serve", "check"] {
        let output = scene.run(command, &environment);
        assert_eq!(output.status.code(), Some(78), "{}", said(&output));
        for expected in ["vault.master_keys", "32 bytes", "log.format"] {
            assert!(said(&output).contains(expected), "{expected}: {}", said(&output));
        }
        assert!(!said(&output).contains(bad), "it is shown");
        assert!(!Path::new(&scene.setup.data_dir).exists());
    }
}

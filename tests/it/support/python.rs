//! Python programs that the tests drive, each in a virtual environment beside it, installed once from its requirements.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The folder of a program, and the `bin` of its environment; `None`, loudly, where Python is missing.
pub fn environment(name: &str) -> Option<(PathBuf, PathBuf)> {
    if !Command::new("python3").args(["-m", "venv", "--help"]).output().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI needs Python 3 with venv");
        let loud = format!("\n*** NOT RUN: the tests with tests/{name} need Python 3 with venv ***\n");
        writeln!(std::io::stderr(), "{loud}").expect("stderr is writable");
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    // Tests run in parallel, and so may other test binaries: one installs, the rest wait.
    let lock = File::create(folder.join(".install.lock")).expect("the folder is writable");
    lock.lock().expect("lockable");
    let (venv, wanted) = (folder.join(".venv"), folder.join("requirements.txt"));
    let (bin, installed) = (venv.join("bin"), venv.join("installed.txt"));
    if std::fs::read(&installed).ok() != std::fs::read(&wanted).ok() {
        let run = |program: &Path, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).current_dir(&folder).stdout(Stdio::null()).status();
            assert!(status.expect("it runs").success(), "{} {arguments:?}", program.display());
        };
        run(Path::new("python3"), &["-m", "venv", ".venv"]);
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
        run(&bin.join("python"), &install);
        std::fs::copy(&wanted, &installed).expect("the folder is writable");
    }
    Some((folder, bin))
}

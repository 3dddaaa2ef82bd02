//! A process as others on the same machine can find it. Asks the kernel, and decides nothing.

use std::sync::LazyLock;

/// This process, so that another one on the same machine finds it: machine, number, when it began.
pub fn this_process() -> Option<String> {
    let pid = std::process::id();
    Some(format!("{}/{pid}/{}", this_machine()?, began(pid)?))
}

/// This boot of this machine, and whose processes are counted together: two containers have the same numbers for different processes.
pub fn this_machine() -> Option<String> {
    static MACHINE: LazyLock<Option<String>> = LazyLock::new(read_machine);
    MACHINE.clone()
}

fn read_machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbering = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let digits: String = numbering.to_str()?.chars().filter(char::is_ascii_digit).collect();
    Some(format!("{}/{digits}", boot.trim()))
}

/// `None`: it is on another machine.
pub fn process_lives(process: &str, machine: &str) -> Option<bool> {
    let (pid, start) = process.strip_prefix(machine)?.strip_prefix('/')?.split_once('/')?;
    Some(began(pid.parse().ok()?).is_some_and(|began| began == start))
}

/// When a process began, in ticks since the boot: numbers are used again. `None`: there is none of this number, or it is dead and only
/// waits for its parent to notice.
fn began(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let began = fields.nth(18)?;
    (!is_dead).then(|| began.to_owned())
}

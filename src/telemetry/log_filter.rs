//! The log filter of this process, which its operator may change while it runs: a restart would end the very thing that is looked for.
//! Nothing is kept: the next start goes by `log.filter`. The cap on what other crates may say is not in here, so no filter lifts it.

use std::{
    fmt,
    sync::{Mutex, OnceLock},
};

use tracing::{Level, info};
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::FOREIGN;
use crate::sync::lock;

/// There is one subscriber a process.
static INSTALLED: OnceLock<LogFilter> = OnceLock::new();

/// The filter that the subscriber goes by.
struct LogFilter {
    handle: reload::Handle<EnvFilter, Registry>,
    /// As somebody wrote it: the filter itself tells its parts in an order of its own.
    text: Mutex<String>,
}

/// The filter stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogFilterError {
    #[error("expected a filter like info,sessiond=debug")]
    Unreadable,
    /// Its only word is no level, and no target that is known: it would silence everything.
    #[error("expected a level (off, error, warn, info, debug or trace) or a filter like info,sessiond=debug")]
    NoLevel,
    #[error("this process has no log of its own")]
    NotInstalled,
}

/// The subscriber is installed, with this filter.
pub(super) fn install(handle: reload::Handle<EnvFilter, Registry>, text: &str) {
    let _ = INSTALLED.set(LogFilter { handle, text: Mutex::new(text.to_owned()) });
}

/// The filter by which lines are chosen now. `None`: this process has no log of its own.
pub fn current() -> Option<String> {
    INSTALLED.get().map(|installed| lock(&installed.text).clone())
}

/// The targets in a filter that are neither ours nor of a crate whose lines are known: misspelt, as likely as not. A filter means all
/// targets that begin as it says.
pub fn unknown_targets(filter: &str) -> Vec<String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level =
        |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)) || word.parse::<u8>().is_ok();
    let is_known = |target: &str| {
        FOREIGN.iter().any(|(known, ..)| {
            known.starts_with(target)
                || target.strip_prefix(*known).is_some_and(|rest| known.ends_with('/') || rest.starts_with("::"))
        })
    };
    let targets = filter.split(',').filter_map(|directive| directive.split(['=', '[']).next()).map(str::trim);
    targets.filter(|target| !is_level(target) && !is_known(target)).map(str::to_owned).collect()
}

/// A filter of words alone that are neither levels nor targets of ours or of a library: nobody wants to hear nothing but such.
fn silences_everything(filter: &str) -> bool {
    !filter.contains(['=', '[']) && unknown_targets(filter).len() == filter.split(',').count()
}

/// The filter as it is installed, without blanks. The same rule for the start, SIGHUP and the route.
///
/// # Errors
/// It cannot be read, or would silence everything.
pub fn checked(text: &str) -> Result<String, LogFilterError> {
    // The parser counts its places from the first letter and cuts from the first blank: a blank before a letter of two bytes would be a
    // panic.
    let text = text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
    // It would be a filter, by which nothing but errors is logged: nobody means that by no words.
    if text.split(',').all(str::is_empty) {
        return Err(LogFilterError::Unreadable);
    }
    if silences_everything(&text) {
        return Err(LogFilterError::NoLevel);
    }
    match EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(LogFilterError::Unreadable),
    }
}

/// Chooses lines by another filter from now on. `by`: who wants it so.
pub fn change(text: &str, by: &dyn fmt::Display) -> Result<(), LogFilterError> {
    let text = checked(text)?;
    let filter = EnvFilter::try_new(&text).map_err(|_| LogFilterError::Unreadable)?;
    let installed = INSTALLED.get().ok_or(LogFilterError::NotInstalled)?;
    let mut now = lock(&installed.text);
    let say = |before: &str| {
        info!(event = "log_filter_changed", %by, before, after = text.as_str(), "the log filter is changed");
    };
    // By the old filter, or else by the new one: whichever of the two keeps this line.
    let is_heard = tracing::enabled!(Level::INFO);
    if is_heard {
        say(now.as_str());
    }
    installed.handle.reload(filter).map_err(|_| LogFilterError::NotInstalled)?;
    if !is_heard {
        say(now.as_str());
    }
    *now = text;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_refused_before_anything_is_asked() {
        for text in ["sessiond=loud", "info,[", "a=b=c", "", " , "] {
            assert_eq!(change(text, &"a test"), Err(LogFilterError::Unreadable), "{text}");
        }
        for text in ["infoo", " sesiond", "infoo,debugg"] {
            assert_eq!(change(text, &"a test"), Err(LogFilterError::NoLevel), "{text}");
        }
        // These can be read; the unit tests install none.
        for text in ["info,sessiond=debug", "info, sessiond=debug", " é=debug", "OFF", "sessiond", "infoo,warn"] {
            assert_eq!(change(text, &"a test"), Err(LogFilterError::NotInstalled), "{text}");
        }
        assert_eq!(current(), None);
    }

    #[test]
    fn a_misspelt_target_is_named() {
        for known in [
            "info",
            "INFO,sessiond=debug",
            "sessiond::session=trace,h2=off",
            "warn, hyper::proto=error,Client/Mex=error,Bot/x=warn",
            "[session]=debug",
        ] {
            assert_eq!(unknown_targets(known), Vec::<String>::new(), "{known}");
        }
        assert_eq!(unknown_targets("info,sesiond=debug, sessiondx=warn,lib[a]=info"), ["sesiond", "sessiondx", "lib"]);
    }
}

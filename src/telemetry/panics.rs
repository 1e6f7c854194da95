//! Panics: where they happened, never what data they quote; and no core dumps of a process that holds genotypes.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use super::PANIC;

/// What is said of a panic.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    /// File and line.
    place: String,
    thread: String,
    /// The message, where it is text of the program.
    message: &'static str,
}

impl Said {
    fn of(panic: &PanicHookInfo<'_>) -> Self {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        Self {
            place: place.unwrap_or_else(|| "unknown".to_owned()),
            thread: std::thread::current().name().unwrap_or("unnamed").to_owned(),
            message: message(panic.payload()),
        }
    }
}

/// The message where it is fixed text; what was formatted may quote what the program was working on.
fn message(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("a message that is left out, since it may quote data")
}

/// Says where every panic happens, in a log line that carries the request's id where there is one.
pub(super) fn install() {
    std::panic::set_hook(Box::new(|panic| {
        let Said { place, thread, message } = Said::of(panic);
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            tracing::error!(target: PANIC, place, thread, %trace, "a thread panicked: {message}");
        } else {
            tracing::error!(target: PANIC, place, thread, "a thread panicked: {message}");
        }
    }));
}

/// Keeps the process's memory out of core dumps and away from other processes of the same user, as far as the system
/// can be told.
pub(super) fn forbid_core_dumps() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        let limited = setrlimit(Resource::Core, none);
        // The limit does not bind where the system hands dumps to a program; this does.
        #[cfg(target_os = "linux")]
        let limited =
            limited.and(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
        if let Err(error) = limited {
            tracing::warn!(%error, "core dumps cannot be turned off");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_message_is_told_only_where_it_is_fixed_text() {
        let told: Arc<Mutex<Vec<Said>>> = Arc::default();
        let heard = Arc::clone(&told);
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| heard.lock().unwrap().push(Said::of(panic))));
        let mark = std::hint::black_box("rs4711").to_owned();
        let ways: [&(dyn Fn() + std::panic::RefUnwindSafe); 5] = [
            &|| panic!("fixed text"),
            &|| panic!("quotes {mark}"),
            &|| std::panic::panic_any(mark.clone()),
            &|| assert_eq!(mark.parse::<u8>().unwrap(), 0),
            &|| assert_eq!(mark.as_bytes()[mark.len() + 4_711], 0),
        ];
        for way in ways {
            std::panic::catch_unwind(way).unwrap_err();
        }
        std::panic::set_hook(earlier);
        let told = told.lock().unwrap();
        assert_eq!((told.len(), told[0].message), (5, "fixed text"));
        assert!(told[0].place.contains("panics.rs:"), "{}", told[0].place);
        for one in told.iter().skip(1) {
            assert!(one.message.starts_with("a message that is left out"), "{one:?}");
            assert!(!format!("{one:?}").contains("4711"), "{one:?}");
        }
    }
}

//! Damaged files by the thousand: no reader and no importer may panic, hang, or take memory without bound.
//!
//! Every target gets mutated seeds, drawn from a fixed seed, for about a second; `TISSUECAST_FUZZ_SECONDS` lengthens
//! it. A failure prints its number: `TISSUECAST_FUZZ_AT` runs that one alone.

mod imports;
mod mutate;
mod readers;
mod seeds;
mod whole;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tissuecast::genotype::ReadLimits;

/// The files of one execution, and a number from which a target draws its choices.
struct Case {
    files: Vec<Vec<u8>>,
    choice: u64,
}

/// Executes a case; whether the input was taken, which every unchanged seed has to be.
type Target = fn(&Case) -> bool;

/// How long one execution may take; far above what any does, on a machine that has other things to do.
const LONGEST: Duration = Duration::from_secs(20);
/// How much the memory of the process may grow: the limits of the readers are small.
const MOST_GROWTH_KIB: u64 = 512 << 10;

/// Limits that the mutations do reach.
fn limits() -> ReadLimits {
    ReadLimits { decompressed_bytes: 256 << 10, record_bytes: 32 << 10, records: 3_000, samples: 200, alternatives: 20 }
}

/// Runs a target on its seeds, then on mutations of them until its time is over.
fn hunt(name: &str, seeds: Vec<Vec<Vec<u8>>>, target: Target) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let until = Instant::now() + Duration::from_secs(number("TISSUECAST_FUZZ_SECONDS").unwrap_or(1));
    let only = number("TISSUECAST_FUZZ_AT");
    for (at, files) in seeds.iter().enumerate() {
        assert!(target(&Case { files: files.clone(), choice: 0 }), "{name}: seed {at} is refused");
    }
    let at = Arc::new(AtomicU64::new(only.unwrap_or(0)));
    let working = Arc::clone(&at);
    let before = memory_kib();
    let worker = std::thread::spawn(move || {
        let mut taken = 0_u64;
        loop {
            let number = working.load(Ordering::SeqCst);
            let case = Case { files: mutate::mutated(&seeds, number), choice: number };
            let outcome = catch_unwind(AssertUnwindSafe(|| target(&case)));
            let what = match outcome {
                Err(_) => Some("panicked"),
                Ok(_) if memory_kib().saturating_sub(before) > MOST_GROWTH_KIB => Some("took too much memory"),
                Ok(is_taken) => {
                    taken += u64::from(is_taken);
                    None
                }
            };
            if let Some(what) = what {
                return Err((number, what));
            }
            if only.is_some() || Instant::now() >= until {
                return Ok((number + 1, taken));
            }
            working.store(number + 1, Ordering::SeqCst);
        }
    });
    let mut last = (u64::MAX, Instant::now());
    while !worker.is_finished() {
        let number = at.load(Ordering::SeqCst);
        if number != last.0 {
            last = (number, Instant::now());
        }
        assert!(last.1.elapsed() < LONGEST, "{name}: execution {number} hangs; TISSUECAST_FUZZ_AT={number} repeats it");
        std::thread::sleep(Duration::from_millis(5));
    }
    match worker.join().unwrap() {
        Ok((executions, taken)) => eprintln!("{name}: {executions} executions, {taken} inputs taken"),
        Err((number, what)) => {
            panic!("{name}: execution {number} {what}; TISSUECAST_FUZZ_AT={number} repeats it")
        }
    }
}

/// The most memory that the process has ever had; 0 where the system does not say, or where other tests share the
/// process.
fn memory_kib() -> u64 {
    if std::env::var_os("NEXTEST").is_none() {
        return 0;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

//! The service under about twice the load that it takes: what it accepts is right and comes in time, what it does not
//! take is said so, its memory stays, and a stop in the middle of it all loses nothing.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tissuecast::http::problem::Kind as Problem;

use crate::binary::{ingested, write_model};
use crate::client::{
    Broken, Connection, Reply, Server, check_small_prediction, get, import_wide, post, small_prediction,
};
use crate::lab;

const CLIENTS: usize = 256;
/// Of each kind of request there are so many, each with an answer of its own.
const VARIANTS: usize = 16;
/// What a service takes that does about half of what the clients ask for.
const LIMITS: [&str; 12] = [
    "--max-in-flight",
    "128",
    "--predictions",
    "2",
    "--waiting-predictions",
    "16",
    "--queue-genes",
    "64",
    "--batch-genes",
    "16",
    "--request-timeout-seconds",
    "10",
];
/// The longest that an accepted request can take. A prediction waits for its turn for 10 s at most before it is refused,
/// and behind the 16 that wait come 9 turns of two small ones; a new gene waits for the 64 before it, which are 5 batches,
/// and is given up after 10 s. 2 s more are for 256 threads that share the machine's cores with the service.
const BOUND: Duration = Duration::from_secs(12);
/// How long a health signal may take, whatever the load.
const HEALTH: Duration = Duration::from_secs(2);
/// How long before the signal to stop a request must have been sent to be sure to have been accepted.
const ACCEPTED: Duration = Duration::from_secs(2);
/// How long a client waits that was refused.
const PAUSE: Duration = Duration::from_millis(20);

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Prediction,
    NewGenes,
    KnownGene,
}

const KINDS: [Kind; 3] = [Kind::Prediction, Kind::NewGenes, Kind::KnownGene];

/// A request and the answer that it has without load.
struct Ask {
    kind: Kind,
    request: Vec<u8>,
    expected: Vec<u8>,
}

/// What all clients know.
struct Shared {
    address: SocketAddr,
    asks: Vec<Ask>,
    began: Instant,
    seconds: u64,
    /// When the service was asked to stop.
    stopped: OnceLock<Instant>,
}

/// An answer: when, of what kind, how late, accepted or not.
struct Outcome {
    at: Duration,
    kind: Kind,
    took: Duration,
    status: u16,
}

fn seconds() -> u64 {
    let told = std::env::var("TISSUECAST_LOAD_SECONDS").ok();
    told.map_or(60, |text| text.parse().unwrap())
}

/// The requests with their answers, which are checked against what is known of them, and against each other: an answer
/// to another one's request is seen.
fn asks(server: &Server) -> Vec<Ask> {
    let genome = lab::genome(150, 1);
    let is_whole = |values: &Vec<f32>| values.iter().all(|value| value.is_finite());
    let measured = genome.records.iter().filter(|record| record.expression.as_ref().is_some_and(is_whole));
    let mut asks = Vec::new();
    for (variant, record) in measured.take(VARIANTS).enumerate() {
        let request = small_prediction(variant);
        let reply = server.ask(&request);
        check_small_prediction(variant, &reply);
        asks.push(Ask { kind: Kind::Prediction, request, expected: reply.body });

        let gene =
            |at: usize| json!({"chromosome": "2", "tss": 500_000 + 90_000 * variant + 7_000 * at, "strand": "+"});
        let body = json!({"genes": (0..4).map(gene).collect::<Vec<_>>()}).to_string();
        let request = post("/v1/profiles", "application/json", body.as_bytes());
        let reply = server.ask(&request);
        assert_eq!((reply.status, reply.text().matches("\"imputed\"").count()), (200, 4 * 54), "{}", reply.text());
        asks.push(Ask { kind: Kind::NewGenes, request, expected: reply.body });

        let request = get(&format!("/v1/genes/{}/profile", record.gene.id));
        let reply = server.ask(&request);
        let tissues = reply.json()["tissues"].as_array().cloned().unwrap();
        for (row, value) in tissues.iter().zip(record.expression.as_ref().unwrap()) {
            assert!((row["value"].as_f64().unwrap() - f64::from(*value)).abs() < 1e-3, "{row} {value}");
        }
        asks.push(Ask { kind: Kind::KnownGene, request, expected: reply.body });
    }
    for (at, one) in asks.iter().enumerate() {
        assert!(asks[..at].iter().all(|other| other.expected != one.expected), "two requests have one answer");
    }
    asks
}

/// Whether two answers say the same; numbers of a batch may differ from those of one in their last digit.
fn is_same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            (found - expected).abs() <= 1e-4 * expected.abs().max(1.0)
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(found), Value::Object(expected)) => {
            found.len() == expected.len()
                && expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| is_same(found, value)))
        }
        _ => found == expected,
    }
}

/// Checks an answer: right, or refused as it is documented.
fn check(ask: &Ask, reply: &Reply) {
    if reply.status == 200 {
        let is_right =
            reply.body == ask.expected || is_same(&reply.json(), &serde_json::from_slice(&ask.expected).unwrap());
        assert!(is_right, "{:?}: {}", ask.kind, reply.text());
        return;
    }
    let refusals = [Problem::Overloaded, Problem::Unavailable, Problem::RateLimited, Problem::QuotaExceeded];
    let problem = reply.problem();
    let documented = refusals.iter().map(|kind| kind.describe()).find(|(name, ..)| problem.as_deref() == Some(name));
    let (_, _, status) = documented.unwrap_or_else(|| panic!("{:?}: {} {}", ask.kind, reply.head, reply.text()));
    assert_eq!(reply.status, status.as_u16(), "{}", reply.text());
    let wait: u64 = reply.header("retry-after").and_then(|wait| wait.parse().ok()).unwrap();
    assert!(wait > 0);
}

/// Asks one thing after the other until the service has gone.
fn client(number: usize, shared: &Shared) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut kept: Option<Connection> = None;
    // Well beyond the load and the time to stop.
    let end = shared.began + Duration::from_secs(shared.seconds + 120);
    for turn in 0.. {
        assert!(Instant::now() < end, "the service has not gone");
        let kind = (number + turn) % KINDS.len();
        let ask = &shared.asks[KINDS.len() * ((5 * number + turn) % VARIANTS) + kind];
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match Connection::open(shared.address) {
                Ok(connection) => connection,
                Err(error) => {
                    assert!(shared.stopped.get().is_some(), "no connection: {error}");
                    return outcomes;
                }
            },
        };
        let sent = Instant::now();
        match connection.ask(&ask.request) {
            Ok(reply) => {
                check(ask, &reply);
                let (at, took) = (sent - shared.began, sent.elapsed());
                outcomes.push(Outcome { at, kind: ask.kind, took, status: reply.status });
                if reply.header("connection").is_none_or(|value| value != "close") {
                    kept = Some(connection);
                }
                if reply.status != 200 {
                    thread::sleep(PAUSE);
                }
            }
            // A connection that was idle or new when the service was asked to stop is closed: nothing was accepted.
            Err(Broken::Before(why)) => {
                let stopped = shared.stopped.get().unwrap_or_else(|| panic!("{:?} broke off: {why}", ask.kind));
                assert!(
                    sent + ACCEPTED > *stopped,
                    "{:?} was sent {:?} before the stop: {why}",
                    ask.kind,
                    *stopped - sent
                );
            }
            Err(Broken::Midway(why)) => panic!("{:?} broke off in the middle: {why}", ask.kind),
        }
    }
    outcomes
}

/// The process's resident memory in KiB, where the system says it.
fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
}

/// Looks at health and memory once a second until it is told to end; the longest answer and the memory.
fn watch(server: (SocketAddr, u32), done: &AtomicBool) -> (Duration, Vec<u64>) {
    let (mut longest, mut memory) = (Duration::ZERO, Vec::new());
    while !done.load(Ordering::SeqCst) {
        for path in ["/livez", "/readyz"] {
            let since = Instant::now();
            let reply = Connection::open(server.0).unwrap().ask(&get(path)).unwrap();
            let took = since.elapsed();
            assert!(reply.status == 200 && took < HEALTH, "{path} after {took:?}: {} {}", reply.status, reply.text());
            longest = longest.max(took);
        }
        memory.extend(resident(server.1));
        thread::sleep(Duration::from_secs(1));
    }
    (longest, memory)
}

fn quantile(outcomes: &[&Outcome], share: f64) -> Duration {
    let mut times: Vec<Duration> = outcomes.iter().map(|one| one.took).collect();
    times.sort_unstable();
    #[expect(clippy::cast_sign_loss, reason = "a place in a list")]
    let at = ((times.len() - 1) as f64 * share) as usize;
    times[at]
}

/// Prints what came of the load, and checks that every kind was served all the time and in time.
fn report(outcomes: &[Outcome], seconds: u64) {
    let rate = |count: usize| count as f64 / seconds as f64;
    for status in [200, 429, 503] {
        let count = outcomes.iter().filter(|one| one.status == status).count();
        println!("{status}: {count} answers, {:.0} a second", rate(count));
    }
    for kind in KINDS {
        let of_kind: Vec<&Outcome> = outcomes.iter().filter(|one| one.kind == kind).collect();
        let accepted: Vec<&Outcome> = of_kind.iter().copied().filter(|one| one.status == 200).collect();
        for quarter in 0..4 {
            let since = Duration::from_secs(seconds) * quarter / 4;
            let until = Duration::from_secs(seconds) * (quarter + 1) / 4;
            let served = accepted.iter().filter(|one| (since..until).contains(&one.at)).count();
            assert!(served > 0, "no {kind:?} was served in quarter {}", quarter + 1);
        }
        let (half, most) = (quantile(&accepted, 0.5), quantile(&accepted, 0.99));
        println!(
            "{kind:?}: {:.0} accepted a second, {:.0} refused; half within {half:?}, 99 % within {most:?}",
            rate(accepted.len()),
            rate(of_kind.len() - accepted.len())
        );
        assert!(most < BOUND, "{kind:?}: {most:?}");
    }
}

/// Checks that memory stays, where the load was long enough to tell.
fn check_memory(memory: &[u64], seconds: u64) {
    let middle = |samples: &[u64]| {
        let mut samples = samples.to_vec();
        samples.sort_unstable();
        samples[samples.len() / 2]
    };
    if memory.len() < 30 || seconds < 30 {
        println!("memory: too short a time to tell");
        return;
    }
    let (first, last) =
        (middle(&memory[memory.len() / 3 - 2..=memory.len() / 3 + 2]), middle(&memory[memory.len() - 5..]));
    println!("memory: {first} KiB after the first third, {last} KiB at the end");
    assert!(last * 10 <= first * 11, "{memory:?}");
}

#[test]
fn twice_the_load_is_answered_or_refused_and_a_stop_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ingested(folder);
    write_model("ridge", &folder.join("models"));
    import_wide(folder, VARIANTS);
    let mut server = Server::start(folder, &LIMITS);
    let asks = asks(&server);
    let (address, seconds) = (server.address, seconds());
    let shared = Arc::new(Shared { address, asks, began: Instant::now(), seconds, stopped: OnceLock::new() });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || client(number, &shared))
        })
        .collect();
    let done = Arc::new(AtomicBool::new(false));
    let watching = thread::spawn({
        let (watched, done) = ((address, server.running.id()), Arc::clone(&done));
        move || watch(watched, &done)
    });
    thread::sleep(Duration::from_secs(seconds));
    done.store(true, Ordering::SeqCst);
    let (longest, memory) = watching.join().unwrap();

    let stopped = Instant::now();
    shared.stopped.set(stopped).unwrap();
    server.running.terminate();
    // 30 s is what open requests are given.
    let status = server.running.end(Duration::from_secs(40));
    println!("it ended {:?} after the signal", stopped.elapsed());
    let outcomes: Vec<Outcome> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let said = server.running.messages();
    assert!(status.code() == Some(0) && !said.contains("panicked"), "{status}: {said}");
    assert!(Connection::open(address).is_err());
    println!("health: the longest answer took {longest:?}");
    report(&outcomes, seconds);
    check_memory(&memory, seconds);
}

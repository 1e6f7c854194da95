//! Who may come in: keys, scopes, rates, quotas, origins, addresses, certificates.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tissuecast::access::key::PlainKey;
use tissuecast::access::quota::Unsaved;
use tissuecast::access::record::{KeyRecord, Scope};
use tissuecast::access::ring::{KeyDefaults, KeyRing};
use tissuecast::config::ServeConfig;
use tissuecast::http::auth::Access;
use tissuecast::http::client::Peer;
use tissuecast::http::problem::Kind;
use tissuecast::model::Scale;
use tissuecast::reference::Unit;
use tissuecast::serve::access::KeyKeeper;
use tissuecast::serve::{Loaded, Settings, serve_on};
use tissuecast::store::{Store, StoreError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::binary::{fail, succeed};
use crate::http_support::{Answer, App, NearestTwo, Setup, TISSUES, reference, served};
use crate::served_predictions::{Served, answer};
use crate::support::{TestDatabase, on_both_databases};

on_both_databases!(
    keys_are_kept_by_their_digest_alone,
    what_services_have_used_adds_up,
    a_quota_outlives_a_restart_and_a_revoked_key_does_not_outlive_a_look,
);

fn record(name: &str, scopes: &str, key: &PlainKey) -> KeyRecord {
    KeyRecord {
        name: name.parse().unwrap(),
        sha256: key.digest(),
        scopes: scopes.parse().unwrap(),
        created_at_seconds: 1_700_000_000,
        expires_at_seconds: None,
        revoked_at_seconds: None,
        requests_per_minute: None,
        samples_per_day: None,
    }
}

fn key(number: u8) -> PlainKey {
    PlainKey::from_random([number; 32])
}

/// A service with these keys at a fixed time.
fn guarded(records: Vec<KeyRecord>) -> App {
    let access = Access::new(None, Vec::new(), vec!["https://lab.example".parse().unwrap()], || 1_700_000_500);
    access.replace(KeyRing::new(records, KeyDefaults::default(), None));
    Setup { access, ..Setup::predicting() }.build()
}

fn bearer(key: &PlainKey) -> String {
    format!("Bearer {}", key.reveal())
}

const PEOPLE: &str = r#"{"assembly": "GRCh38", "samples": ["S1", "S2"], "variants": [{"chromosome": "12", "position": 100, "ref": "A", "alt": "G", "dosages": [1, 2]}]}"#;

impl App {
    async fn predict(&self, key: &PlainKey) -> Answer {
        let path = "/v1/predictions?model=blood&min_overlap=0";
        let request = Request::post(path).header("content-type", "application/json").header("x-api-key", key.reveal());
        self.send(request.body(Body::from(PEOPLE)).unwrap()).await
    }
}

fn name(kind: Kind) -> &'static str {
    kind.describe().0
}

#[tokio::test]
async fn every_route_asks_for_its_scope_and_the_open_ones_for_nothing() {
    let keys: Vec<_> = Scope::ALL.iter().zip(1..).map(|(scope, number)| (*scope, key(number))).collect();
    let app = guarded(keys.iter().map(|(scope, key)| record(scope.as_str(), scope.as_str(), key)).collect());
    let document: Value = serde_json::to_value(tissuecast::http::openapi()).unwrap();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let wanted = match operation["tags"][0].as_str().unwrap() {
                "status" => None,
                "predictions" => Some(Scope::Predict),
                "admin" => Some(Scope::Admin),
                _ => Some(Scope::Read),
            };
            let place = path.replace("{gene}", "ALPHA").replace("{model}", "blood").replace("{tissue}", "Liver");
            let send = async |key: Option<&PlainKey>| {
                let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(&place);
                if let Some(key) = key {
                    request = request.header("authorization", bearer(key));
                }
                app.send(request.body(Body::empty()).unwrap()).await
            };
            let without = send(None).await;
            let Some(wanted) = wanted else {
                assert_ne!(without.status, StatusCode::UNAUTHORIZED, "{place}");
                continue;
            };
            asked += 1;
            assert_eq!(without.problem(), name(Kind::Unauthorized), "{method} {place}");
            let schemes: Vec<_> = without.headers.get_all("www-authenticate").iter().collect();
            assert_eq!(schemes.len(), 2);
            for (scope, key) in &keys {
                let answer = send(Some(key)).await;
                if *scope == wanted {
                    assert!(!matches!(answer.status.as_u16(), 401 | 403), "{method} {place} by {scope}");
                } else {
                    assert_eq!(answer.problem(), name(Kind::Forbidden), "{method} {place} by {scope}");
                }
            }
        }
    }
    assert!(asked >= 13, "{asked} routes ask for a key");
    assert_eq!(app.get("/").await.status, StatusCode::UNAUTHORIZED, "the pages ask, too");
    assert_eq!(app.get("/genes/ALPHA").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.get("/nowhere").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_key_that_is_wrong_over_or_taken_back_is_told_apart() {
    let past = KeyRecord { expires_at_seconds: Some(1_700_000_500), ..record("past", "read", &key(2)) };
    let gone = KeyRecord { revoked_at_seconds: Some(1_700_000_100), ..record("gone", "read", &key(3)) };
    let app = guarded(vec![record("ada", "read", &key(1)), past, gone]);
    let ask = async |key: &PlainKey| app.get_with("/v1/genes/ALPHA", ("x-api-key", key.reveal())).await;
    assert_eq!(ask(&key(1)).await.status, StatusCode::OK);
    for (number, says) in [(2, "expired"), (3, "revoked"), (4, "not known")] {
        let answer = ask(&key(number)).await;
        assert_eq!(answer.problem(), name(Kind::Unauthorized));
        assert!(answer.text().contains(says) && !answer.text().contains(key(number).reveal()), "{}", answer.text());
    }
    let login = format!("Basic {}", STANDARD.encode(format!("anybody:{}", key(1).reveal())));
    assert_eq!(app.get_with("/", ("authorization", login.as_str())).await.status, StatusCode::OK, "a browser's login");
    // The last key's end does not open the door.
    app.state.access.replace(KeyRing::new(Vec::new(), KeyDefaults::default(), Some(&app.state.access.ring())));
    assert_eq!(app.get("/v1/genes/ALPHA").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_again() {
    let slow = KeyRecord { requests_per_minute: NonZeroU32::new(3), ..record("slow", "read", &key(1)) };
    let app = guarded(vec![slow, record("other", "read", &key(2))]);
    let ask = async |number| app.get_with("/v1/genes/ALPHA", ("x-api-key", key(number).reveal())).await;
    for left in ["2", "1", "0"] {
        let answer = ask(1).await;
        assert_eq!(
            (answer.status, answer.header("ratelimit-limit"), answer.header("ratelimit-remaining")),
            (StatusCode::OK, "3", left)
        );
    }
    let refused = ask(1).await;
    assert_eq!(refused.problem(), name(Kind::RateLimited));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=21).contains(&wait), "{wait}");
    assert_eq!(ask(2).await.status, StatusCode::OK, "another key has its own rate");
}

#[tokio::test]
async fn without_keys_each_address_has_a_rate_and_this_machine_none() {
    let access = Access::new(NonZeroU32::new(2), vec!["10.0.0.0/8".parse().unwrap()], Vec::new(), || 0);
    let app = Setup { access, ..Setup::default() }.build();
    let ask = async |peer: &str, forwarded: &str| {
        let mut request =
            Request::get("/v1/genes/ALPHA").header("x-forwarded-for", forwarded).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer { address: peer.parse::<SocketAddr>().unwrap() });
        app.send(request).await.status.as_u16()
    };
    for expected in [200, 200, 429] {
        // What a stranger writes into the header does not make it somebody else.
        assert_eq!(ask("192.0.2.1:80", "192.0.2.99").await, expected);
    }
    assert_eq!(ask("192.0.2.2:80", "").await, 200);
    for expected in [200, 200, 429] {
        assert_eq!(ask("10.0.0.1:80", "192.0.2.3").await, expected);
    }
    assert_eq!(ask("10.0.0.1:80", "192.0.2.4").await, 200);
    for _ in 0..5 {
        assert_eq!(ask("127.0.0.1:80", "").await, 200);
    }
}

#[tokio::test]
async fn a_quota_counts_people_that_were_answered() {
    let key = key(1);
    let record = KeyRecord { samples_per_day: NonZeroU64::new(5), ..record("few", "predict", &key) };
    let app = guarded(vec![record]);
    assert_eq!(app.predict(&key).await.status, StatusCode::OK);
    // A request that fails is not counted.
    let path = "/v1/predictions?model=blood&min_overlap=0&sample=S1,NOBODY";
    let request = Request::post(path).header("content-type", "application/json").header("x-api-key", key.reveal());
    let failed = app.send(request.body(Body::from(PEOPLE)).unwrap()).await;
    assert_eq!(failed.problem(), name(Kind::InvalidParameter));
    assert_eq!(app.predict(&key).await.status, StatusCode::OK);
    let refused = app.predict(&key).await;
    assert_eq!(refused.problem(), name(Kind::QuotaExceeded));
    assert!(refused.text().contains("2 people are asked for and 1 of the 5"), "{}", refused.text());
    assert!(refused.header("retry-after").parse::<u64>().unwrap() <= 86_400);
}

#[tokio::test]
async fn pages_elsewhere_read_and_send_only_where_they_are_named() {
    let app = Setup::default().build();
    let answer = app.get_with("/v1/genes/ALPHA", ("origin", "https://lab.example")).await;
    assert!(answer.headers.get("access-control-allow-origin").is_none(), "closed by default");
    let post = async |app: &App, origin: &str| {
        let request = Request::post("/v1/profiles").header("content-type", "application/json");
        let request = request.header("host", "cast.example").header("origin", origin);
        app.send(request.body(Body::from(json!({"genes": [{"gene": "ALPHA"}]}).to_string())).unwrap()).await
    };
    assert_eq!(post(&app, "https://evil.example").await.problem(), name(Kind::Forbidden));
    assert_eq!(post(&app, "http://cast.example").await.status, StatusCode::OK);
    let app = guarded(Vec::new());
    let answer = post(&app, "https://lab.example").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (StatusCode::OK, "https://lab.example"));
    assert_eq!(post(&app, "https://evil.example").await.status, StatusCode::FORBIDDEN);
    let preflight = Request::builder().method("OPTIONS").uri("/v1/predictions").header("origin", "https://lab.example");
    let preflight = preflight.header("access-control-request-method", "POST").body(Body::empty()).unwrap();
    let answer = app.send(preflight).await;
    assert!(answer.header("access-control-allow-methods").contains("POST"), "{:?}", answer.headers);
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
}

async fn keys_are_kept_by_their_digest_alone(database: &TestDatabase) {
    let store = database.migrated().await;
    assert_eq!(store.keys().await.unwrap(), []);
    let full = KeyRecord {
        expires_at_seconds: Some(1_800_000_000),
        requests_per_minute: NonZeroU32::new(7),
        samples_per_day: NonZeroU64::new(u64::from(u32::MAX) + 1),
        ..record("bob@lab", "admin,read", &key(2))
    };
    let plain = record("ada", "predict", &key(1));
    store.add_key(&full).await.unwrap();
    store.add_key(&plain).await.unwrap();
    assert!(matches!(store.add_key(&record("ada", "read", &key(3))).await, Err(StoreError::KeyTaken(_))));
    store.revoke_key(&plain.name, 5).await.unwrap();
    store.revoke_key(&plain.name, 9).await.unwrap();
    assert!(matches!(store.revoke_key(&"eve".parse().unwrap(), 9).await, Err(StoreError::UnknownKey(_))));
    assert_eq!(store.keys().await.unwrap(), [KeyRecord { revoked_at_seconds: Some(5), ..plain }, full]);
    database.execute("UPDATE access_keys SET scopes = '[]' WHERE name = 'ada'").await;
    let error = store.keys().await.unwrap_err().to_string();
    assert!(error.contains("scopes") && error.contains("ada"), "{error}");
}

async fn what_services_have_used_adds_up(database: &TestDatabase) {
    let store = database.migrated().await;
    let (ada, bob) = (key(1).digest(), key(2).digest());
    store.add_use(ada, Unsaved { day: 20_000, samples: 3 }).await.unwrap();
    store.add_use(ada, Unsaved { day: 20_000, samples: 4 }).await.unwrap();
    store.add_use(bob, Unsaved { day: 20_001, samples: 1 }).await.unwrap();
    assert_eq!(store.uses_of(20_000).await.unwrap(), [(ada, 7)]);
    assert_eq!(store.uses_of(20_001).await.unwrap(), [(bob, 1)]);
    store.add_use(bob, Unsaved { day: 20_040, samples: 1 }).await.unwrap();
    assert_eq!(store.uses_of(20_000).await.unwrap(), [], "what was used long ago is forgotten");
}

/// A service's keys as it keeps them, on a store.
async fn keeper(store: &Store) -> (Arc<Access>, KeyKeeper) {
    let config = Line::parse_from(["serve", "--samples-per-day", "10"]).config;
    let access = Arc::clone(&Settings::from(config.clone()).access);
    let keeper = KeyKeeper::open(Arc::new(store.clone()), &config.access, Arc::clone(&access)).await.unwrap();
    (access, keeper)
}

async fn a_quota_outlives_a_restart_and_a_revoked_key_does_not_outlive_a_look(database: &TestDatabase) {
    let store = database.migrated().await;
    let (open, before) = keeper(&store).await;
    assert!(!open.ring().is_enforced(), "without a key everybody may ask");
    store.add_key(&record("ada", "predict", &key(1))).await.unwrap();
    before.refresh().await.unwrap();
    assert!(open.ring().is_enforced());
    let charge = |access: &Access, people| {
        let ring = access.ring();
        let holder = ring.verify(key(1).reveal(), access.now()).unwrap();
        holder.charge(people, access.now()).map(drop).map_err(|exceeded| exceeded.left)
    };
    assert_eq!(charge(&open, 7), Ok(()));
    before.end().await;
    let (again, after) = keeper(&store).await;
    assert_eq!(charge(&again, 4), Err(3), "what was used before the restart counts");
    assert_eq!(charge(&again, 2), Ok(()));
    after.end().await;
    before.end().await;
    assert_eq!(charge(&open, 2), Err(1), "what another service on the store has let through counts");
    let (_hang_up, hang_ups) = watch::channel(0);
    let looking = after.watch(Duration::from_millis(20), hang_ups, CancellationToken::new());
    store.revoke_key(&"ada".parse().unwrap(), 1).await.unwrap();
    let revoked = async {
        while again.ring().verify(key(1).reveal(), again.now()).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), revoked).await.unwrap();
    looking.abort();
}

#[test]
fn a_served_program_asks_for_keys_names_them_and_lets_go_of_revoked_ones() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let keys = |arguments: &[&'static str]| succeed(folder, &[&["keys"], arguments, &["--keys", "keys.json"]].concat());
    let made = keys(&["create", "--name", "ada", "--scopes", "read"]);
    let made = made.trim();
    succeed(folder, &["migrate", "--database-url", "sqlite://k.sqlite"]);
    let flags = ["--keys", "keys.json", "--audit-log", "audit.jsonl", "--poll-seconds", "3600"];
    let served = Served::start_with(folder, "sqlite://k.sqlite", &flags);
    let ask = |key: &str| {
        let mut stream = served.connect();
        let head =
            format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        answer(stream).0
    };
    assert_eq!((ask("tissuecast_0"), ask(made)), (401, 200));
    keys(&["revoke", "ada"]);
    served.signal("-HUP");
    let until = Instant::now() + Duration::from_secs(20);
    while ask(made) != 401 {
        assert!(Instant::now() < until, "the revoked key opens on");
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = served.stop();
    let audit = fs::read_to_string(folder.join("audit.jsonl")).unwrap();
    let whos: Vec<Value> =
        audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["who"].take()).collect();
    assert_eq!(whos[..2], ["anonymous", "ada"], "{audit}");
    assert!(!audit.contains(made) && !said.contains(made), "a key is never written");
}

#[test]
fn keys_are_made_listed_and_revoked_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for place in [&["--database-url", "sqlite://k.sqlite"][..], &["--keys", "keys.json"]] {
        let keys = |arguments: &[&'static str]| [&["keys"], arguments, place].concat();
        let made =
            succeed(folder, &keys(&["create", "--name", "ada", "--expires", "2099-01-01", "--samples-per-day", "9"]));
        let made = made.trim().to_owned();
        assert!(made.starts_with("tissuecast_") && made.len() == 75, "{made}");
        assert!(fail(folder, &keys(&["create", "--name", "ada"])).contains("ada"));
        assert!(fail(folder, &keys(&["create", "--name", "b", "--scopes", "root"])).contains("no scope 'root'"));
        assert!(fail(folder, &keys(&["create", "--name", "b", "--expires", "2001-01-01"])).contains("past"));
        let listed = succeed(folder, &keys(&["list"]));
        assert!(listed.contains("ada") && listed.contains("2099-01-01") && listed.contains("usable"), "{listed}");
        succeed(folder, &keys(&["revoke", "ada"]));
        assert!(fail(folder, &keys(&["revoke", "eve"])).contains("no key eve"));
        let listed = succeed(folder, &keys(&["list", "--format", "json"]));
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert!(listed[0]["revoked_at_seconds"].is_number() && listed[0]["samples_per_day"] == 9, "{listed}");
        for file in fs::read_dir(folder).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            let kept = bytes.windows(made.len()).any(|window| window == made.as_bytes());
            assert!(!kept, "the key itself is kept nowhere");
        }
    }
}

#[test]
fn a_public_address_needs_a_key_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &["migrate", "--database-url", "sqlite://k.sqlite"]);
    let serve = ["serve", "--database-url", "sqlite://k.sqlite", "--listen", "0.0.0.0:1"];
    let said = fail(folder, &serve);
    assert!(said.contains("tissuecast keys create") && said.contains("--insecure"), "{said}");
    succeed(folder, &["keys", "create", "--name", "ada", "--database-url", "sqlite://k.sqlite"]);
    succeed(folder, &["keys", "revoke", "ada", "--database-url", "sqlite://k.sqlite"]);
    assert!(fail(folder, &serve).contains("no usable key"), "a revoked key guards nothing");
    let missing = fail(folder, &[&serve[..], &["--keys", "nowhere.json"]].concat());
    assert!(missing.contains("nowhere.json"), "{missing}");
    let half = fail(folder, &[&serve[..], &["--tls-certificate", "c.pem"]].concat());
    assert!(half.contains("--tls-key"), "{half}");
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    config: ServeConfig,
}

/// Asks over TLS; the answer and the certificate's fingerprint would both be another's if the service were.
async fn ask(address: SocketAddr, trusted: &str) -> Result<String, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    stream.write_all(b"GET /v1/genes/ALPHA HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn tls_answers_and_takes_a_renewed_certificate_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, private) = (folder.path().join("c.pem"), folder.path().join("c.key"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(&private, made.signing_key.serialize_pem()).unwrap();
        fs::write(&chain, made.cert.pem()).unwrap();
        made.cert.pem()
    };
    let first = renew();
    let [chain_text, private_text] = [&chain, &private].map(|path| path.display().to_string());
    let flags = ["serve", "--tls-certificate", &chain_text, "--tls-key", &private_text, "--poll-seconds", "1"];
    let config = Line::parse_from(flags).config;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_events, receiver) = mpsc::channel(1);
    let (stop, stopped) = oneshot::channel::<()>();
    let models = [served(NearestTwo::new(Scale::Log2), Unit::Tpm, &TISSUES)].into_iter().collect();
    let loaded = Loaded { references: vec![reference("small")], models, ..Loaded::default() };
    let service = tokio::spawn(serve_on(listener, config, loaded, receiver, async { drop(stopped.await) }));
    assert!(ask(address, &first).await.unwrap().starts_with("HTTP/1.1 200"));
    // Somebody who speaks no TLS gets nothing and holds nobody up.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let second = renew();
    let renewed = async {
        while ask(address, &second).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), renewed).await.unwrap();
    assert!(ask(address, &first).await.is_err());
    stop.send(()).unwrap();
    service.await.unwrap().unwrap();
}

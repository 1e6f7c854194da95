//! A database that goes away under load and comes back.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tissuecast::genome::GeneId;
use tissuecast::model::served::IMPUTATION;
use tissuecast::store::Store;

use super::{ingest_into, write_lab};
use crate::binary::{Running, succeed, write_model};
use crate::client::{Connection, Reply, Server, get, post};
use crate::lab::{self, DATASET};
use crate::support::block_on;

/// In which the service notices what became of its database: it looks every second, and a look takes 10 s at most.
const NOTICED: Duration = Duration::from_secs(30);

/// A PostgreSQL of the test's own, which it may stop.
struct Cluster {
    programs: PathBuf,
    /// The user to run as, where the test's own is root, whom the server refuses.
    user: Option<String>,
    folder: tempfile::TempDir,
    port: u16,
}

impl Cluster {
    fn start_new() -> Self {
        let Ok(programs) = std::env::var("TISSUECAST_TEST_POSTGRES_BIN") else {
            panic!("TISSUECAST_TEST_POSTGRES_BIN is not set: run the tests by tests/run, which finds a PostgreSQL");
        };
        let user = std::env::var("TISSUECAST_TEST_POSTGRES_USER").ok().filter(|user| !user.is_empty());
        let folder = tempfile::tempdir().unwrap();
        if let Some(user) = &user {
            assert!(Command::new("chown").arg(user).arg(folder.path()).status().unwrap().success());
        }
        let mut cluster = Self { programs: programs.into(), user, folder, port: 0 };
        let settings = ["-U", "tissuecast", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
        assert!(cluster.run("initdb", &settings), "initdb failed");
        // Another process may take a free port between looking and listening.
        let started = (0..10).any(|_| {
            cluster.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            cluster.start()
        });
        assert!(started, "PostgreSQL does not start");
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs one of PostgreSQL's programs on the cluster; whether it succeeded.
    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let path = self.programs.join(program);
        let mut command = match &self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(path);
                command
            }
            None => Command::new(path),
        };
        command.arg("-D").arg(self.data()).args(arguments).current_dir(self.folder.path());
        // The server outlives its starter: it must hold none of the test's own streams.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    fn start(&self) -> bool {
        let settings = format!("-h 127.0.0.1 -p {} -k '' -c fsync=off", self.port);
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["start", "-l", &log, "-o", &settings, "-w", "-s", "-t", "30"])
    }

    /// Stops it as a crash does.
    fn crash(&self) -> bool {
        self.run("pg_ctl", &["stop", "-m", "immediate", "-s"])
    }

    fn url(&self) -> String {
        format!("postgres://tissuecast@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // One that is stopped already cannot be stopped, which is as good.
        self.crash();
    }
}

fn profile(gene: &str) -> Vec<u8> {
    get(&format!("/v1/genes/{gene}/profile"))
}

/// A gene that no dataset has.
fn new_gene(tss: usize) -> Vec<u8> {
    let gene = json!({"chromosome": "1", "tss": tss, "strand": "+"});
    post("/v1/profiles", "application/json", json!({"genes": [gene]}).to_string().as_bytes())
}

/// Asks for known and new genes one after the other until it is told to stop; every answer has to be one.
fn ask_on(address: SocketAddr, genes: &[String], done: &AtomicBool, asked: &AtomicUsize) {
    let mut connection = Connection::open(address).unwrap();
    while !done.load(Ordering::SeqCst) {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        let request =
            if number.is_multiple_of(2) { profile(&genes[number % genes.len()]) } else { new_gene(100_000 + number) };
        let reply = connection.ask(&request).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Asks for a gene that has to be imputed.
fn impute(server: &Server, gene: &str) -> Reply {
    let reply = server.ask(&profile(gene));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.text().contains("\"imputed\""), "{}", reply.text());
    reply
}

/// Waits until the profile of an answer is in the store.
fn until_saved(url: &str, gene: &str, reply: &Reply) {
    let profile = reply.json();
    let text = |part: &str, field: &str| profile[part][field].as_str().unwrap().to_owned();
    let (version, key) = (text("dataset", "version"), format!("{}/{IMPUTATION}", text("model", "digest")));
    let id = GeneId::parse(gene).unwrap().0;
    block_on(async {
        let store = Store::open(url).await.unwrap();
        let saved = async {
            while store.imputed(&version, &key, &id).await.unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(NOTICED, saved).await.is_ok(), "{gene} was not saved");
    });
}

/// Genes that were measured in every tissue, and genes that were not.
fn genes() -> (Vec<String>, Vec<String>) {
    let is_whole = |values: &Vec<f32>| values.iter().all(|value| value.is_finite());
    let records = lab::genome(150, 1).records;
    let (whole, others): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| record.expression.as_ref().is_some_and(is_whole));
    let ids = |records: Vec<&tissuecast::reference::GeneRecord>| {
        records.into_iter().map(|record| record.gene.id.to_string()).collect()
    };
    (ids(whole), ids(others))
}

fn serve(folder: &Path, url: &str) -> Server {
    let flags = ["serve", "--listen", "127.0.0.1:0", "--database-url", url, "--poll-seconds", "1"];
    Server::of(Running::start(folder, &flags))
}

mod postgres {
    use super::*;

    #[test]
    fn a_database_that_crashes_under_load_costs_readiness_and_no_answer() {
        let cluster = Cluster::start_new();
        let (url, folder, fresh) = (cluster.url(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (_, next) = (write_lab(folder.path(), 150, 1), write_lab(fresh.path(), 160, 2));
        succeed(folder.path(), &ingest_into(&url));
        write_model("ridge", &folder.path().join("models"));
        let server = serve(folder.path(), &url);
        let (known, imputed) = genes();
        let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (address, known) = (server.address, known.clone());
                let (done, asked) = (Arc::clone(&done), Arc::clone(&asked));
                thread::spawn(move || ask_on(address, &known, &done, &asked))
            })
            .collect();
        server.wait_for(&get("/readyz"), NOTICED, |reply| reply.status == 200);
        until_saved(&url, &imputed[0], &impute(&server, &imputed[0]));

        assert!(cluster.crash());
        impute(&server, &imputed[1]);
        let (reply, noticed) = server.wait_for(&get("/readyz"), NOTICED, |reply| reply.status == 503);
        assert_eq!(reply.json()["checks"]["store"]["ok"], false, "{}", reply.text());
        impute(&server, &imputed[2]);
        assert_eq!(server.ask(&get("/livez")).status, 200);

        assert!(cluster.start());
        let (_, back) = server.wait_for(&get("/readyz"), NOTICED, |reply| reply.status == 200);
        until_saved(&url, &imputed[3], &impute(&server, &imputed[3]));
        succeed(fresh.path(), &ingest_into(&url));
        let is_fresh = |reply: &Reply| {
            let datasets = reply.json()["data"].clone();
            datasets.as_array().unwrap().iter().any(|one| one["name"] == DATASET && one["version"] == next.as_str())
        };
        let (_, changed) = server.wait_for(&get("/v1/datasets"), NOTICED, is_fresh);
        done.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().unwrap();
        }
        let asked = asked.load(Ordering::SeqCst);
        println!(
            "{asked} requests, none failed; not ready {noticed:?} after the crash, ready {back:?} after the start, the \
             fresh ingest served after {changed:?}"
        );
        assert!(asked > 100);
        server.stop();
    }
}

impl Cluster {
    /// Has the server speak TLS, and nothing else; the certificate, which is its own authority.
    fn speak_tls_only(&self) -> String {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let data = self.data();
        let files = [
            ("server.crt", made.cert.pem()),
            ("server.key", made.signing_key.serialize_pem()),
            ("pg_hba.conf", "hostssl all all 127.0.0.1/32 trust\n".to_owned()),
            ("postgresql.auto.conf", "ssl = on\n".to_owned()),
        ];
        for (name, content) in files {
            let path = data.join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            if let Some(user) = &self.user {
                assert!(Command::new("chown").arg(user).arg(&path).status().unwrap().success());
            }
        }
        assert!(self.crash() && self.start(), "PostgreSQL does not start again");
        made.cert.pem()
    }
}

#[test]
fn the_database_is_reached_over_tls_where_it_is_the_one_that_was_meant() {
    let cluster = Cluster::start_new();
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own.pem"), folder.path().join("other.pem"));
    fs::write(&own, cluster.speak_tls_only()).unwrap();
    fs::write(&other, rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem()).unwrap();
    let url = format!("postgres://tissuecast@localhost:{}/postgres", cluster.port);
    block_on(async {
        let open = async |more: String| Store::open(&format!("{url}?{more}")).await;
        let store = open(format!("sslmode=verify-full&sslrootcert={}", own.display())).await.unwrap();
        store.migrate().await.unwrap();
        store.close().await;
        open("sslmode=require".to_owned()).await.unwrap().close().await;
        assert!(open(format!("sslmode=verify-full&sslrootcert={}", other.display())).await.is_err(), "another server");
        assert!(open("sslmode=disable".to_owned()).await.is_err(), "the server takes nothing in the clear");
    });
}

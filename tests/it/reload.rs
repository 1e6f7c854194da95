//! Models without downtime: versions side by side, and folders that come, change and go while requests are answered.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tissuecast::http::admin::Refusal;
use tissuecast::model::Scale;
use tissuecast::model::baseline::BaselineKind;
use tissuecast::model::expression::golden::GenotypeGolden;
use tissuecast::model::expression::{ServedGenotypeModel, linear_file};
use tissuecast::model::served::ServedModel;
use tissuecast::model::{golden, registry};
use tissuecast::reference::{Reference, Unit};
use tissuecast::serve::{self, Loaded};
use tokio::task::JoinHandle;

use crate::binary::{fail, succeed};
use crate::http_support::{BLOOD, NearestTwo, Row, Setup, TISSUES, expression_model, linear, reference, served};
use crate::lab::{self, DATASET, Service};
use crate::served_predictions::Served;
use crate::support::{Database, TestDatabase, block_on};

const RELOAD: &str = "/v1/admin/models:reload";

/// The rows of a version of the small genotype model: its weights are those of version 1, times the version.
fn rows(version: u32) -> Vec<Row> {
    BLOOD.iter().map(|row| (row.0, row.1, row.2, row.3, row.4, row.5 * f64::from(version))).collect()
}

/// Two people, one of whom has one copy of `rs1`, two of `rs2` and one of `rs4`.
fn submission() -> Value {
    json!({"assembly": "GRCh38", "samples": ["S1", "S2"], "variants": [
        {"id": "rs1", "chromosome": "12", "position": 100, "ref": "A", "alt": "G", "dosages": [1, 0]},
        {"id": "rs2", "chromosome": "12", "position": 200, "ref": "C", "alt": "T", "dosages": [2, 0]},
        {"id": "rs4", "chromosome": "12", "position": 400, "ref": "G", "alt": "A", "dosages": [1, 0]},
    ]})
}

/// Writes the next version of a genotype model into a folder of models.
fn write_genotype(models: &Path, name: &str, version: u32) -> PathBuf {
    let (mut card, linear) = linear(name, &rows(version));
    card.version = version.to_string();
    let mut files = linear_file::store(&linear).unwrap();
    let sample = GenotypeGolden::record(&linear).unwrap();
    files.insert(golden::FILE.to_owned(), serde_json::to_vec(&sample).unwrap());
    registry::write(models, &mut card, &files).unwrap()
}

fn genotype_version(version: u32) -> Arc<ServedGenotypeModel> {
    let mut model = Arc::into_inner(expression_model("blood", &rows(version))).unwrap();
    model.card.version = version.to_string();
    model.digest = format!("sha256:blood{version}");
    Arc::new(model)
}

/// Flips a bit of a file; returns what it was.
fn spoil(path: &Path) -> Vec<u8> {
    let whole = fs::read(path).unwrap();
    let mut spoilt = whole.clone();
    *spoilt.last_mut().unwrap() ^= 1;
    fs::write(path, spoilt).unwrap();
    whole
}

#[tokio::test]
async fn versions_answer_side_by_side_and_a_name_alone_means_the_newest() {
    let liver = expression_model("liver", &[("ENSG00000000002.1", "BETA", "rs4", 400, "G>A", 4.0)]);
    let expression_models = vec![genotype_version(2), liver, genotype_version(10)];
    let app = Setup { expression_models, ..Setup::default() }.build();
    let ask = async |query: &str| app.post(&format!("/v1/predictions?gene=ALPHA&{query}"), &submission()).await;
    for (query, version, value) in [("model=blood", "10", 20.0), ("model=blood@2", "2", 4.0)] {
        let answer = ask(query).await.json();
        assert_eq!(
            (&answer["models"][0]["version"], &answer["genes"][0]["values"][0]),
            (&json!(version), &json!(value))
        );
        assert_eq!(answer["genes"][0]["model"], "blood", "one version goes by its name");
    }
    let both = ask("model=blood@2,blood").await.json();
    let names = |list: &Value| list.as_array().unwrap().iter().map(|one| one["model"].clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&both["genes"]), names(&both["report"]["models"])),
        (vec![json!("blood@2"), json!("blood@10")], vec![json!("blood@2"), json!("blood@10")])
    );
    let tsv = ask("model=blood@2,blood&format=tsv").await.text();
    assert!(tsv.lines().next().unwrap().contains("blood@2:ENSG00000000001.4\tblood@10:ENSG00000000001.4"), "{tsv}");
    let all = app.post("/v1/predictions?model=all", &submission()).await.json();
    let versions: Vec<&Value> = all["models"].as_array().unwrap().iter().map(|one| &one["version"]).collect();
    assert_eq!(versions, [&json!("10"), &json!("1")], "all means the default of each");

    let listed = app.get("/v1/models").await.json();
    let listed: Vec<(&Value, &Value, &Value)> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["name"], &one["version"], &one["is_default"]))
        .collect();
    let expected = [("nearest-two", "1.0.0", true), ("blood", "2", false), ("blood", "10", true), ("liver", "1", true)]
        .map(|(name, version, is_default)| (json!(name), json!(version), json!(is_default)));
    assert_eq!(listed, expected.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>());
    let info = app.get("/service-info").await.json();
    assert_eq!((&info["models"]["blood@2"], &info["defaultModels"]["blood"]), (&json!("sha256:blood2"), &json!("10")));
    assert_eq!(app.get("/v1/models/blood@2").await.json()["is_default"], false);
    let genes = app.get("/v1/models/blood@2/genes/ALPHA").await.json();
    assert_eq!((&genes["model_version"], &genes["variants"][0]["weight"]), (&json!("2"), &json!(2.0)));
    let unknown = ask("model=blood@3").await;
    assert_eq!(unknown.problem(), "/problems/unknown-model");
    assert_eq!(unknown.json()["candidates"], json!(["blood@10", "blood@2", "liver@1"]));
}

#[tokio::test]
async fn readiness_tells_what_is_refused_and_stays() {
    let app = Setup::predicting().build();
    let (status, check) = {
        let answer = app.get("/readyz").await;
        (answer.status, answer.json()["checks"]["models"].clone())
    };
    assert_eq!(
        (status, &check["ok"], &check["detail"]),
        (StatusCode::OK, &json!(true), &json!("3 versions served, 0 refused"))
    );
    app.state.note_refused(vec![Refusal { model: "blood@2".to_owned(), reason: "file x has SHA-256 y".to_owned() }]);
    let answer = app.get("/readyz").await;
    let check = &answer.json()["checks"]["models"];
    assert_eq!((answer.status, &check["ok"], &check["required"]), (StatusCode::OK, &json!(false), &json!(false)));
    assert!(check["detail"].as_str().unwrap().ends_with("1 refused; blood@2: file x has SHA-256 y"), "{check}");
    let store = &answer.json()["checks"]["store"];
    assert!(store["detail"].as_str().unwrap().contains("answered 0 s ago"), "{store}");
}

#[tokio::test]
async fn nobody_who_reloads_is_a_problem_of_its_own() {
    let app = Setup::predicting().build();
    let answer = app.post(RELOAD, &Value::Null).await;
    assert_eq!((answer.problem().as_str(), answer.status), ("/problems/unavailable", StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(app.post(&format!("{RELOAD}?depth=1"), &Value::Null).await.problem(), "/problems/invalid-parameter");
    assert_eq!(app.get(RELOAD).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

/// A version of the small profile model.
fn profile_version(version: &str, model: NearestTwo) -> Arc<ServedModel> {
    let mut model = Arc::into_inner(served(model, Unit::Tpm, &TISSUES)).unwrap();
    version.clone_into(&mut model.card.version);
    model.digest = format!("sha256:{version}");
    Arc::new(model)
}

#[test]
fn what_is_unchanged_goes_on_and_a_model_without_a_first_prediction_does_not_answer() {
    block_on(async {
        let config = lab::config(&[]);
        let one = profile_version("1", NearestTwo::new(Scale::Log2));
        let small = reference("small");
        let loaded = |models: &[&Arc<ServedModel>]| Loaded {
            references: vec![Arc::clone(&small)],
            models: models.iter().map(|model| Arc::clone(model)).collect(),
            ..Loaded::default()
        };
        let first = serve::snapshot(&config, loaded(&[&one]), None).unwrap();
        // The first gene with others on its chromosome.
        let two = profile_version("2", NearestTwo { panics_at: Some(1_000), ..NearestTwo::new(Scale::Log2) });
        let three = profile_version("3", NearestTwo::new(Scale::Log2));
        let (both, all) = (loaded(&[&one, &two]), loaded(&[&one, &two, &three]));
        let (first, second, third) = tokio::task::spawn_blocking(move || {
            let second = serve::snapshot(&config, both, Some(&first)).unwrap();
            let third = serve::snapshot(&config, all, Some(&second)).unwrap();
            (first, second, third)
        })
        .await
        .unwrap();
        let of = |snapshot: &tissuecast::http::state::Snapshot, named: &str| {
            snapshot.datasets["small"].completions.get(named).cloned()
        };
        assert!(Arc::ptr_eq(&of(&first, "nearest-two").unwrap(), &of(&second, "nearest-two").unwrap()));
        assert!(of(&second, "nearest-two@2").is_none(), "a name alone means the newest version that answers");
        let [Refusal { model, reason }] = &second.refused[..] else { panic!("{:?}", second.refused) };
        assert!(model == "nearest-two@2 on small" && reason.contains("first prediction"), "{model}: {reason}");
        assert_eq!(second.datasets["small"].unfit.labels(), ["nearest-two@2"]);
        assert!(Arc::ptr_eq(&of(&first, "nearest-two@1").unwrap(), &of(&third, "nearest-two@1").unwrap()));
        assert!(Arc::ptr_eq(&of(&third, "nearest-two").unwrap(), &of(&third, "nearest-two@3").unwrap()));
    });
}

/// Asks a service on a socket; HTTP/1.0, so that the body comes in one piece.
async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\nhost: x\r\ncontent-type: application/json\r\n");
    let asked = crate::socket::ask(address, format!("{head}content-length: {length}\r\n\r\n{body}"));
    let answer = tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: no answer: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

/// Clients that ask without a pause, and check that no answer mixes versions.
struct Load {
    done: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

/// What a version has once answered, by its digest: it must never answer anything else.
type Answers = Arc<Mutex<BTreeMap<String, Value>>>;

fn same_as_before(answers: &Answers, digest: &str, values: Value) {
    let mut answers = answers.lock().unwrap();
    let before = answers.insert(digest.to_owned(), values);
    assert!(before.is_none_or(|before| before == answers[digest]), "{digest} answers otherwise");
}

/// A prediction's version; its values have to be that version's own.
fn check_prediction(status: u16, answer: &Value) -> u32 {
    assert_eq!(status, 200, "{answer}");
    let version: u32 = answer["models"][0]["version"].as_str().unwrap().parse().unwrap();
    assert_eq!(answer["genes"][0]["values"], json!([2.0 * f64::from(version), 0.0]), "version {version}: {answer}");
    version
}

impl Load {
    fn start(address: SocketAddr, genes: &[String]) -> Self {
        let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let answers = Answers::default();
        let client = |number: usize| {
            let (done, asked, answers) = (Arc::clone(&done), Arc::clone(&asked), Arc::clone(&answers));
            let gene = genes[number % genes.len()].clone();
            tokio::spawn(async move {
                let until = Instant::now() + Duration::from_mins(3);
                while !done.load(Ordering::SeqCst) {
                    assert!(Instant::now() < until, "nobody has ended the load");
                    if number.is_multiple_of(2) {
                        let path = "/v1/predictions?model=g&gene=ALPHA";
                        let (status, answer) = ask(address, "POST", path, &submission().to_string()).await;
                        check_prediction(status, &answer);
                        let model = &answer["models"][0];
                        let values = json!([model["version"], answer["genes"][0]["values"]]);
                        same_as_before(&answers, model["digest"].as_str().unwrap(), values);
                    } else {
                        let path = format!("/v1/genes/{gene}/profile?model=p");
                        let (status, answer) = ask(address, "GET", &path, "").await;
                        assert_eq!(status, 200, "{answer}");
                        let model = &answer["model"];
                        let values = json!([model["version"], answer["tissues"]]);
                        same_as_before(&answers, &format!("{} {gene}", model["digest"]), values);
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let clients = (0..4).map(client).collect();
        Self { done, asked, clients }
    }

    /// Waits until so many more answers have come.
    async fn more(&self, count: usize) {
        let wanted = self.asked.load(Ordering::SeqCst) + count;
        let come = async {
            while self.asked.load(Ordering::SeqCst) < wanted {
                assert!(!self.clients.iter().any(JoinHandle::is_finished), "a client has failed");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), come).await.unwrap();
    }

    async fn end(self) {
        self.done.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

/// A service over a dataset, with version 1 of the genotype model `g` and of the profile model `p`.
struct Stage {
    database: TestDatabase,
    reference: Reference,
    models: tempfile::TempDir,
    service: Service,
    /// Genes that nothing was measured of.
    unmeasured: Vec<String>,
}

impl Stage {
    async fn open() -> Self {
        let database = TestDatabase::create(Database::Sqlite).await;
        let genome = lab::genome(150, 1);
        let (files, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = database.migrated().await;
        store.ingest(DATASET, &lab::table(&genome, files.path()), 1).await.unwrap();
        let reference = store.load_reference(DATASET).await.unwrap().unwrap();
        store.close().await;
        lab::train_as("p", &reference, BaselineKind::FlankingMean, Scale::Log2, models.path());
        write_genotype(models.path(), "g", 1);
        let unmeasured = genome.records.iter().filter(|one| one.expression.is_none() && one.gene.locus.is_some());
        let unmeasured = unmeasured.map(|one| one.gene.id.as_str().to_owned()).collect();
        let service = Service::start(database.open().await, models.path()).await;
        Self { database, reference, models, service, unmeasured }
    }

    async fn reload(&self) -> (u16, Value) {
        ask(self.service.address, "POST", RELOAD, "").await
    }

    /// The version that answers a prediction by a model's `name` or `name@version`.
    async fn predicted_by(&self, named: &str) -> u32 {
        let path = format!("/v1/predictions?model={named}&gene=ALPHA");
        let (status, answer) = ask(self.service.address, "POST", &path, &submission().to_string()).await;
        check_prediction(status, &answer)
    }

    /// The version that imputes a profile, and the profile.
    async fn imputed_by(&self, named: &str) -> (String, Value) {
        let gene = &self.unmeasured[0];
        let (status, profile) = self.service.get(&format!("/v1/genes/{gene}/profile?model={named}")).await;
        assert_eq!(status, 200, "{profile}");
        (profile["model"]["version"].as_str().unwrap().to_owned(), profile["tissues"].clone())
    }
}

#[test]
fn versions_come_move_and_go_under_load_without_a_failed_request() {
    block_on(async {
        let stage = Stage::open().await;
        let models = stage.models.path();
        let load = Load::start(stage.service.address, &stage.unmeasured);
        load.more(20).await;
        assert_eq!(stage.predicted_by("g").await, 1);
        let (version, first) = stage.imputed_by("p").await;
        assert_eq!(version, "1");

        write_genotype(models, "g", 2);
        lab::train_as("p", &stage.reference, BaselineKind::MeanProfile, Scale::Log2, models);
        let (status, answer) = stage.reload().await;
        // The watch may have come first: then the reload finds nothing new.
        assert_eq!((status, &answer["refused"]), (200, &json!([])), "{answer}");
        let served: Vec<(&str, bool)> = answer["models"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["model"].as_str().unwrap(), one["is_default"].as_bool().unwrap()))
            .collect();
        assert_eq!(served, [("p@1", false), ("p@2", true), ("g@1", false), ("g@2", true)]);
        assert_eq!(
            (stage.predicted_by("g").await, stage.predicted_by("g@1").await, stage.predicted_by("g@2").await),
            (2, 1, 2)
        );
        let (version, second) = stage.imputed_by("p").await;
        assert_eq!((version.as_str(), stage.imputed_by("p@1").await), ("2", ("1".to_owned(), first.clone())));
        assert!(second != first, "the versions differ");
        load.more(20).await;

        // The watch takes the move of a default.
        registry::set_default(models, "g", Some("1")).unwrap();
        registry::set_default(models, "p", Some("1")).unwrap();
        let moved = |_, body: &Value| {
            body["data"]
                .as_array()
                .is_some_and(|all| all.iter().all(|one| one["is_default"] == (one["version"] == "1")))
        };
        stage.service.wait_for("/v1/models", moved).await;
        assert_eq!((stage.predicted_by("g").await, stage.predicted_by("g@2").await), (1, 2));
        assert_eq!((stage.imputed_by("p").await.1, stage.imputed_by("p@2").await.1), (first, second));
        load.more(20).await;
        for name in ["g", "p"] {
            registry::set_default(models, name, None).unwrap();
        }
        assert_eq!(stage.reload().await.0, 200);
        assert_eq!((stage.predicted_by("g").await, stage.imputed_by("p").await.0.as_str()), (2, "2"));
        load.more(20).await;
        load.end().await;
        stage.service.stop().await;
    });
}

#[test]
fn a_spoilt_version_is_refused_a_mended_one_taken_and_a_removed_one_let_go() {
    block_on(async {
        let stage = Stage::open().await;
        let models = stage.models.path();
        let load = Load::start(stage.service.address, &stage.unmeasured);
        // Spoilt before it comes, as by a copy that went wrong.
        let elsewhere = tempfile::tempdir_in(models.parent().unwrap()).unwrap();
        let spoilt = write_genotype(elsewhere.path(), "g", 2);
        let whole = spoil(&spoilt.join(linear_file::WEIGHTS_FILE));
        fs::rename(&spoilt, models.join("g/2")).unwrap();
        let (status, problem) = stage.reload().await;
        assert_eq!((status, &problem["type"]), (422, &json!("/problems/models-refused")), "{problem}");
        let wrong = &problem["errors"][0];
        assert_eq!(wrong["pointer"], "g@2");
        assert!(wrong["detail"].as_str().unwrap().contains("has SHA-256"), "{problem}");
        assert!(!problem.to_string().contains(&models.display().to_string()), "{problem}");
        assert_eq!(stage.predicted_by("g").await, 1);
        let says = |_, body: &Value| body["checks"]["models"]["ok"] == false;
        let readiness = stage.service.wait_for("/readyz", says).await;
        assert_eq!(readiness["ready"], true, "{readiness}");
        load.more(20).await;

        fs::write(models.join("g/2").join(linear_file::WEIGHTS_FILE), whole).unwrap();
        let mended = |status, body: &Value| status == 200 && body["version"] == "2";
        stage.service.wait_for("/v1/models/g", mended).await;
        assert_eq!((stage.predicted_by("g").await, stage.predicted_by("g@1").await), (2, 1));
        stage.service.wait_for("/readyz", |_, body| body["checks"]["models"]["ok"] == true).await;
        load.more(20).await;
        // One that is served and is spoilt afterwards is served on from memory.
        spoil(&models.join("g/2").join(linear_file::WEIGHTS_FILE));
        assert_eq!(stage.reload().await.0, 422);
        assert_eq!(stage.predicted_by("g").await, 2);
        load.more(20).await;

        fs::remove_dir_all(models.join("g/2")).unwrap();
        let (status, answer) = stage.reload().await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(stage.predicted_by("g").await, 1);
        assert_eq!(stage.service.get("/v1/models/g@2").await.0, 404);
        load.more(20).await;
        load.end().await;
        fs::remove_dir_all(models.join("p")).unwrap();
        assert_eq!(stage.reload().await.0, 200);
        let (status, problem) = stage.service.get(&format!("/v1/genes/{}/profile?model=p", stage.unmeasured[0])).await;
        assert_eq!((status, &problem["type"]), (404, &json!("/problems/unknown-model")));
        stage.service.stop().await;
    });
}

#[test]
fn models_are_looked_at_while_the_database_is_away_and_reloads_wait_for_their_turn() {
    block_on(async {
        let stage = Stage::open().await;
        stage.service.wait_for("/readyz", |status, _| status == 200).await;
        stage.database.vanish().await;
        stage.service.wait_for("/readyz", |status, _| status == 503).await;
        write_genotype(stage.models.path(), "g", 2);
        stage.service.wait_for("/v1/models/g", |_, body| body["version"] == "2").await;
        lab::train_as("p", &stage.reference, BaselineKind::MeanProfile, Scale::Log2, stage.models.path());
        let reloads = tokio::join!(stage.reload(), stage.reload(), stage.reload());
        for (status, answer) in [reloads.0, reloads.1, reloads.2] {
            assert_eq!((status, answer["models"].as_array().map(Vec::len)), (200, Some(4)), "{answer}");
        }
        assert_eq!(stage.imputed_by("p").await.0, "2");
        stage.service.stop().await;
    });
}

#[test]
fn a_hang_up_reloads_the_program_and_the_command_line_moves_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let models = folder.join("models");
    write_genotype(&models, "g", 1);
    let served = Served::start_with(folder, "sqlite://lab.sqlite", &["--poll-seconds", "3600"]);
    let version = || served.get("/v1/models/g").1["version"].as_str().unwrap().to_owned();
    assert_eq!(version(), "1");
    let wait_for = |wanted: &str| {
        let until = Instant::now() + Duration::from_secs(30);
        while version() != wanted {
            assert!(Instant::now() < until, "version {wanted} does not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    write_genotype(&models, "g", 2);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(version(), "1", "nobody looks for an hour");
    served.signal("-HUP");
    wait_for("2");
    let said = succeed(folder, &["models", "default", "g", "1"]);
    assert!(said.contains("g means g@1"), "{said}");
    served.signal("-HUP");
    wait_for("1");
    let said = succeed(folder, &["models", "default", "g"]);
    assert!(said.contains("g@2"), "{said}");
    served.signal("-HUP");
    wait_for("2");
    let log = served.stop();
    assert!(log.contains("models were reloaded"), "{log}");
}

#[test]
fn the_command_line_follows_the_default_and_refuses_one_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let models = folder.join("models");
    for version in 1..=3 {
        write_genotype(&models, "g", version);
    }
    fs::write(folder.join("in.json"), submission().to_string()).unwrap();
    let predict = |named: &str| {
        succeed(folder, &["predict", "--model", named, "--json", "in.json", "--gene", "ALPHA", "--out", "out.json"]);
        let answer: Value = serde_json::from_slice(&fs::read(folder.join("out.json")).unwrap()).unwrap();
        check_prediction(200, &answer)
    };
    assert_eq!((predict("g"), predict("g@1"), predict("all")), (3, 1, 3));
    succeed(folder, &["models", "default", "g", "2"]);
    assert_eq!((predict("g"), predict("g@3"), predict("all")), (2, 3, 2));
    let listed: Value = serde_json::from_str(&succeed(folder, &["models", "list", "--format", "json"])).unwrap();
    let defaults: Vec<bool> =
        listed.as_array().unwrap().iter().map(|one| one["is_default"].as_bool().unwrap()).collect();
    assert_eq!(defaults, [false, true, false]);
    let text = succeed(folder, &["models", "list"]);
    assert!(text.lines().filter(|line| line.contains('*')).all(|line| line.contains(" 2* ")), "{text}");
    for (arguments, says) in [
        (&["models", "default", "g", "7"][..], "there is no model 'g@7' in models; there are: g@1, g@2, g@3"),
        (&["models", "default", "h"], "there is no model 'h'"),
    ] {
        let said = fail(folder, arguments);
        assert!(said.contains(says), "{said}");
    }
    spoil(&models.join("g/3").join(linear_file::WEIGHTS_FILE));
    assert!(fail(folder, &["models", "default", "g", "3"]).contains("g@3 does not pass its checks"));
    assert_eq!(predict("g"), 2, "what could not be set is not set");
    fs::remove_dir_all(models.join("g/2")).unwrap();
    let said = fail(folder, &["models", "check"]);
    assert!(said.contains("g FAILS") && said.contains("names version 2, which is not there"), "{said}");
}

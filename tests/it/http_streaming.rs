//! Answers that leave while the genotypes still come, and clients that lose interest.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use futures_core::Stream as _;
use tissuecast::http::state::HttpLimits;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use crate::http_support::{App, Row, Setup, expression_model};

const PEOPLE: usize = 3_000;
const GENES: usize = 60;
const PATIENCE: Duration = Duration::from_secs(20);

/// One variant a gene, all along the chromosome; values of many digits.
fn app() -> App {
    let text = |text: String| -> &'static str { text.leak() };
    let rows: Vec<Row> = (0..GENES)
        .map(|at| {
            let gene = text(format!("ENSG{at:011}"));
            (gene, text(format!("G{at}")), text(format!("rs{at}")), position(at), "A>G", weight(at))
        })
        .collect();
    let limits = HttpLimits { predictions: 1, waiting_predictions: 0, ..HttpLimits::default() };
    Setup { limits, expression_models: vec![expression_model("wide", &rows)], ..Setup::default() }.build()
}

/// Where the variant of a gene of the wide model is.
pub fn position(gene: usize) -> u32 {
    100_000 * (gene as u32 + 1)
}

/// What a copy of it adds.
pub fn weight(gene: usize) -> f64 {
    0.123_456_789 + gene as f64
}

/// The head of a VCF of the people P0, P1 and so on.
pub fn header(people: usize) -> String {
    let mut text = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT".to_owned();
    (0..people).for_each(|at| write!(text, "\tP{at}").unwrap());
    text + "\n"
}

/// The record of a gene's variant; everybody is heterozygous.
pub fn record(gene: usize, people: usize) -> String {
    format!("12\t{}\trs{gene}\tA\tG\t.\t.\t.\tGT{}\n", position(gene), "\t0/1".repeat(people))
}

type Sender = mpsc::Sender<Result<String, std::io::Error>>;

/// A request whose body comes piece by piece.
fn request() -> (Sender, Request<Body>) {
    let (sender, receiver) = mpsc::channel(4);
    let path = "/v1/predictions?model=wide&assembly=GRCh38";
    let request = Request::post(path).header("content-type", "text/vcf");
    (sender, request.body(Body::from_stream(Pieces(receiver))).unwrap())
}

struct Pieces(mpsc::Receiver<Result<String, std::io::Error>>);

impl futures_core::Stream for Pieces {
    type Item = Result<String, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

async fn next(body: &mut axum::body::BodyDataStream) -> Option<Bytes> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_next(context)).await.map(Result::unwrap)
}

/// Sends all but the last gene's record and waits for the answer to begin; nothing has ended the body yet.
async fn begun(app: &Arc<App>) -> (Sender, Response) {
    let (sender, request) = request();
    let router = app.router.clone();
    let answering = tokio::spawn(async move { router.oneshot(request).await.unwrap() });
    sender.send(Ok(header(PEOPLE))).await.unwrap();
    for gene in 0..GENES - 1 {
        sender.send(Ok(record(gene, PEOPLE))).await.unwrap();
    }
    let response = tokio::time::timeout(PATIENCE, answering).await.unwrap();
    (sender, response.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_begins_before_the_genotypes_end() {
    let app = Arc::new(app());
    let (sender, response) = begun(&app).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut stream = response.into_body().into_data_stream();
    let mut body = tokio::time::timeout(PATIENCE, next(&mut stream)).await.unwrap().unwrap().to_vec();
    assert!(body.starts_with(b"{\"samples\":[\"P0\""), "{}", String::from_utf8_lossy(&body[..40]));
    assert!(!sender.is_closed(), "the body is still wanted");
    sender.send(Ok(record(GENES - 1, PEOPLE))).await.unwrap();
    drop(sender);
    while let Some(more) = tokio::time::timeout(PATIENCE, next(&mut stream)).await.unwrap() {
        body.extend_from_slice(&more);
    }
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let genes = answer["genes"].as_array().unwrap();
    assert_eq!((genes.len(), &answer["report"]["records"]), (GENES, &GENES.into()));
    for gene in genes {
        let at: usize = gene["symbol"].as_str().unwrap()[1..].parse().unwrap();
        let values = gene["values"].as_array().unwrap();
        assert_eq!(values.len(), PEOPLE);
        assert!(values.iter().all(|value| (value.as_f64().unwrap() - weight(at)).abs() < 1e-5), "{at}");
    }
}

/// Asks until the only place is free again.
async fn place_comes_back(app: &App) {
    let mut body = header(PEOPLE);
    (0..GENES).for_each(|gene| body.push_str(&record(gene, PEOPLE)));
    let free = async {
        loop {
            let path = "/v1/predictions?model=wide&gene=G1&sample=P1";
            let request = Request::post(path).header("content-type", "text/vcf").body(Body::from(body.clone()));
            let answer = app.send(request.unwrap()).await;
            if answer.status == StatusCode::OK {
                break;
            }
            assert_eq!(answer.problem(), "/problems/overloaded");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_gives_its_place_back() {
    // One that goes on sending, one that says nothing more, one that hangs up.
    let app_of_one = Arc::new(app());
    let (sender, response) = begun(&app_of_one).await;
    drop(response);
    drop(sender.send(Ok(record(GENES - 1, PEOPLE))).await);
    place_comes_back(&app_of_one).await;
    let app_of_one = Arc::new(app());
    let (silent, response) = begun(&app_of_one).await;
    // All that there is to read has been read: the work waits for a record that does not come.
    let mut stream = response.into_body().into_data_stream();
    while tokio::time::timeout(Duration::from_millis(300), next(&mut stream)).await.is_ok() {}
    drop(stream);
    place_comes_back(&app_of_one).await;
    drop(silent);
    let app_of_one = Arc::new(app());
    let (sender, response) = begun(&app_of_one).await;
    drop((sender, response));
    place_comes_back(&app_of_one).await;
}

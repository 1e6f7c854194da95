use super::*;
use crate::telemetry::metrics::Reading;

/// Bytes, an error, or nothing for ever.
enum Step {
    Bytes(&'static str),
    Error,
    Silence,
}

/// A body that takes these steps.
struct Steps(Vec<Step>);

impl HttpBody for Steps {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        match self.0.remove(0) {
            Step::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(bytes.as_bytes()))))),
            Step::Error => Poll::Ready(Some(Err(std::io::Error::other("broken")))),
            Step::Silence => Poll::Pending,
        }
    }
}

fn ending(metrics: &Arc<Metrics>) -> Ending {
    let begun = Begun {
        id: "1".to_owned(),
        method: "GET",
        route: "/x".to_owned(),
        span: Span::none(),
        trace: Span::none(),
        audit: Audit::default(),
    };
    Ending::of(begun, metrics)
}

/// The lines of two metrics.
fn counted(metrics: &Metrics) -> (String, Vec<String>) {
    let reading = Reading {
        is_ready: true,
        store_answers: true,
        running: 0,
        waiting: 0,
        queues: Vec::new(),
        models: Vec::new(),
        models_refused: 0,
    };
    let text = metrics.text(&reading);
    let starting = |name: &str| text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect();
    let mut in_flight: Vec<String> = starting("tissuecast_http_requests_in_flight ");
    (in_flight.pop().unwrap(), starting("tissuecast_http_requests_total{"))
}

/// Reads an answer's body as far as it comes.
fn read(response: Response) -> Body {
    let mut body = response.into_body();
    let mut context = Context::from_waker(std::task::Waker::noop());
    while let Poll::Ready(Some(Ok(_))) = Pin::new(&mut body).poll_frame(&mut context) {}
    body
}

#[test]
fn a_request_is_in_flight_until_its_last_byte_and_ends_once() {
    let cases = [
        (vec![Step::Bytes("a"), Step::Bytes("b")], "200"),
        (vec![Step::Bytes("a"), Step::Error], "broken-off"),
        (vec![Step::Bytes("a"), Step::Silence], "aborted"),
    ];
    for (steps, outcome) in cases {
        let metrics = Arc::new(Metrics::new());
        let response = ending(&metrics).follow(Response::new(Body::new(Steps(steps))), &Method::GET);
        assert_eq!(counted(&metrics), ("tissuecast_http_requests_in_flight 1".to_owned(), Vec::new()));
        let body = read(response);
        drop(body);
        let line = format!("tissuecast_http_requests_total{{method=\"GET\",route=\"/x\",status=\"{outcome}\"}} 1");
        assert_eq!(counted(&metrics), ("tissuecast_http_requests_in_flight 0".to_owned(), vec![line]));
    }
}

#[test]
fn a_body_of_known_length_is_complete_with_its_last_byte_though_nobody_asks_for_its_end() {
    let metrics = Arc::new(Metrics::new());
    let response = ending(&metrics).follow(Response::new(Body::from("all of it")), &Method::GET);
    let mut body = response.into_body();
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(matches!(Pin::new(&mut body).poll_frame(&mut context), Poll::Ready(Some(Ok(_)))));
    drop(body);
    assert!(counted(&metrics).1[0].contains("status=\"200\""));
}

#[test]
fn what_is_sent_without_a_body_is_complete_and_what_got_no_answer_is_not() {
    for (method, body) in [(Method::GET, Body::empty()), (Method::HEAD, Body::from("not sent"))] {
        let metrics = Arc::new(Metrics::new());
        drop(ending(&metrics).follow(Response::new(body), &method));
        assert!(counted(&metrics).1[0].contains("status=\"200\""), "{method}");
    }
    let metrics = Arc::new(Metrics::new());
    drop(ending(&metrics));
    assert!(counted(&metrics).1[0].contains("status=\"aborted\""));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_is_gone_whatever_it_is_answered() {
    let broken = |kind| Body::from_stream(Once(Some(std::io::Error::from(kind))));
    for (kind, status) in [
        (std::io::ErrorKind::UnexpectedEof, "aborted"),
        (std::io::ErrorKind::ConnectionReset, "aborted"),
        (std::io::ErrorKind::InvalidData, "400"),
    ] {
        let metrics = Arc::new(Metrics::new());
        let ending = ending(&metrics);
        let request = ending.watch(Request::new(broken(kind)));
        assert!(axum::body::to_bytes(request.into_body(), 10).await.is_err());
        let mut response = Response::new(Body::from("malformed"));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        drop(read(ending.follow(response, &Method::POST)));
        assert!(counted(&metrics).1[0].contains(&format!("status=\"{status}\"")), "{kind}");
    }
}

/// A stream of one error.
struct Once(Option<std::io::Error>);

impl futures_core::Stream for Once {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

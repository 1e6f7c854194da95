//! Clients that dawdle, hang up, or come in numbers.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::wide_folder;
use crate::client::{
    Broken, Connection, LOOK, Reply, Server, check_small_prediction, chunk, chunked, get, packed, post,
    small_prediction, vcf,
};
use crate::http_streaming::{header, record};

/// In which a client that dawdles has to be sent away, and one that was waiting for its place has it; the limits that
/// the tests give are 2 s of silence and 10 s of a request's head.
const BOUND: Duration = Duration::from_secs(30);

/// In which a place is free again after its client has hung up. The service looks every 0.2 s; without a look it would
/// be the 15 s that a client may be silent.
const AFTER_A_HANG_UP: Duration = Duration::from_secs(3);

const PEOPLE: usize = 3_000;
const GENES: usize = 600;
const PREDICT: &str = "/v1/predictions?model=wide&assembly=GRCh38&min_overlap=0";

/// Sends an opening, then something small every 0.2 s until the service answers or hangs up; how that ended and when.
fn dawdle(address: SocketAddr, opening: &[u8], drip: &[u8]) -> (Result<Reply, Broken>, Duration) {
    let since = Instant::now();
    let mut connection = Connection::open(address).unwrap();
    connection.send(opening).unwrap();
    while !connection.has_word(Duration::from_millis(200)) {
        assert!(since.elapsed() < 2 * BOUND, "the service waits for a client that dawdles");
        if connection.send(drip).is_err() {
            break;
        }
    }
    (connection.reply(), since.elapsed())
}

#[test]
fn clients_that_send_slowly_are_sent_away_and_others_are_served() {
    let folder = wide_folder(60);
    let places = ["--predictions", "2", "--waiting-predictions", "0"];
    let limits = ["--idle-seconds", "2", "--min-transfer-bytes-per-second", "1000"];
    let server = Server::start(folder.path(), &[places, limits].concat());
    let (address, (sender, ends)) = (server.address, mpsc::channel());
    let begin = |what: &'static str, opening: Vec<u8>, drip: Vec<u8>| {
        let sender = sender.clone();
        thread::spawn(move || sender.send((what, dawdle(address, &opening, &drip))).unwrap())
    };
    let opening = [chunked(PREDICT, "text/vcf"), chunk("##fileformat=VCFv4.2\n#")].concat();
    for _ in 0..5 {
        begin("body", opening.clone(), chunk("#"));
        begin("head", b"GET /livez HTTP/1.1\r\nx-slow: ".to_vec(), b"a".to_vec());
    }
    // Two hold the places, three are told so at once.
    let mut refused = 0;
    while refused < 3 {
        let (what, (end, after)) = ends.recv_timeout(BOUND).unwrap();
        let reply = end.unwrap();
        assert_eq!((what, reply.problem().as_deref()), ("body", Some("/problems/overloaded")), "{reply:?} {after:?}");
        refused += 1;
    }
    let (reply, waited) = server.wait_for(&small_prediction(1), BOUND, |reply| reply.status == 200);
    check_small_prediction(1, &reply);
    println!("a place was free {waited:?} after two slow senders had taken both");
    for _ in 0..7 {
        let (what, (end, after)) = ends.recv_timeout(BOUND).unwrap();
        println!("slow {what}: ended after {after:?}");
        assert!(after < BOUND, "slow {what}: {after:?}");
        match (what, end) {
            ("body", Ok(reply)) => {
                assert_eq!(reply.problem().as_deref(), Some("/problems/malformed-genotypes"), "{reply:?}");
                assert!(reply.text().contains("slower than 1000 bytes a second"), "{}", reply.text());
            }
            (_, Ok(reply)) => assert_eq!((what, reply.status), ("head", 408)),
            (_, Err(Broken::Before(_))) => {}
            (_, Err(broken)) => panic!("{broken:?}"),
        }
    }
    server.stop();
}

/// Everybody's genotypes of all genes, which are little as they are sent and whose answer is large.
fn large_answer() -> Vec<u8> {
    post(PREDICT, "application/gzip", &packed(&vcf(PEOPLE, GENES)))
}

#[test]
fn clients_that_read_slowly_are_sent_away_and_others_are_served() {
    let folder = wide_folder(GENES);
    let places = ["--predictions", "1", "--waiting-predictions", "0", "--request-timeout-seconds", "5"];
    let limits = ["--idle-seconds", "2", "--min-transfer-bytes-per-second", "200000"];
    let server = Server::start(folder.path(), &[&places[..], &limits].concat());
    let mut slow = server.connect();
    slow.send(&large_answer()).unwrap();
    // It is fast for a good part of its answer, and slow from then on.
    let mut taken = 0;
    while taken < 6 << 20 {
        let more = slow.take(64 << 10).unwrap().len();
        assert!(more > 0, "the answer ends after {taken} bytes");
        taken += more;
    }
    assert_eq!(server.ask(&small_prediction(1)).problem().as_deref(), Some("/problems/overloaded"));
    let (left, gone) = mpsc::channel::<()>();
    let reading = thread::spawn(move || {
        while gone.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
            slow.take(10).unwrap();
        }
        // What had left by then is there; the rest is not, and that is seen.
        let mut rest = Vec::new();
        loop {
            match slow.take(1 << 20) {
                Ok(more) if more.is_empty() => return (rest, "closed".to_owned()),
                Ok(more) => rest.extend_from_slice(&more),
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("its connection is held open"),
                Err(error) => return (rest, error.to_string()),
            }
        }
    });
    let (reply, waited) = server.wait_for(&small_prediction(1), BOUND, |reply| reply.status == 200);
    check_small_prediction(1, &reply);
    println!("a place was free {waited:?} after a slow reader had begun to dawdle");
    // 2 s, and 5.2 s for a mebibyte at the least speed; what it had taken before would be worth half a minute.
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    // 5 s of a request and 15 s on top: then the connection goes, too.
    thread::sleep(Duration::from_secs(22).saturating_sub(waited));
    drop(left);
    let (rest, end) = reading.join().unwrap();
    println!("the slow reader found {} bytes more, then: {end}", rest.len());
    assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "half an answer ends as a whole one does");
    server.stop();
}

/// Waits until the only place is free again.
fn until_free(server: &Server, after: &str) -> Duration {
    let (reply, waited) = server.wait_for(&small_prediction(1), AFTER_A_HANG_UP, |reply| reply.status == 200);
    check_small_prediction(1, &reply);
    println!("{after}: free again after {waited:?}");
    waited
}

#[test]
fn a_client_that_hangs_up_gives_its_place_back() {
    let folder = wide_folder(GENES);
    let places = ["--predictions", "1", "--waiting-predictions", "0"];
    let server = Server::start(folder.path(), &places);

    let half = [chunked(PREDICT, "text/vcf"), chunk(&header(PEOPLE)), chunk(&record(0, PEOPLE))].concat();
    drop(server.take_place(&half));
    until_free(&server, "hung up in the middle of the upload");

    let mut client = server.take_place(&large_answer());
    assert!(!client.take(100).unwrap().is_empty());
    drop(client);
    until_free(&server, "hung up in the middle of the answer");

    // Records that no gene has, packed a thousandfold: they are there at once and take long to be read.
    let mut body = packed(&vcf(PEOPLE, 1));
    let filler = packed(&record(1_200, PEOPLE).replace("rs1200", ".").repeat(100));
    (0..200).for_each(|_| body.extend_from_slice(&filler));
    for path in [format!("{PREDICT}&gene=G0"), PREDICT.replace("predictions?", "predictions/check?")] {
        drop(server.take_place(&post(&path, "application/gzip", &body)));
        let gone = until_free(&server, "hung up while the upload was computed");
        // The same with a client that stays takes longer by far: the place was given back for the hang-up.
        let since = Instant::now();
        assert_eq!(server.ask(&post(&path, "application/gzip", &body)).status, 200);
        let whole = since.elapsed();
        println!("with a client that stays it takes {whole:?}");
        assert!(gone < whole, "{gone:?} {whole:?}");
    }
    server.stop();
}

#[test]
fn a_client_may_be_silent_for_as_long_as_it_was_told() {
    let folder = wide_folder(60);
    // 16 s of silence would be too long for any request but one that sends genotypes.
    let server = Server::start(folder.path(), &["--request-timeout-seconds", "1", "--idle-seconds", "60"]);
    let mut client = server.connect();
    let path = format!("{PREDICT}&gene=G1");
    client.send(&[chunked(&path, "text/vcf"), chunk(&header(4)), chunk(&record(0, 4))].concat()).unwrap();
    assert!(!client.has_word(Duration::from_secs(18)), "{:?}", client.reply());
    client.send(&[chunk(&record(1, 4)), chunk("")].concat()).unwrap();
    check_small_prediction(1, &client.reply().unwrap());
    server.stop();
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let folder = wide_folder(1);
    let server = Server::start(folder.path(), &["--max-connections", "4"]);
    let mut open: Vec<Connection> = (0..4).map(|_| server.connect()).collect();
    for connection in &mut open {
        assert_eq!(connection.ask(&get("/livez")).unwrap().status, 200);
    }
    let mut fifth = server.connect();
    fifth.send(&get("/livez")).unwrap();
    assert!(!fifth.has_word(Duration::from_secs(1)), "a fifth connection was served beside four");
    // Those that are there go on.
    assert_eq!(open[0].ask(&get("/livez")).unwrap().status, 200);
    let since = Instant::now();
    drop(open.pop());
    assert_eq!(fifth.reply().unwrap().status, 200);
    println!("the fifth connection had its answer {:?} after another was closed", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(5));
    thread::sleep(LOOK);
    drop((open, fifth));
    server.stop();
}

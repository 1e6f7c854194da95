//! A stop in the middle of the work.

use std::time::{Duration, Instant};

use super::wide_folder;
use crate::binary::PATIENCE;
use crate::client::{Connection, LOOK, Server, check_small_prediction, chunk, chunked};
use crate::http_streaming::{header, record};

/// A client in the middle of its upload, to a service that has been asked to stop.
fn stopped_in_an_upload(server: &Server) -> Connection {
    let path = "/v1/predictions?model=wide&assembly=GRCh38&gene=G1";
    let half = [chunked(path, "text/vcf"), chunk(&header(4)), chunk(&record(0, 4))].concat();
    let client = server.take_place(&half);
    server.running.terminate();
    let until = Instant::now() + PATIENCE;
    while Connection::open(server.address).is_ok() {
        assert!(Instant::now() < until, "it takes new connections after it was asked to stop");
        std::thread::sleep(LOOK);
    }
    client
}

const PLACES: [&str; 4] = ["--predictions", "1", "--waiting-predictions", "0"];

#[test]
fn an_upload_that_goes_on_is_answered_after_the_signal_to_stop() {
    let folder = wide_folder(2);
    let mut server = Server::start(folder.path(), &PLACES);
    let mut client = stopped_in_an_upload(&server);
    assert!(!client.has_word(Duration::from_secs(1)) && server.running.ended().is_none());
    client.send(&[chunk(&record(1, 4)), chunk("")].concat()).unwrap();
    check_small_prediction(1, &client.reply().unwrap());
    assert_eq!(server.running.end(Duration::from_secs(10)).code(), Some(0), "{}", server.running.messages());
}

#[test]
fn an_upload_that_stalls_is_cut_off_at_the_deadline() {
    let folder = wide_folder(2);
    let mut server = Server::start(folder.path(), &[&PLACES[..], &["--drain-seconds", "2"]].concat());
    let mut client = stopped_in_an_upload(&server);
    let since = Instant::now();
    let status = server.running.end(Duration::from_secs(12));
    let said = server.running.messages();
    println!("it ended {:?} after its last connection was refused", since.elapsed());
    assert!(!status.success() && said.contains("did not end within the deadline"), "{status}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(client.reply().is_err(), "an answer to half an upload");
}

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

pub(crate) fn bgzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = noodles_bgzf::io::Writer::new(Vec::new());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// A source that gives a few bytes at a time, with an interruption before each.
struct Drip(std::io::Cursor<Vec<u8>>, usize, bool);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.2 = !self.2;
        if self.2 {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let count = buffer.len().min(self.1);
        self.0.read(&mut buffer[..count])
    }
}

fn read_all(bytes: Vec<u8>, step: usize, limits: &ReadLimits) -> Result<Vec<u8>, GenotypeError> {
    let mut input = Input::new("test", Drip(std::io::Cursor::new(bytes), step, false), limits)?;
    let mut all = Vec::new();
    loop {
        let bytes = input.fill()?;
        if bytes.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(bytes);
        let count = bytes.len();
        input.consume(count);
    }
}

fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"ACGT\n"[(state >> 24) as usize % 5]
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn every_compression_gives_the_same_bytes() {
    let limits = ReadLimits::default();
    for count in [0, 1, 17, 18, 19, 70_000, FIRST - 1, FIRST, FIRST + 1, CHUNK + FIRST + 5] {
        let plain = noise(count);
        let (half, rest) = plain.split_at(count / 3);
        // More extra fields than bgzip's are allowed in gzip.
        let mut extra = bgzip(&plain);
        extra[10] = 10;
        extra.splice(12..12, [b'X', b'Y', 0, 0]);
        for (kind, bytes) in [
            ("plain", plain.clone()),
            ("gzip", gzip(&plain)),
            ("members", [gzip(half), gzip(rest)].concat()),
            ("bgzip", bgzip(&plain)),
            ("bgzip twice", [bgzip(half), bgzip(rest)].concat()),
            ("extra field", extra),
        ] {
            for step in [1_000_003, 4_099] {
                assert!(read_all(bytes.clone(), step, &limits).unwrap() == plain, "{kind} {count} {step}");
            }
        }
    }
    assert_eq!(read_all(gzip(b"drop by drop"), 1, &limits).unwrap(), b"drop by drop");
}

#[test]
fn a_cut_or_damaged_file_is_refused_wherever_it_is_cut() {
    let limits = ReadLimits::default();
    for whole in [gzip(&noise(500)), bgzip(&noise(500)), bgzip(&noise(150_000))] {
        let cuts = (2..whole.len().min(600)).chain(whole.len() - 60..whole.len());
        for cut in cuts {
            let error = read_all(whole[..cut].to_vec(), 1 << 20, &limits).unwrap_err();
            assert!(matches!(error.fault, Fault::Compressed(_)), "{cut} of {}: {error}", whole.len());
        }
        let mut damaged = whole.clone();
        damaged[200] ^= 0x55;
        assert!(matches!(read_all(damaged, 1 << 20, &limits).unwrap_err().fault, Fault::Compressed(_)));
    }
    let error = read_all(bgzip(b"text")[..20].to_vec(), 9, &limits).unwrap_err();
    assert_eq!(error.to_string(), "test: the compressed data is damaged or cut off");
    let Fault::Compressed(cause) = error.fault else { panic!() };
    assert!(cause.to_string().contains("send the whole file"));
}

#[test]
fn what_came_before_the_fault_is_read() {
    let whole = bgzip(&noise(2 * CHUNK));
    let mut input =
        Input::new("test", std::io::Cursor::new(whole[..whole.len() - 9].to_vec()), &ReadLimits::default()).unwrap();
    let mut all = vec![0; 2 * CHUNK];
    assert_eq!(input.read_full(&mut all).unwrap(), all.len());
    assert!(all == noise(2 * CHUNK));
    assert!(input.fill().is_err());
}

#[test]
fn a_bomb_stops_at_the_limit() {
    for (kind, bomb) in [("gzip", gzip(&vec![b'x'; 12 << 20])), ("bgzip", bgzip(&vec![b'x'; 12 << 20]))] {
        for most in [1000, (5 << 20) + 1] {
            let limits = ReadLimits { decompressed_bytes: most, ..ReadLimits::default() };
            let error = read_all(bomb.clone(), 1 << 20, &limits).unwrap_err();
            assert!(error.to_string().contains(&format!("more than {most} bytes after")), "{kind}: {error}");
        }
    }
    let limits = ReadLimits { decompressed_bytes: 10, ..ReadLimits::default() };
    assert_eq!(read_all(gzip(b"0123456789"), 5, &limits).unwrap(), b"0123456789");
    assert!(read_all(b"0123456789a".to_vec(), 5, &limits).is_err());
}

#[test]
fn other_compressions_are_named() {
    for (head, kind) in [(&b"PK\x03\x04abc"[..], "zip"), (b"\xfd7zXZ\0", "xz"), (b"BZh91AY&SY", "bzip2")] {
        let error = read_all(head.to_vec(), 99, &ReadLimits::default()).unwrap_err();
        assert!(matches!(error.fault, Fault::Unsupported(_)) && error.to_string().contains(kind), "{error}");
    }
}

/// A source that waits until it is told to go on, and tells when it is dropped.
struct Blocking {
    bytes: std::io::Cursor<Vec<u8>>,
    go_on: Receiver<()>,
    _dropped: Sender<()>,
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        if count == 0 && self.go_on.recv().is_err() {
            return Err(std::io::Error::other("the client went away"));
        }
        Ok(count)
    }
}

#[test]
fn dropping_waits_for_nobody_and_leaves_nobody() {
    for after in [4 * CHUNK, 12 * CHUNK] {
        let mut bytes = gzip(&noise(after));
        bytes.truncate(bytes.len() - 20);
        let ((continued, go_on), (dropped, gone)) = (channel(), channel());
        let source = Blocking { bytes: std::io::Cursor::new(bytes), go_on, _dropped: dropped };
        let mut input = Input::new("test", source, &ReadLimits::default()).unwrap();
        let mut start = vec![0; 2 * FIRST];
        assert_eq!(input.read_full(&mut start).unwrap(), start.len());
        // Its thread waits for the source, or for room.
        std::thread::sleep(Duration::from_millis(20));
        drop(input);
        drop(continued);
        let ended = gone.recv_timeout(Duration::from_secs(10));
        assert_eq!(ended, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    }
}

#[test]
fn a_source_that_fails_is_not_called_damaged() {
    let mut bytes = gzip(&noise(4 * CHUNK));
    bytes.truncate(bytes.len() - 20);
    let ((continued, go_on), (dropped, _gone)) = (channel::<()>(), channel());
    drop(continued);
    let source = Blocking { bytes: std::io::Cursor::new(bytes), go_on, _dropped: dropped };
    let mut input = Input::new("test", source, &ReadLimits::default()).unwrap();
    let error = input.read_full(&mut vec![0; 5 * CHUNK]).unwrap_err();
    assert!(matches!(&error.fault, Fault::Io(cause) if cause.to_string() == "the client went away"), "{error:?}");
}

fn lines(bytes: Vec<u8>, step: usize, limits: &ReadLimits) -> Result<Vec<Vec<u8>>, GenotypeError> {
    let mut lines = Lines::new(Input::new("test", Drip(std::io::Cursor::new(bytes), step, false), limits)?, limits);
    let mut all = Vec::new();
    while lines.advance()? {
        all.push(lines.current().to_vec());
        assert_eq!(lines.number(), all.len() as u64);
    }
    assert!(!lines.advance().unwrap() && lines.current().is_empty());
    assert_eq!(lines.number(), all.len() as u64);
    Ok(all)
}

#[test]
fn line_breaks_and_byte_order_marks_are_not_of_the_line() {
    let limits = ReadLimits::default();
    let read = |text: &str| lines(text.as_bytes().to_vec(), 3, &limits).unwrap();
    assert_eq!(read("\u{feff}a\r\n\r\nb\n\nc"), [&b"a"[..], b"", b"b", b"", b"c"]);
    assert_eq!(read("a\n\u{feff}\n"), [&b"a"[..], b"\xef\xbb\xbf"]);
    assert!(read("").is_empty());
}

#[test]
fn a_long_line_is_refused_before_it_is_kept() {
    let limits = ReadLimits { record_bytes: 1000, ..ReadLimits::default() };
    let mut text = b"short\n".to_vec();
    text.resize(9 << 20, b'x');
    for bytes in [text.clone(), gzip(&text)] {
        let mut lines = Lines::new(Input::new("test", std::io::Cursor::new(bytes), &limits).unwrap(), &limits);
        assert!(lines.advance().unwrap());
        let error = lines.advance().unwrap_err().to_string();
        assert_eq!(error, "test, line 2: it has more than 1000 bytes of one record, the limit here");
        assert!(lines.line.capacity() < 4096);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn lines_are_what_splitting_gives(text in "[ab\r\n]{0,300}", step in 1_usize..40, gz in any::<bool>()) {
        let bytes = if gz { gzip(text.as_bytes()) } else { text.clone().into_bytes() };
        let expected: Vec<Vec<u8>> = text.split_inclusive('\n').map(|line| {
            let line = line.strip_suffix('\n').unwrap_or(line);
            line.strip_suffix('\r').unwrap_or(line).as_bytes().to_vec()
        }).collect();
        prop_assert_eq!(lines(bytes, step, &ReadLimits::default()).unwrap(), expected);
    }

    #[test]
    fn never_panics(head in 0_usize..4, bytes in any::<Vec<u8>>(), at in any::<usize>()) {
        let limits = ReadLimits { decompressed_bytes: 1 << 20, ..ReadLimits::default() };
        let mut whole = match head { 0 => bgzip(&bytes), 1 => gzip(&bytes), _ => bytes };
        if !whole.is_empty() {
            let at = at % whole.len();
            whole[at] = whole[at].wrapping_add(1);
        }
        let _ = read_all(whole, 64, &limits);
    }
}

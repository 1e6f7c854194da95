//! Changes to files: small and large, blind and with an eye for numbers and lines. The same number gives the same files.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// No file grows beyond it.
const LONGEST: usize = 256 << 10;

const NUMBERS: [&str; 24] = [
    "0",
    "-1",
    "1",
    "2",
    "3",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "-9223372036854775809",
    "1e309",
    "1e-400",
    "nan",
    "-inf",
    ".",
    "2.0005",
    "-0.5",
    "1e",
    "0x10",
];
const TOKENS: [&[u8]; 20] = [
    b"\t",
    b"\n",
    b"\r\n",
    b" ",
    b",",
    b";",
    b":",
    b"/",
    b"|",
    b".",
    b"\0",
    b"\xff\xfe",
    b"#",
    b"./.",
    b"<DEL>",
    b"*",
    b"\"",
    b"{",
    b"[",
    b"1|2/3",
];
const WORDS: [u64; 14] = [
    0,
    1,
    2,
    127,
    128,
    255,
    32_767,
    32_768,
    65_535,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// The files of execution `number`: those of one seed with a few changes.
pub fn mutated(seeds: &[Vec<Vec<u8>>], number: u64) -> Vec<Vec<u8>> {
    let mut random = ChaCha8Rng::seed_from_u64(number);
    let mut files = seeds[random.random_range(0..seeds.len())].clone();
    let mut changes = 1;
    while changes < 8 && random.random_range(0..2) == 0 {
        changes += 1;
    }
    for _ in 0..changes {
        let which = random.random_range(0..files.len());
        let other = seeds[random.random_range(0..seeds.len())].get(which).cloned().unwrap_or_default();
        change(&mut files[which], &other, &mut random);
        files[which].truncate(LONGEST);
    }
    files
}

fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        bytes.extend_from_slice(other);
        return;
    }
    let at = place(bytes, random);
    match random.random_range(0..14) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => bytes[at] = WORDS[random.random_range(0..6)] as u8,
        2 => bytes[at] = random.random(),
        3 => {
            let word = match random.random_range(0..3) {
                0 => WORDS[random.random_range(0..WORDS.len())],
                1 => bytes.len() as u64,
                _ => random.random_range(0..bytes.len() as u64),
            };
            let width = 1 << random.random_range(0..4);
            let little = word.to_le_bytes();
            bytes.iter_mut().skip(at).zip(&little[..width]).for_each(|(byte, new)| *byte = *new);
        }
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(..at)),
        6 => drop(bytes.drain(at..(at + length(random)).min(bytes.len()))),
        7 => {
            let block = bytes[at..(at + length(random)).min(bytes.len())].to_vec();
            let to = random.random_range(0..=bytes.len());
            for _ in 0..random.random_range(1..4) {
                bytes.splice(to..to, block.iter().copied());
            }
        }
        8 if !other.is_empty() => {
            let from = random.random_range(0..other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        9 | 10 => number(bytes, at, random),
        11 => {
            let token = TOKENS[random.random_range(0..TOKENS.len())];
            bytes.splice(at..at, token.iter().copied());
        }
        12 => lines(bytes, random),
        _ => field(bytes, at, random),
    }
}

/// A place in the file; heads are small and matter, so half of all places are near the beginning.
fn place(bytes: &[u8], random: &mut ChaCha8Rng) -> usize {
    let within = if random.random_range(0..2) == 0 { bytes.len().min(400) } else { bytes.len() };
    random.random_range(0..within)
}

fn length(random: &mut ChaCha8Rng) -> usize {
    let most = [2, 16, 200, 4_000][random.random_range(0..4)];
    random.random_range(1..=most)
}

/// Writes another number over the one at or after the place.
fn number(bytes: &mut Vec<u8>, at: usize, random: &mut ChaCha8Rng) {
    let Some(start) = (at..bytes.len()).find(|at| bytes[*at].is_ascii_digit()) else { return };
    let end = (start..bytes.len()).find(|at| !bytes[*at].is_ascii_digit()).unwrap_or(bytes.len());
    let new = NUMBERS[random.random_range(0..NUMBERS.len())];
    bytes.splice(start..end, new.bytes());
}

/// Exchanges, repeats or removes lines.
fn lines(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let (one, two) = (random.random_range(0..lines.len()), random.random_range(0..lines.len()));
    match random.random_range(0..3) {
        0 => lines.swap(one, two),
        1 => lines.insert(two, lines[one]),
        _ => drop(lines.remove(one)),
    }
    *bytes = lines.concat();
}

/// Empties the field at the place, or writes the next one over it.
fn field(bytes: &mut Vec<u8>, at: usize, random: &mut ChaCha8Rng) {
    let parts = |byte: &u8| b"\t\n ,:".contains(byte);
    let start = bytes[..at].iter().rposition(parts).map_or(0, |at| at + 1);
    let end = bytes[at..].iter().position(parts).map_or(bytes.len(), |more| at + more);
    if random.random_range(0..2) == 0 {
        bytes.drain(start..end);
    } else {
        let next: Vec<u8> = bytes.iter().skip(end + 1).take_while(|byte| !parts(byte)).copied().collect();
        bytes.splice(start..end, next);
    }
}

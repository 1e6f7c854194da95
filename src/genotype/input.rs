//! The bytes of an input: plain, gzip or bgzip by what they begin with, counted against the limits, line by line.
//!
//! What is compressed and longer than one buffer is inflated ahead on a thread of its own, a few buffers at most, so
//! that parsing and inflating share two cores. Invariants: memory is bounded by a few buffers and one line,
//! whatever the input claims; dropping an [`Input`] never waits for its source.

mod inflate;

use std::io::Read;

use self::inflate::{Ahead, Inflater, read_some};
use super::{Fault, GenotypeError, Limit, Place, ReadLimits};

/// Bytes that are inflated before there is a thread: small inputs do without one.
const FIRST: usize = 256 << 10;
/// Bytes of a buffer.
const CHUNK: usize = 1 << 20;
/// Buffers in use: one is being parsed, one being filled, the others wait.
const AHEAD: usize = 4;
/// Bytes that tell how an input is compressed.
const HEAD: usize = 18;

/// Decompressed bytes of one input.
pub struct Input {
    name: Box<str>,
    feed: Feed,
    chunk: Vec<u8>,
    at: usize,
    left: u64,
    most: u64,
}

/// Where the next buffer comes from.
enum Feed {
    Plain(Box<dyn Read + Send>),
    Inflate { inflater: Inflater, first: bool },
    Ahead(Ahead),
    Failed(Fault),
    Ended,
}

impl Input {
    /// Opens an input by what it begins with; `name` is the file's or part's name, for errors.
    ///
    /// # Errors
    /// It cannot be read, or it is compressed in another way than gzip and bgzip.
    pub fn new(name: &str, source: impl Read + Send + 'static, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        Self::open(source, limits.decompressed_bytes, name).map_err(|error| error.in_file(name))
    }

    fn open(mut source: impl Read + Send + 'static, most: u64, name: &str) -> Result<Self, GenotypeError> {
        let mut head = vec![0; FIRST];
        let mut filled = 0;
        while filled < HEAD {
            match read_some(&mut source, &mut head, filled) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) => return Err(GenotypeError::new(Fault::Io(error))),
            }
        }
        head.truncate(filled);
        if let Some(kind) = foreign(&head) {
            let what = format!("it is compressed as {kind}: send it plain, or compressed with gzip or bgzip");
            return Err(GenotypeError::new(Fault::Unsupported(what)));
        }
        let (feed, chunk) = if head.starts_with(&[0x1f, 0x8b]) {
            (Feed::Inflate { inflater: Inflater::new(head, source), first: true }, Vec::new())
        } else {
            (Feed::Plain(Box::new(source)), head)
        };
        Ok(Self { name: name.into(), feed, chunk, at: 0, left: most, most })
    }

    /// Returns the input's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the bytes that are at hand, at least one unless the input has ended; the first time at least 18 of
    /// them where the input is that long, which is enough to tell a format.
    ///
    /// # Errors
    /// The input cannot be read, is damaged, or passes the limit of decompressed bytes.
    pub fn fill(&mut self) -> Result<&[u8], GenotypeError> {
        if self.at >= self.chunk.len() {
            self.at = 0;
            if let Err(fault) = self.refill() {
                self.chunk.clear();
                return Err(GenotypeError::new(fault).in_file(&self.name));
            }
        }
        if self.left == 0 && self.at < self.chunk.len() {
            return Err(GenotypeError::limit(Limit::DecompressedBytes, self.most).in_file(&self.name));
        }
        Ok(self.at_hand())
    }

    /// Marks `count` of the bytes at hand as read.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.at_hand().len());
        self.at += count;
        self.left -= count as u64;
    }

    /// Fills `buffer` whole; returns how many bytes there were before the end.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize, GenotypeError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                break;
            }
            let count = bytes.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&bytes[..count]);
            self.consume(count);
            filled += count;
        }
        Ok(filled)
    }

    /// Returns what the last [`Self::fill`] left unread.
    fn at_hand(&self) -> &[u8] {
        let bytes = self.chunk.get(self.at..).unwrap_or_default();
        // The limit is kept to the byte, wherever the buffers end.
        let allowed = usize::try_from(self.left).unwrap_or(usize::MAX);
        bytes.get(..allowed).unwrap_or(bytes)
    }

    /// Replaces the buffer; it is empty at the end.
    fn refill(&mut self) -> Result<(), Fault> {
        let feed = std::mem::replace(&mut self.feed, Feed::Ended);
        self.feed = match feed {
            Feed::Plain(mut source) => {
                self.chunk.resize(CHUNK, 0);
                let count = read_some(&mut source, &mut self.chunk, 0).map_err(Fault::Io)?;
                self.chunk.truncate(count);
                if count == 0 { Feed::Ended } else { Feed::Plain(source) }
            }
            Feed::Inflate { mut inflater, first: true } => match inflater.inflate(&mut self.chunk, FIRST) {
                Ok(true) => Feed::Ended,
                Ok(false) => Feed::Inflate { inflater, first: false },
                Err(fault) if self.chunk.is_empty() => return Err(fault),
                Err(fault) => Feed::Failed(fault),
            },
            Feed::Inflate { inflater, first: false } => {
                let ahead = Ahead::start(inflater).map_err(Fault::Io)?;
                return self.take_from(ahead);
            }
            Feed::Ahead(ahead) => return self.take_from(ahead),
            Feed::Failed(fault) => return Err(fault),
            Feed::Ended => {
                self.chunk.clear();
                Feed::Ended
            }
        };
        Ok(())
    }

    fn take_from(&mut self, ahead: Ahead) -> Result<(), Fault> {
        self.chunk = ahead.next(std::mem::take(&mut self.chunk))?;
        if !self.chunk.is_empty() {
            self.feed = Feed::Ahead(ahead);
        }
        Ok(())
    }
}

/// Returns the name of a compression that is not read here.
fn foreign(head: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 2] = [(b"PK\x03\x04", "a zip archive"), (b"\xfd7zXZ\0", "xz")];
    let bzip2 = head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY");
    let kind = KINDS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, kind)| *kind);
    kind.or_else(|| bzip2.then_some("bzip2"))
}

/// An input line by line.
pub struct Lines {
    input: Input,
    /// The line, where it does not lie whole in the input's buffer.
    line: Vec<u8>,
    /// How much of the input's buffer is the current line.
    held: usize,
    number: u64,
    most: usize,
    terminated: bool,
}

impl Lines {
    /// Reads an input as lines.
    #[must_use]
    pub fn new(input: Input, limits: &ReadLimits) -> Self {
        Self { input, line: Vec::new(), held: 0, number: 0, most: limits.record_bytes, terminated: true }
    }

    /// Returns the input's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.input.name()
    }

    /// Returns the number of the current line, from 1; 0 before the first.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the current line's place; before the first line that is the whole input.
    #[must_use]
    pub fn place(&self) -> Place {
        if self.number == 0 { Place::Whole } else { Place::Line(self.number) }
    }

    /// Returns whether the current line ends with a line break; only the last one may not.
    #[must_use]
    pub fn terminated(&self) -> bool {
        self.terminated
    }

    /// Goes to the next line; `false` at the end, where the number stays that of the last line.
    ///
    /// # Errors
    /// As [`Input::fill`], or the line is longer than the limit.
    pub fn advance(&mut self) -> Result<bool, GenotypeError> {
        self.input.consume(std::mem::take(&mut self.held));
        self.line.clear();
        self.terminated = false;
        let place = Place::Line(self.number + 1);
        loop {
            let bytes = self.input.fill().map_err(|error| error.at(place))?;
            let end = memchr::memchr(b'\n', bytes);
            let count = end.map_or(bytes.len(), |end| end + 1);
            if self.line.len() + count > self.most {
                let error = GenotypeError::limit(Limit::RecordBytes, self.most as u64);
                return Err(error.in_file(self.input.name()).at(place));
            }
            let ended = count == 0;
            self.terminated = end.is_some();
            if self.terminated && self.line.is_empty() {
                self.held = count;
            } else {
                self.line.extend_from_slice(&bytes[..count]);
                self.input.consume(count);
            }
            if self.terminated || ended {
                let any = self.held + self.line.len() > 0;
                self.number += u64::from(any);
                return Ok(any);
            }
        }
    }

    /// Returns the current line without its line break, and without a byte order mark.
    #[must_use]
    pub fn current(&self) -> &[u8] {
        let line = if self.held > 0 { self.input.at_hand().get(..self.held).unwrap_or_default() } else { &self.line };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line }
    }

    /// Returns a fault at the current line.
    #[must_use]
    pub fn fault(&self, fault: Fault) -> GenotypeError {
        GenotypeError::new(fault).in_file(self.input.name()).at(self.place())
    }
}

#[cfg(test)]
pub(crate) mod tests;

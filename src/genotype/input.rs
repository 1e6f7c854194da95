//! The bytes of an input: plain, gzip or bgzip by what they begin with, counted against the limits, line by line.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::{Fault, GenotypeError, Limit, Place, ReadLimits};

const BUFFER: usize = 256 << 10;

/// Decompressed bytes of one input.
pub struct Input {
    name: Box<str>,
    reader: Box<dyn BufRead + Send>,
    left: u64,
    most: u64,
    compressed: bool,
}

impl Input {
    /// Opens an input by what it begins with; `name` is the file's or part's name, for errors.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn new(name: &str, source: impl Read + Send + 'static, limits: &ReadLimits) -> Result<Self, GenotypeError> {
        let mut source = BufReader::with_capacity(BUFFER, source);
        let head = source.fill_buf().map_err(|error| GenotypeError::new(Fault::Io(error)).in_file(name))?;
        let compressed = head.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn BufRead + Send> = if compressed {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(source)))
        } else {
            Box::new(source)
        };
        let most = limits.decompressed_bytes;
        Ok(Self { name: name.into(), reader, left: most, most, compressed })
    }

    /// Returns the input's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the bytes that are at hand, at least one unless the input has ended.
    ///
    /// # Errors
    /// The input cannot be read, is damaged, or passes the limit of decompressed bytes.
    pub fn fill(&mut self) -> Result<&[u8], GenotypeError> {
        let compressed = self.compressed;
        let bytes = match self.reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) => {
                let fault = if compressed { Fault::Compressed(error) } else { Fault::Io(error) };
                return Err(GenotypeError::new(fault).in_file(&self.name));
            }
        };
        if bytes.len() as u64 > self.left {
            return Err(GenotypeError::limit(Limit::DecompressedBytes, self.most).in_file(&self.name));
        }
        Ok(bytes)
    }

    /// Marks `count` of the bytes at hand as read.
    pub fn consume(&mut self, count: usize) {
        self.left -= count as u64;
        self.reader.consume(count);
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
}

/// An input line by line.
pub struct Lines {
    input: Input,
    line: Vec<u8>,
    number: u64,
    most: usize,
}

impl Lines {
    /// Reads an input as lines.
    #[must_use]
    pub fn new(input: Input, limits: &ReadLimits) -> Self {
        Self { input, line: Vec::new(), number: 0, most: limits.record_bytes }
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

    /// Returns the current line's place.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::Line(self.number)
    }

    /// Goes to the next line; `false` at the end.
    ///
    /// # Errors
    /// As [`Input::fill`], or the line is longer than the limit.
    pub fn advance(&mut self) -> Result<bool, GenotypeError> {
        self.line.clear();
        self.number += 1;
        loop {
            let bytes = self.input.fill().map_err(|error| error.at(Place::Line(self.number)))?;
            if bytes.is_empty() {
                return Ok(!self.line.is_empty());
            }
            let end = memchr::memchr(b'\n', bytes);
            let count = end.map_or(bytes.len(), |end| end + 1);
            if self.line.len() + count > self.most {
                let error = GenotypeError::limit(Limit::RecordBytes, self.most as u64);
                return Err(error.in_file(self.input.name()).at(Place::Line(self.number)));
            }
            self.line.extend_from_slice(&bytes[..count]);
            self.input.consume(count);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// Returns the current line without its line break.
    #[must_use]
    pub fn current(&self) -> &[u8] {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Returns a fault at the current line.
    #[must_use]
    pub fn fault(&self, fault: Fault) -> GenotypeError {
        GenotypeError::new(fault).in_file(self.input.name()).at(self.place())
    }
}

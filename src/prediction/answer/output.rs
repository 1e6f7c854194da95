//! Where an answer's bytes go: gathered into pieces of some size, packed where that is asked for.
//!
//! Invariant: what is dropped before [`Output::finish`] gets no trailer, so that half an answer cannot pass for a
//! whole one.

use std::io::{self, Write};

use noodles_bgzf::io::Writer as Bgzip;

/// Bytes that are gathered before they are passed on.
const PIECE: usize = 64 << 10;

/// How a text form is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// As blocked gzip, which `gzip` unpacks and `tabix` indexes.
    Bgzip,
}

enum Sink<W: Write> {
    Plain(W),
    Bgzip(Bgzip<W>),
}

/// A buffered, possibly packing way to a [`Write`].
pub struct Output<W: Write> {
    buffer: Vec<u8>,
    /// `None` once the answer is finished.
    sink: Option<Sink<W>>,
}

impl<W: Write> Output<W> {
    /// Returns a way to `w`, packed as `packing` says.
    #[must_use]
    pub fn new(w: W, packing: Packing) -> Self {
        let sink = match packing {
            Packing::Plain => Sink::Plain(w),
            Packing::Bgzip => Sink::Bgzip(Bgzip::new(w)),
        };
        Self { buffer: Vec::new(), sink: Some(sink) }
    }

    /// Returns the bytes that wait; text is appended here and passed on by [`Self::spill`].
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Passes the waiting bytes on if they make a piece.
    pub(super) fn spill(&mut self) -> io::Result<()> {
        if self.buffer.len() >= PIECE { self.pass_on() } else { Ok(()) }
    }

    /// Passes everything on, with the packing's trailer.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.pass_on()?;
        match self.sink.take() {
            Some(Sink::Plain(mut w)) => w.flush(),
            Some(Sink::Bgzip(w)) => w.finish()?.flush(),
            None => Err(finished()),
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Some(Sink::Plain(w)) => w.write_all(&self.buffer)?,
            Some(Sink::Bgzip(w)) => w.write_all(&self.buffer)?,
            None => return Err(finished()),
        }
        self.buffer.clear();
        Ok(())
    }
}

fn finished() -> io::Error {
    io::Error::other("the answer was finished before")
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        self.spill()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()?;
        match &mut self.sink {
            Some(Sink::Plain(w)) => w.flush(),
            Some(Sink::Bgzip(w)) => w.flush(),
            None => Err(finished()),
        }
    }
}

impl<W: Write> Drop for Output<W> {
    fn drop(&mut self) {
        if let Some(Sink::Bgzip(w)) = self.sink.take() {
            // Dropped as it is it would write the end-of-file marker.
            let _ = w.into_inner();
        }
    }
}

impl<W: Write> std::fmt::Debug for Output<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("waiting", &self.buffer.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn only_a_finished_answer_has_a_trailer() {
        let text = vec![b'x'; 3 * PIECE];
        for finish in [true, false] {
            let mut bytes = Vec::new();
            let mut output = Output::new(&mut bytes, Packing::Bgzip);
            output.write_all(&text).unwrap();
            if finish {
                output.finish().unwrap();
                assert!(output.write_all(&text).is_err());
            }
            drop(output);
            let ends = bytes.ends_with(&[0x1b, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(ends, finish);
            let mut back = Vec::new();
            flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut back).unwrap();
            assert_eq!(back == text, finish);
        }
    }

    #[test]
    fn small_writes_are_gathered() {
        struct Count(usize);
        impl Write for Count {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut count = Count(0);
        let mut output = Output::new(&mut count, Packing::Plain);
        (0..2 * PIECE).for_each(|_| output.write_all(b"y").unwrap());
        output.finish().unwrap();
        drop(output);
        assert!(count.0 <= 3, "{}", count.0);
    }
}

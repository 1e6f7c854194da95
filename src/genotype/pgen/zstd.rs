//! An input that is compressed by Zstandard, as PLINK 2 writes `.pvar.zst`.
//!
//! Imports the vocabulary of `genotype` alone. Invariant: at most [`MOST_WINDOW`] and one block are in memory.

use std::error::Error;
use std::io::{self, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::genotype::input::Input;
use crate::genotype::{Fault, GenotypeError, ReadLimits};

/// What a Zstandard frame begins with.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The largest window that is decoded: that of level 19, the highest one below `--ultra`, and what the format's
/// specification asks of every decoder.
const MOST_WINDOW: u64 = 8 << 20;

/// Returns the input as it is, or as what it is when it is decompressed.
///
/// # Errors
/// It cannot be read.
pub(super) fn inflate(mut input: Input, limits: &ReadLimits) -> Result<(Input, bool), GenotypeError> {
    if !input.fill()?.starts_with(&MAGIC) {
        return Ok((input, false));
    }
    let name: Box<str> = input.name().into();
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MOST_WINDOW);
    let frames = Frames { source: Source(input), decoder, within: false };
    let input = Input::new(&name, frames, limits).map_err(explain)?;
    Ok((input, true))
}

/// Says of a fault of a decompressed input that the compression is at fault.
pub(super) fn explain(error: GenotypeError) -> GenotypeError {
    match error.fault {
        Fault::Io(cause) if cause.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<TooLarge>) => GenotypeError {
            fault: Fault::Unsupported(format!(
                "its Zstandard window is larger than {} MiB: compress it anew with level 19 or less",
                MOST_WINDOW >> 20
            )),
            ..error
        },
        Fault::Io(cause) => GenotypeError { fault: Fault::Compressed(cause), ..error },
        _ => error,
    }
}

/// A window larger than what is decoded here.
#[derive(Debug, thiserror::Error)]
#[error("the window is too large")]
struct TooLarge;

/// An input as a reader, one byte source for the decoder.
struct Source(Input);

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.fill().map_err(io::Error::other)?;
        let count = bytes.len().min(buffer.len());
        let (target, _) = buffer.split_at_mut(count);
        target.copy_from_slice(&bytes[..count]);
        self.0.consume(count);
        Ok(count)
    }
}

/// The frames of a file one after the other.
struct Frames {
    source: Source,
    decoder: FrameDecoder,
    /// A frame has been begun and not been given out whole.
    within: bool,
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let strategy = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, strategy).map_err(io::Error::other)?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let (said, found) = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
            if said.is_some() && said != found {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum does not fit"));
            }
            self.within = false;
        }
    }
}

impl Frames {
    /// Begins the next frame; `false` where there is none.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.0.fill().map_err(io::Error::other)?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.within = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let wanted = u64::from(length);
                    if io::copy(&mut self.source.by_ref().take(wanted), &mut io::sink())? < wanted {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Err(io::Error::other(TooLarge)),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

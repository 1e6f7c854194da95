//! Inflating a data block to exactly the length that it declares.

use std::io::{Error, ErrorKind, Read};

use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::super::{Fault, GenotypeError, Limit, ReadLimits};
use super::header::Compression;

/// Buffers grow by this much while a block inflates, so that a declared length alone takes no memory.
const STEP: usize = 1 << 20;

/// The inflater of a file: its state is kept from block to block.
pub(super) struct Inflater {
    kind: Kind,
    /// How many more bytes may be inflated of the whole file.
    left: u64,
    most: u64,
}

enum Kind {
    Plain,
    Zlib(Box<Decompress>),
    Zstd(Box<FrameDecoder>),
}

impl Inflater {
    pub(super) fn new(compression: Compression, limits: &ReadLimits) -> Self {
        let kind = match compression {
            Compression::None => Kind::Plain,
            Compression::Zlib => Kind::Zlib(Box::new(Decompress::new(true))),
            Compression::Zstd => Kind::Zstd(Box::default()),
        };
        Self { kind, left: limits.decompressed_bytes, most: limits.decompressed_bytes }
    }

    /// Inflates `raw` to the `declared` length into `data`; a plain block is moved there.
    ///
    /// # Errors
    /// The block is damaged, has another length than declared, or the file inflates past the limit.
    pub(super) fn inflate(
        &mut self,
        raw: &mut Vec<u8>,
        declared: usize,
        data: &mut Vec<u8>,
    ) -> Result<(), GenotypeError> {
        data.clear();
        if matches!(self.kind, Kind::Plain) {
            std::mem::swap(raw, data);
            return Ok(());
        }
        self.left = self
            .left
            .checked_sub(declared as u64)
            .ok_or_else(|| GenotypeError::limit(Limit::DecompressedBytes, self.most))?;
        let inflated = match &mut self.kind {
            Kind::Plain => Ok(()),
            Kind::Zlib(decompress) => zlib(decompress, raw, declared, data),
            Kind::Zstd(decoder) => zstd(decoder, raw, declared, data),
        };
        inflated.map_err(|error| GenotypeError::new(Fault::Compressed(error)))?;
        if data.len() == declared {
            return Ok(());
        }
        let found = if data.len() > declared { "more".to_owned() } else { data.len().to_string() };
        Err(GenotypeError::field("length of the data", format!("{declared} bytes are declared, {found} were inflated")))
    }
}

/// Inflates until the end or one byte past the declared length.
fn zlib(decompress: &mut Decompress, raw: &[u8], declared: usize, data: &mut Vec<u8>) -> Result<(), Error> {
    decompress.reset(true);
    let most = declared + 1;
    loop {
        if data.len() == data.capacity() {
            data.reserve((most - data.len()).min(STEP.max(data.len())));
        }
        let (read, length) = (decompress.total_in(), data.len());
        let rest = raw.get(usize::try_from(read).unwrap_or(usize::MAX)..).unwrap_or_default();
        let status = decompress.decompress_vec(rest, data, FlushDecompress::None).map_err(Error::other)?;
        if status == Status::StreamEnd || data.len() >= most {
            return Ok(());
        }
        if decompress.total_in() == read && data.len() == length {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the zlib stream ends early"));
        }
    }
}

/// As [`zlib`].
fn zstd(decoder: &mut FrameDecoder, raw: &[u8], declared: usize, data: &mut Vec<u8>) -> Result<(), Error> {
    let stream = StreamingDecoder::new_with_decoder(raw, decoder).map_err(Error::other)?;
    stream.take(declared as u64 + 1).read_to_end(data).map(|_| ())
}

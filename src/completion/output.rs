//! The files of a completed dataset: which form a name asks for, and writing that leaves nothing half done.
//!
//! A file is written under a name of its own beside its place and moved there when it is whole; one that is given up is
//! removed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::errors::ParquetError;

use super::Cell;
use super::matrix::GctFiles;
use super::table::{ParquetFile, TsvFile};
use crate::genome::Gene;
use crate::reference::Reference;

/// Bytes that are gathered before they go to the file.
const BUFFER: usize = 1 << 20;

/// Why a completed dataset could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The name has none of the endings that name a form.
    #[error("'{}' ends with none of .gct, .gct.gz, .tsv, .tsv.gz, .parquet, which name the form", .0.display())]
    Ending(PathBuf),
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The columns could not be written as Parquet.
    #[error("cannot write Parquet")]
    Parquet(#[from] ParquetError),
}

/// Makes the error of a file.
pub(super) fn io_error(path: &Path) -> impl Fn(io::Error) -> WriteError {
    move |source| WriteError::Io { path: path.to_owned(), source }
}

/// The form of a completed dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// GCT 1.2 with three companions: the matrix, its intervals and its sources.
    Gct {
        /// Whether the files are packed by gzip.
        gzip: bool,
    },
    /// The long table as tab-separated values.
    Tsv {
        /// Whether the file is packed by gzip.
        gzip: bool,
    },
    /// The long table as Parquet.
    Parquet,
}

impl Form {
    /// Returns the form that a file's ending names.
    ///
    /// # Errors
    /// It names none.
    pub fn of_path(path: &Path) -> Result<Self, WriteError> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let (stem, gzip) = name.strip_suffix(".gz").map_or((name.as_str(), false), |stem| (stem, true));
        match Path::new(stem).extension().and_then(|ending| ending.to_str()) {
            Some("gct") => Ok(Self::Gct { gzip }),
            Some("tsv") => Ok(Self::Tsv { gzip }),
            Some("parquet") if !gzip => Ok(Self::Parquet),
            _ => Err(WriteError::Ending(path.to_owned())),
        }
    }

    /// Starts to write a dataset under a name.
    ///
    /// # Errors
    /// A file cannot be made.
    pub fn start(self, path: &Path, reference: &Reference) -> Result<Box<dyn Sink>, WriteError> {
        Ok(match self {
            Self::Gct { gzip } => Box::new(GctFiles::start(path, gzip, reference)?),
            Self::Tsv { gzip } => Box::new(TsvFile::start(path, gzip, reference)?),
            Self::Parquet => Box::new(ParquetFile::start(path, reference)?),
        })
    }
}

/// Takes a dataset's genes one by one, in the dataset's order.
pub trait Sink: Send {
    /// Writes a gene with one cell a tissue.
    ///
    /// # Errors
    /// A file cannot be written.
    fn gene(&mut self, gene: &Gene, cells: &[Cell]) -> Result<(), WriteError>;

    /// Ends the files, moves them to their places and returns where they are.
    ///
    /// # Errors
    /// A file cannot be written or moved.
    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, WriteError>;
}

/// A file on its way to its place.
#[derive(Debug)]
pub(super) struct Partial {
    place: PathBuf,
    temporary: PathBuf,
    writer: Option<Packed>,
    moved: bool,
}

#[derive(Debug)]
enum Packed {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

impl Partial {
    pub(super) fn create(place: &Path, gzip: bool) -> Result<Self, WriteError> {
        let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = place.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        let file = File::create(&temporary).map_err(io_error(place))?;
        let buffer = BufWriter::with_capacity(BUFFER, file);
        let writer = if gzip {
            Packed::Gzip(Box::new(GzEncoder::new(buffer, Compression::default())))
        } else {
            Packed::Plain(buffer)
        };
        Ok(Self { place: place.to_owned(), temporary, writer: Some(writer), moved: false })
    }

    /// Writes all of a text.
    pub(super) fn text(&mut self, text: &str) -> Result<(), WriteError> {
        self.write_all(text.as_bytes()).map_err(io_error(&self.place))
    }

    /// Writes what is still in memory.
    pub(super) fn close(&mut self) -> Result<(), WriteError> {
        let ended = match self.writer.take() {
            Some(Packed::Plain(mut buffer)) => buffer.flush(),
            Some(Packed::Gzip(encoder)) => encoder.finish().and_then(|mut buffer| buffer.flush()),
            None => Ok(()),
        };
        ended.map_err(io_error(&self.place))
    }

    /// Moves the closed file to its place.
    pub(super) fn publish(mut self) -> Result<PathBuf, WriteError> {
        std::fs::rename(&self.temporary, &self.place).map_err(io_error(&self.place))?;
        self.moved = true;
        Ok(self.place.clone())
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Some(Packed::Plain(buffer)) => buffer.write(bytes),
            Some(Packed::Gzip(encoder)) => encoder.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Some(Packed::Plain(buffer)) => buffer.flush(),
            Some(Packed::Gzip(encoder)) => encoder.flush(),
            None => Ok(()),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.moved {
            // What cannot be removed is in nobody's way: its name is no one's to read.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_names_the_form() {
        let form = |name: &str| Form::of_path(Path::new(name)).ok();
        assert_eq!(form("a/b.gct"), Some(Form::Gct { gzip: false }));
        assert_eq!(form("b.v2.GCT.gz"), Some(Form::Gct { gzip: true }));
        assert_eq!(form("b.tsv"), Some(Form::Tsv { gzip: false }));
        assert_eq!(form("b.parquet"), Some(Form::Parquet));
        for name in ["b", "b.gz", "b.parquet.gz", "b.csv", "gct"] {
            assert_eq!(form(name), None, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_given_up_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x.tsv");
        std::fs::write(&place, "old").unwrap();
        let mut given_up = Partial::create(&place, false).unwrap();
        given_up.text("new").unwrap();
        drop(given_up);
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "old");
        let mut whole = Partial::create(&place, false).unwrap();
        whole.text("new").unwrap();
        whole.close().unwrap();
        assert_eq!(whole.publish().unwrap(), place);
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "new");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }
}

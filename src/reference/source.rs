//! Text files as the parsers see them: opened, decompressed, line by line, with errors that say where.
//!
//! Imports `genome` only. Invariant: every [`Line`] is UTF-8 without NUL and knows its file and its 1-based number.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use crate::genome::GenomeError;

/// No line of the formats read here comes near this; a file that passes it is not one of them.
const LONGEST_LINE: u64 = 64 << 20;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file could not be opened.
    #[error("cannot open {file}")]
    Open {
        /// The file.
        file: Arc<str>,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Reading or decompressing stopped.
    #[error("cannot {} {file} after line {line}", if *compressed { "decompress" } else { "read" })]
    Read {
        /// The file.
        file: Arc<str>,
        /// The last line that was read in full.
        line: u64,
        /// Whether the file is compressed.
        compressed: bool,
        /// The reason.
        source: io::Error,
    },
    /// A line is not what its format asks for.
    #[error("{file}, line {line}{}: {problem}", at(column.as_deref()))]
    Malformed {
        /// The file.
        file: Arc<str>,
        /// The line, counted from 1.
        line: u64,
        /// The field, where one is to blame.
        column: Option<Box<Column>>,
        /// What is wrong.
        problem: Box<Problem>,
    },
    /// A genome has no index beside it.
    #[error("{file} has no index {file}.fai: make it with `samtools faidx {file}`")]
    MissingIndex {
        /// The genome's file.
        file: Arc<str>,
    },
    /// A genome is compressed, so that its bases cannot be addressed.
    #[error("{file} is compressed: a genome is read at many places, decompress it first (`gunzip {file}`)")]
    CompressedGenome {
        /// The genome's file.
        file: Arc<str>,
    },
    /// A genome's index does not fit the genome.
    #[error("{file}.fai does not fit {file} at {chromosome}: make it again with `samtools faidx {file}`")]
    StaleIndex {
        /// The genome's file.
        file: Arc<str>,
        /// The sequence that was being read.
        chromosome: Arc<str>,
    },
}

/// A field of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The field's number, counted from 1.
    pub number: usize,
    /// What the field is called.
    pub name: String,
}

fn at(column: Option<&Column>) -> String {
    column.map(|column| format!(", column {} ({})", column.number, column.name)).unwrap_or_default()
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The line is not text.
    #[error("not text (byte {0} of the line is no UTF-8 character); is the file of another format?")]
    NotText(usize),
    /// The line is longer than any line of the format.
    #[error("the line is longer than {} MiB", LONGEST_LINE >> 20)]
    LineTooLong,
    /// The file ended before its header or its first entry.
    #[error("the file ends before {0}")]
    Ended(&'static str),
    /// An empty line with more lines behind it.
    #[error("an empty line inside the table")]
    EmptyLine,
    /// A line has too many or too few fields.
    #[error("{found} tab-separated fields where {expected} are expected")]
    FieldCount {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A field that must have a value has none.
    #[error("the field is empty")]
    EmptyField,
    /// A word of the genome's vocabulary is wrong.
    #[error(transparent)]
    Genome(#[from] GenomeError),
    /// A field should be a number.
    #[error("{0} is not a number")]
    NotANumber(Quoted),
    /// A field should be a whole number.
    #[error("{0} is not a whole number from 0")]
    NotAWholeNumber(Quoted),
    /// An expression value is below zero.
    #[error("{0} is negative: expression is expected on its linear scale, not as a logarithm")]
    Negative(Quoted),
    /// An expression value is infinite or too large.
    #[error("{0} is not a finite number")]
    NotFinite(Quoted),
    /// The first line is not a GCT version.
    #[error("{0} is not #1.2 or #1.3: the first line of a GCT file is its version")]
    GctVersion(Quoted),
    /// A heading is not the one that the format asks for.
    #[error("{found} where {expected} is expected")]
    Heading {
        /// What is there.
        found: Quoted,
        /// What the format asks for.
        expected: &'static str,
    },
    /// The column count of a GCT file's second line is wrong.
    #[error("line 2 declares {declared} tissues, the header has {found}")]
    TissueCount {
        /// What line 2 says.
        declared: usize,
        /// What is there.
        found: usize,
    },
    /// The row count of a GCT file's second line is wrong.
    #[error("line 2 declares {declared} rows, the table has {found}; was the file cut short?")]
    RowCount {
        /// What line 2 says.
        declared: usize,
        /// What is there; one more than declared where the table goes on.
        found: usize,
    },
    /// Two columns are the same tissue.
    #[error("the tissue {tissue} has column {first} already")]
    DuplicateTissue {
        /// The tissue's identifier.
        tissue: String,
        /// The earlier column, counted from 1.
        first: usize,
    },
    /// An annotation's format is none of those that are read.
    #[error("neither GTF, BED12 nor a table with the columns ensembl_id, chrom, start, end, strand")]
    AnnotationLayout,
    /// The annotation is GFF3.
    #[error("the attributes are GFF3's (key=value): give the annotation as GTF")]
    Gff3,
    /// A GTF attribute is missing.
    #[error("the attribute {0} is missing")]
    MissingAttribute(&'static str),
    /// A GTF attribute's quotes are not closed.
    #[error("an attribute's quotes are not closed")]
    OpenQuotes,
    /// A gene ends before it starts.
    #[error("the gene ends at {end}, before its start {start}")]
    EndBeforeStart {
        /// The first base.
        start: u32,
        /// The last base.
        end: u32,
    },
    /// A sequence has no name.
    #[error("a sequence starts without a `>` line: is this a FASTA file?")]
    NoFastaHeader,
    /// A `>` line has no sequence behind it.
    #[error("{0} has no sequence")]
    NoSequence(Quoted),
    /// A letter is no base.
    #[error("{letter:?} (base {base} of the sequence) is not one of A, C, G, T, N or an IUPAC code")]
    Letter {
        /// The letter.
        letter: char,
        /// Its 1-based place in the sequence.
        base: usize,
    },
    /// A genome index's line makes no sense.
    #[error("the line lengths of the index make no sense: make it again with `samtools faidx`")]
    IndexGeometry,
}

/// A word of a file as a message shows it: in quotes, cut where it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    /// Takes the first 40 characters.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut shown: String = text.chars().take(40).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self(shown)
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A text file that is read line by line; gzip is recognised by its first bytes, not by the file's name.
pub struct Source {
    file: Arc<str>,
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    line: u64,
    compressed: bool,
}

impl Source {
    /// Opens a file.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let file: Arc<str> = path.display().to_string().into();
        match File::open(path) {
            Ok(opened) => Self::from_read(&file, opened),
            Err(source) => Err(SourceError::Open { file, source }),
        }
    }

    /// Reads from anything, under the name that errors give it.
    ///
    /// # Errors
    /// The first bytes cannot be read.
    pub fn from_read(file: &str, mut reader: impl Read + Send + 'static) -> Result<Self, SourceError> {
        let file: Arc<str> = file.into();
        let mut head = Vec::with_capacity(GZIP_MAGIC.len());
        let read = reader.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head);
        if let Err(source) = read {
            return Err(SourceError::Read { file, line: 0, compressed: false, source });
        }
        let compressed = head == GZIP_MAGIC;
        let whole = Cursor::new(head).chain(reader);
        let reader: Box<dyn BufRead + Send> = if compressed {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(BufReader::with_capacity(1 << 16, whole))))
        } else {
            Box::new(BufReader::with_capacity(1 << 16, whole))
        };
        Ok(Self { file, reader, buffer: Vec::new(), line: 0, compressed })
    }

    /// Returns the file's name as errors give it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Reads the next line, without its line end; `None` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read or decompressed, or the line is not text.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, SourceError> {
        self.buffer.clear();
        let read = self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.buffer);
        let length = match read {
            Ok(length) => length,
            Err(source) => {
                let (file, line, compressed) = (Arc::clone(&self.file), self.line, self.compressed);
                return Err(SourceError::Read { file, line, compressed, source });
            }
        };
        if length == 0 {
            return Ok(None);
        }
        self.line += 1;
        if length as u64 == LONGEST_LINE && self.buffer.last() != Some(&b'\n') {
            return Err(self.malformed(Problem::LineTooLong));
        }
        while matches!(self.buffer.last(), Some(b'\n' | b'\r')) {
            self.buffer.pop();
        }
        let from = if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        if let Some(byte) = memchr::memchr(0, &self.buffer) {
            return Err(self.malformed(Problem::NotText(byte + 1)));
        }
        match std::str::from_utf8(&self.buffer[from..]) {
            Ok(text) => Ok(Some(Line { file: &self.file, number: self.line, text })),
            Err(error) => Err(self.malformed(Problem::NotText(from + error.valid_up_to() + 1))),
        }
    }

    /// Makes an error about the last line that was read.
    #[must_use]
    pub fn malformed(&self, problem: impl Into<Problem>) -> SourceError {
        SourceError::Malformed {
            file: Arc::clone(&self.file),
            line: self.line,
            column: None,
            problem: Box::new(problem.into()),
        }
    }
}

/// A line of a [`Source`].
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    file: &'a Arc<str>,
    number: u64,
    text: &'a str,
}

impl<'a> Line<'a> {
    /// Returns the text without its line end.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Makes an error about the whole line.
    #[must_use]
    pub fn wrong(&self, problem: impl Into<Problem>) -> SourceError {
        SourceError::Malformed {
            file: Arc::clone(self.file),
            line: self.number,
            column: None,
            problem: Box::new(problem.into()),
        }
    }

    /// Makes an error about the field with this 0-based index and this name.
    #[must_use]
    pub fn wrong_field(&self, index: usize, name: &str, problem: impl Into<Problem>) -> SourceError {
        SourceError::Malformed {
            file: Arc::clone(self.file),
            line: self.number,
            column: Some(Box::new(Column { number: index + 1, name: name.to_owned() })),
            problem: Box::new(problem.into()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// A source over text, named `test`.
    pub(crate) fn text(content: &str) -> Source {
        bytes(content.as_bytes())
    }

    /// A source over bytes, named `test`.
    pub(crate) fn bytes(content: &[u8]) -> Source {
        Source::from_read("test", Cursor::new(content.to_vec())).unwrap()
    }

    fn gzip(content: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn lines(mut source: Source) -> Result<Vec<String>, SourceError> {
        let mut lines = Vec::new();
        while let Some(line) = source.next_line()? {
            lines.push(line.text().to_owned());
        }
        Ok(lines)
    }

    #[test]
    fn plain_gzip_and_several_gzip_members_read_the_same() {
        let two_members = [gzip("a\tb\r\n"), gzip("c\t\n")].concat();
        for source in [text("a\tb\r\nc\t\n"), text("\u{feff}a\tb\nc\t"), bytes(&two_members)] {
            assert_eq!(lines(source).unwrap(), ["a\tb", "c\t"]);
        }
        assert!(lines(text("")).unwrap().is_empty());
    }

    #[test]
    fn a_file_cut_short_names_the_line_and_the_decompression() {
        let whole = gzip(&"0123456789 abcdef\n".repeat(20_000));
        let error = lines(bytes(&whole[..whole.len() - 20])).unwrap_err().to_string();
        assert!(error.starts_with("cannot decompress test after line "), "{error}");
        assert!(!error.ends_with("line 0"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_place() {
        let cases: [(&[u8], &str); 2] =
            [(b"ok\nab\x00c\n", "line 2: not text (byte 3"), (b"\xff\xfe", "line 1: not text (byte 1")];
        for (content, expected) in cases {
            let error = lines(bytes(content)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

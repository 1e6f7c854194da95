//! Promoters cut from a genome: FASTA with the `.fai` index of samtools beside it.
//!
//! Imports `genome` only. Invariant: a cut sequence is on its gene's strand, 5′ to 3′, and has the window's length; bases
//! beyond the chromosome's ends are N.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::promoter::base;
use super::source::{Line, Problem, Quoted, Source, SourceError};
use crate::genome::{Chromosome, Locus, Promoter, Strand};

/// No promoter model looks at more bases.
const LONGEST_WINDOW: i64 = 100_000;

/// A stretch of bases around a transcription start, both ends included; 0 is the start itself, negative is upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromoterWindow {
    first: i32,
    last: i32,
}

/// Why a text is no promoter window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The text has another form.
    #[error("'{0}' is not a window: write FIRST..LAST in bases from the transcription start, such as -1000..+500")]
    Form(String),
    /// The window ends before it starts, or is too long.
    #[error("the window {0}..{1} has to have 1 to {LONGEST_WINDOW} bases")]
    Length(i64, i64),
}

impl Default for PromoterWindow {
    fn default() -> Self {
        Self { first: -1000, last: 500 }
    }
}

impl PromoterWindow {
    /// Returns how many bases the window has.
    #[must_use]
    pub fn bases(self) -> usize {
        (i64::from(self.last) - i64::from(self.first) + 1).unsigned_abs() as usize
    }

    /// Returns the first and last base on the plus strand, which may lie beyond the chromosome's ends.
    fn around(self, locus: &Locus) -> (i64, i64) {
        let tss = i64::from(locus.tss.get());
        let (first, last) = (i64::from(self.first), i64::from(self.last));
        match locus.strand {
            Strand::Forward => (tss + first, tss + last),
            Strand::Reverse => (tss - last, tss - first),
        }
    }
}

impl FromStr for PromoterWindow {
    type Err = WindowError;

    /// Parses `-1000..+500`: both ends included, 1,501 bases, the transcription start at the 1,001st.
    ///
    /// ```
    /// use tissuecast::reference::genome_fasta::PromoterWindow;
    /// let window: PromoterWindow = "-1000..+500".parse()?;
    /// assert_eq!((window, window.bases()), (PromoterWindow::default(), 1501));
    /// assert!("500..-1000".parse::<PromoterWindow>().is_err());
    /// # Ok::<(), tissuecast::reference::genome_fasta::WindowError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, WindowError> {
        let form = || WindowError::Form(text.to_owned());
        // Texts copied from papers have the typographic minus.
        let plain = text.replace('\u{2212}', "-");
        let (first, last) = plain.split_once("..").ok_or_else(form)?;
        let number = |text: &str| text.trim().parse::<i64>().map_err(|_| form());
        let (first, last) = (number(first)?, number(last.strip_prefix('=').unwrap_or(last))?);
        match (i32::try_from(first), i32::try_from(last)) {
            (Ok(from), Ok(to)) if first <= last && last - first < LONGEST_WINDOW => Ok(Self { first: from, last: to }),
            _ => Err(WindowError::Length(first, last)),
        }
    }
}

impl fmt::Display for PromoterWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{:+}", self.first, self.last)
    }
}

/// Where a sequence lies in the file.
#[derive(Debug, Clone, Copy)]
struct IndexEntry {
    bases: u64,
    offset: u64,
    line_bases: u64,
    line_bytes: u64,
}

/// A genome whose bases are read in place.
#[derive(Debug)]
pub struct GenomeFasta {
    file: Arc<str>,
    reader: File,
    index: HashMap<Chromosome, IndexEntry>,
}

impl GenomeFasta {
    /// Opens a genome and the index `FILE.fai` beside it.
    ///
    /// # Errors
    /// The genome or its index cannot be opened, the genome is compressed, or a line of the index is malformed.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let file: Arc<str> = path.display().to_string().into();
        let failed = |source| SourceError::Open { file: Arc::clone(&file), source };
        let mut reader = File::open(path).map_err(failed)?;
        let mut head = Vec::new();
        reader.by_ref().take(2).read_to_end(&mut head).map_err(failed)?;
        if head == [0x1f, 0x8b] {
            return Err(SourceError::CompressedGenome { file });
        }
        let mut index_path = path.as_os_str().to_owned();
        index_path.push(".fai");
        let index = match Source::open(&PathBuf::from(index_path)) {
            Err(SourceError::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(SourceError::MissingIndex { file });
            }
            opened => read_index(opened?)?,
        };
        Ok(Self { file, reader, index })
    }

    /// Cuts a gene's promoter; `None` where the genome lacks the chromosome or knows none of the bases.
    ///
    /// # Errors
    /// The file cannot be read, or its index does not fit it.
    pub fn cut(&mut self, locus: &Locus, window: PromoterWindow) -> Result<Option<Promoter>, SourceError> {
        let Some(entry) = self.index.get(&locus.chromosome).copied() else {
            return Ok(None);
        };
        let (first, last) = window.around(locus);
        let mut bases = vec![b'N'; window.bases()];
        let (from, to) = (first.max(1), last.min(i64::try_from(entry.bases).unwrap_or(i64::MAX)));
        if from <= to {
            let read = self.read(entry, from.unsigned_abs() - 1, to.unsigned_abs())?;
            let stale = || SourceError::StaleIndex {
                file: Arc::clone(&self.file),
                chromosome: locus.chromosome.as_str().into(),
            };
            let known =
                read.iter().map(|byte| base(char::from(*byte))).collect::<Option<Vec<u8>>>().ok_or_else(stale)?;
            let place = (from - first).unsigned_abs() as usize;
            bases.get_mut(place..place + known.len()).ok_or_else(stale)?.copy_from_slice(&known);
            if known.len() as u64 != (to - from + 1).unsigned_abs() {
                return Err(stale());
            }
        }
        if locus.strand == Strand::Reverse {
            reverse_complement(&mut bases);
        }
        Ok(Promoter::parse(&bases).ok().filter(|promoter| promoter.known() > 0))
    }

    /// Reads the 0-based half-open range of a sequence, without line ends.
    fn read(&mut self, entry: IndexEntry, from: u64, to: u64) -> Result<Vec<u8>, SourceError> {
        let place = |base: u64| entry.offset + base / entry.line_bases * entry.line_bytes + base % entry.line_bases;
        let mut bytes = Vec::new();
        let read = self
            .reader
            .seek(SeekFrom::Start(place(from)))
            .and_then(|_| self.reader.by_ref().take(place(to - 1) + 1 - place(from)).read_to_end(&mut bytes));
        if let Err(source) = read {
            return Err(SourceError::Read { file: Arc::clone(&self.file), line: 0, compressed: false, source });
        }
        bytes.retain(|byte| !matches!(byte, b'\n' | b'\r'));
        Ok(bytes)
    }
}

fn reverse_complement(bases: &mut [u8]) {
    bases.reverse();
    for base in bases {
        *base = match base {
            b'A' => b'T',
            b'C' => b'G',
            b'G' => b'C',
            b'T' => b'A',
            _ => b'N',
        };
    }
}

fn read_index(mut source: Source) -> Result<HashMap<Chromosome, IndexEntry>, SourceError> {
    let mut index = HashMap::new();
    while let Some(line) = source.next_line()? {
        if !line.text().trim().is_empty() {
            let (chromosome, entry) = read_index_line(&line)?;
            index.entry(chromosome).or_insert(entry);
        }
    }
    if index.is_empty() {
        return Err(source.malformed(Problem::Ended("its first sequence")));
    }
    Ok(index)
}

fn read_index_line(line: &Line<'_>) -> Result<(Chromosome, IndexEntry), SourceError> {
    const NAMES: [&str; 5] = ["name", "length", "offset", "line bases", "line bytes"];
    let fields: Vec<&str> = line.text().trim_end().split('\t').collect();
    if fields.len() < NAMES.len() {
        return Err(line.wrong(Problem::FieldCount { found: fields.len(), expected: NAMES.len() }));
    }
    let chromosome = Chromosome::parse(fields[0]).map_err(|error| line.wrong_field(0, NAMES[0], error))?;
    let number = |index: usize| match fields[index].parse::<u64>() {
        // 2^40 bytes hold every genome; the bound keeps the arithmetic on places from overflowing.
        Ok(number) if number < 1 << 40 => Ok(number),
        _ => Err(line.wrong_field(index, NAMES[index], Problem::NotAWholeNumber(Quoted::new(fields[index])))),
    };
    let entry = IndexEntry { bases: number(1)?, offset: number(2)?, line_bases: number(3)?, line_bytes: number(4)? };
    let ends = entry.line_bytes.checked_sub(entry.line_bases);
    if entry.line_bases == 0 || ends.is_none_or(|ends| ends > 2) {
        return Err(line.wrong(Problem::IndexGeometry));
    }
    Ok((chromosome, entry))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::genome::Position;

    /// chr1 is `AACCGGTTNA` in lines of 4, chr2 has no newline inside.
    const GENOME: &str = ">1 first\nAAcc\nGGTT\nRA\n>chr2\nACGTACGT\n";
    const INDEX: &str = "1\t10\t9\t4\t5\nchr2\t8\t28\t8\t9\n";

    fn genome(index: Option<&str>) -> (tempfile::TempDir, Result<GenomeFasta, SourceError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.fa");
        fs::write(&path, GENOME).unwrap();
        if let Some(index) = index {
            fs::write(folder.path().join("g.fa.fai"), index).unwrap();
        }
        let opened = GenomeFasta::open(&path);
        (folder, opened)
    }

    fn locus(chromosome: &str, tss: u32, strand: Strand) -> Locus {
        let tss = Position::new(tss).unwrap();
        Locus::new(Chromosome::parse(chromosome).unwrap(), tss, tss, strand)
    }

    #[test]
    fn windows_follow_the_strand_and_stop_at_the_ends() {
        let (_folder, opened) = genome(Some(INDEX));
        let mut genome = opened.unwrap();
        let cases = [
            ("chr1", 5, Strand::Forward, "-2..+1", Some("CCGG")),
            ("chr1", 5, Strand::Reverse, "-2..+1", Some("ACCG")),
            ("chr1", 1, Strand::Forward, "-2..+2", Some("NNAAC")),
            ("chr1", 10, Strand::Forward, "-2..+2", Some("TNANN")),
            ("chr1", 1, Strand::Reverse, "-1..+1", Some("TTN")),
            ("chr2", 8, Strand::Forward, "-7..0", Some("ACGTACGT")),
            ("chr1", 9, Strand::Forward, "0..0", None),
            ("chr1", 500, Strand::Forward, "0..5", None),
            ("chr3", 5, Strand::Forward, "0..5", None),
        ];
        for (chromosome, tss, strand, window, expected) in cases {
            let cut = genome.cut(&locus(chromosome, tss, strand), window.parse().unwrap()).unwrap();
            let bases = cut.as_ref().map(|promoter| std::str::from_utf8(promoter.bases()).unwrap());
            assert_eq!(bases, expected, "{chromosome}:{tss}{} {window}", strand.as_str());
        }
    }

    #[test]
    fn a_missing_or_wrong_index_says_how_to_make_one() {
        let (_folder, opened) = genome(None);
        let error = opened.unwrap_err().to_string();
        assert!(error.contains("samtools faidx"), "{error}");
        for (index, expected) in [
            ("1\t10\t9\t4\n", "line 1: 4 tab-separated fields where 5"),
            ("1\tx\t9\t4\t5\n", "line 1, column 2 (length): \"x\""),
            ("1\t10\t9\t0\t5\n", "line 1: the line lengths"),
            ("", "line 0: the file ends"),
        ] {
            let (_folder, opened) = genome(Some(index));
            let error = opened.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        for index in ["1\t100\t9\t4\t5\n", "1\t30\t0\t4\t5\n"] {
            let (_folder, opened) = genome(Some(index));
            let error = opened.unwrap().cut(&locus("1", 20, Strand::Forward), "-19..+9".parse().unwrap()).unwrap_err();
            assert!(matches!(error, SourceError::StaleIndex { .. }), "{error}");
        }
    }

    #[test]
    fn windows_are_parsed_with_and_without_signs() {
        for text in ["-1000..+500", "-1000..500", "\u{2212}1000..=500", " -1000 .. 500 "] {
            assert_eq!(text.parse(), Ok(PromoterWindow::default()), "{text}");
        }
        assert_eq!(PromoterWindow::default().to_string(), "-1000..+500");
        for text in ["", "..", "1000", "-1000..", "a..b", "--1..2", "5..4", "0..100000", "0..99999999999"] {
            assert!(text.parse::<PromoterWindow>().is_err(), "{text}");
        }
    }
}

//! Promoters as FASTA: the first word of a header is the gene's identifier.
//!
//! Imports `genome` only. Invariant: sequences are upper-case A, C, G, T, N with at least one base known, as far as the
//! file knew one.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

use super::source::{Line, Problem, Quoted, Source, SourceError};
use crate::genome::{GeneId, Promoter};

/// The promoters of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Promoters {
    /// The promoters by gene; sequences without any known base are left out.
    pub by_gene: HashMap<GeneId, Promoter>,
    /// How many sequences were left out because their gene has an earlier one.
    pub duplicates: usize,
    /// How many sequences were left out because none of their bases is known.
    pub unknown: usize,
}

/// Reads promoters; the first sequence of a gene counts, later ones are counted as duplicates.
///
/// Letters may be in either case; IUPAC codes of several bases become N.
///
/// # Errors
/// The file cannot be read, a line is malformed, or there is no sequence in it.
pub fn read(mut source: Source) -> Result<Promoters, SourceError> {
    let mut promoters = Promoters::default();
    let mut entry: Option<Entry> = None;
    let mut sequences = 0_usize;
    while let Some(line) = source.next_line()? {
        let text = line.text().trim_end();
        if let Some(header) = text.strip_prefix('>') {
            let next = Entry::start(&line, header)?;
            sequences += 1;
            if let Some(done) = entry.replace(next) {
                done.finish(&mut promoters)?;
            }
        } else if let Some(entry) = &mut entry {
            entry.append(&line, text)?;
        } else if !text.is_empty() {
            return Err(line.wrong(Problem::NoFastaHeader));
        }
    }
    if let Some(done) = entry {
        done.finish(&mut promoters)?;
    }
    if sequences == 0 {
        return Err(source.malformed(Problem::Ended("its first sequence")));
    }
    Ok(promoters)
}

/// A sequence that is being read.
struct Entry {
    gene: GeneId,
    bases: Vec<u8>,
    /// The error to give where no sequence follows.
    empty: SourceError,
}

impl Entry {
    fn start(line: &Line<'_>, header: &str) -> Result<Self, SourceError> {
        let word = header.split_whitespace().next().unwrap_or_default();
        let (gene, _) = GeneId::parse(word).map_err(|error| line.wrong_field(0, "header", error))?;
        let empty = line.wrong_field(0, "header", Problem::NoSequence(Quoted::new(word)));
        Ok(Self { gene, bases: Vec::with_capacity(1501), empty })
    }

    fn append(&mut self, line: &Line<'_>, text: &str) -> Result<(), SourceError> {
        for letter in text.chars() {
            let Some(base) = base(letter) else {
                let problem = Problem::Letter { letter, base: self.bases.len() + 1 };
                return Err(line.wrong_field(0, "sequence", problem));
            };
            self.bases.push(base);
        }
        Ok(())
    }

    fn finish(self, promoters: &mut Promoters) -> Result<(), SourceError> {
        if self.bases.is_empty() {
            return Err(self.empty);
        }
        let Ok(promoter) = Promoter::parse(&self.bases) else {
            return Err(self.empty);
        };
        match promoters.by_gene.entry(self.gene) {
            MapEntry::Occupied(_) => promoters.duplicates += 1,
            MapEntry::Vacant(_) if promoter.known() == 0 => promoters.unknown += 1,
            MapEntry::Vacant(place) => {
                place.insert(promoter);
            }
        }
        Ok(())
    }
}

/// Returns the upper-case base of a FASTA letter, N for a code of several bases, `None` for another letter.
pub(super) fn base(letter: char) -> Option<u8> {
    match letter.to_ascii_uppercase() {
        'A' => Some(b'A'),
        'C' => Some(b'C'),
        'G' => Some(b'G'),
        'T' | 'U' => Some(b'T'),
        'N' | 'R' | 'Y' | 'S' | 'W' | 'K' | 'M' | 'B' | 'D' | 'H' | 'V' => Some(b'N'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reference::source::tests::{bytes, text};

    #[test]
    fn headers_name_genes_and_sequences_may_be_wrapped() {
        let file = ">ENSG1.3 A chr1:5:- window=-1000..+500\nacgt\nNRyT\n>ENSG2\nNNN\n>ENSG1\nAAAA\n>x\r\nCC\r\n\r\n";
        let promoters = read(text(file)).unwrap();
        let sequence = |id: &str| promoters.by_gene.get(&GeneId::parse(id).unwrap().0).map(Promoter::bases);
        assert_eq!(sequence("ENSG1"), Some(&b"ACGTNNNT"[..]));
        assert_eq!(sequence("x"), Some(&b"CC"[..]));
        assert_eq!(sequence("ENSG2"), None, "a sequence without a known base is no promoter");
        assert_eq!((promoters.duplicates, promoters.unknown), (1, 1));
    }

    #[test]
    fn malformed_lines_name_line_and_column() {
        let cases = [
            ("", "line 0: the file ends before its first sequence"),
            ("ACGT\n", "line 1: a sequence starts without a `>` line"),
            (">a\nAC\nAE\n", "line 3, column 1 (sequence): 'E' (base 4 of the sequence)"),
            (">a\nA C\n", "line 2, column 1 (sequence): ' ' (base 2"),
            (">a\n>b\nA\n", "line 1, column 1 (header): \"a\" has no sequence"),
            (">a\nA\n>b\n", "line 3, column 1 (header): \"b\" has no sequence"),
            ("> a\nA\n>\nA\n", "line 3, column 1 (header): '' is not a gene identifier"),
        ];
        for (file, expected) in cases {
            let error = read(text(file)).unwrap_err().to_string();
            assert!(error.starts_with("test, ") && error.contains(expected), "{error}\nwanted {expected}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(body in "[>acgtnRYx \r\n]{0,80}", junk in any::<Vec<u8>>()) {
            let _ = read(text(&body));
            let _ = read(bytes(&junk));
        }
    }
}

//! Positions from one assembly to another by a chain file of UCSC.
//!
//! Chain files count from 0 and leave the end out; positions here count from 1. A chain turns the sequence round where
//! its second strand is `-`. Invariant: a span is lifted whole by one chain without a gap in it, or not at all; one
//! that several chains carry elsewhere is [`Lift::Several`] and nobody's to choose.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::{Assembly, Chromosome, Position};

/// No line of a chain file comes near this.
const LONGEST_LINE: u64 = 1 << 16;
/// Chains between close assemblies have some hundred thousand blocks, between species some millions.
const MOST_BLOCKS: usize = 50_000_000;

/// Why a chain file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LiftoverError {
    /// Reading or decompressing failed.
    #[error("cannot read the chain file after line {line}")]
    Read {
        /// The last line that was read.
        line: u64,
        /// The reason.
        source: io::Error,
    },
    /// A line is not what the format asks for.
    #[error("line {line} of the chain file: {problem}")]
    Malformed {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Where a span lies on the other assembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lift {
    /// At one place.
    At {
        /// The chromosome.
        chromosome: Chromosome,
        /// The span's first base on the forward strand.
        position: Position,
        /// Whether the sequence is turned round.
        reversed: bool,
    },
    /// Nowhere.
    Nowhere,
    /// At several places.
    Several,
}

/// A piece without gaps: `start..end` of the first assembly, counted from 0, and where it starts on the chain's strand
/// of the second.
#[derive(Debug, Clone, Copy)]
struct Block {
    start: u32,
    end: u32,
    to: u32,
    chain: u32,
    /// The furthest end of this block and those before it.
    reach: u32,
}

#[derive(Debug, Clone)]
struct Chain {
    chromosome: Chromosome,
    size: u32,
    reversed: bool,
}

/// A chain file, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct LiftoverMap {
    blocks: HashMap<Chromosome, Vec<Block>>,
    chains: Vec<Chain>,
    from_sizes: BTreeMap<Chromosome, u32>,
    to_sizes: BTreeMap<Chromosome, u32>,
}

impl LiftoverMap {
    /// Reads a chain file, gzip or plain.
    ///
    /// # Errors
    /// The file cannot be read, a line is malformed, or there is no chain in it.
    pub fn read(reader: impl Read) -> Result<Self, LiftoverError> {
        let mut reader = BufReader::with_capacity(1 << 16, reader);
        let compressed = reader.fill_buf().map_err(|source| LiftoverError::Read { line: 0, source })?;
        if compressed.starts_with(&[0x1f, 0x8b]) {
            Self::read_text(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader)))
        } else {
            Self::read_text(reader)
        }
    }

    fn read_text(reader: impl BufRead) -> Result<Self, LiftoverError> {
        let mut lines = Lines { reader, buffer: Vec::new(), number: 0 };
        let mut map = Self::default();
        let mut count = 0;
        while let Some(line) = lines.next()? {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some(header) = Header::parse(line) else {
                return Err(
                    lines.wrong("not the head of a chain (chain SCORE NAME SIZE + START END NAME SIZE STRAND …)")
                );
            };
            map.read_chain(&header, &mut lines, &mut count)?;
        }
        if map.chains.is_empty() {
            return Err(lines.wrong("the file ends before its first chain"));
        }
        for blocks in map.blocks.values_mut() {
            blocks.sort_by_key(|block| (block.start, block.end));
            let mut reach = 0;
            for block in blocks {
                reach = reach.max(block.end);
                block.reach = reach;
            }
        }
        Ok(map)
    }

    fn read_chain(
        &mut self,
        header: &Header,
        lines: &mut Lines<impl BufRead>,
        count: &mut usize,
    ) -> Result<(), LiftoverError> {
        for (sizes, side) in [(&mut self.from_sizes, &header.from), (&mut self.to_sizes, &header.to)] {
            if *sizes.entry(side.chromosome.clone()).or_insert(side.size) != side.size {
                return Err(lines.wrong("the chromosome has another size than in an earlier chain"));
            }
        }
        let chain = u32::try_from(self.chains.len()).map_err(|_| lines.wrong("there are too many chains"))?;
        let to = &header.to;
        self.chains.push(Chain { chromosome: to.chromosome.clone(), size: to.size, reversed: to.reversed });
        let blocks = self.blocks.entry(header.from.chromosome.clone()).or_default();
        let (mut from, mut onto) = (header.from.start, header.to.start);
        loop {
            let Some(line) = lines.next()? else {
                return Err(lines.wrong("the file ends inside a chain: was it cut short?"));
            };
            let numbers: Option<Vec<u32>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
            let (size, gaps) = match numbers.as_deref() {
                Some([size]) => (*size, None),
                Some([size, gap_from, gap_to]) => (*size, Some((*gap_from, *gap_to))),
                _ => return Err(lines.wrong("not a block of a chain: one or three whole numbers")),
            };
            *count += 1;
            if *count > MOST_BLOCKS {
                return Err(lines.wrong("there are too many blocks"));
            }
            let ends = (from.checked_add(size), onto.checked_add(size));
            let (Some(end), Some(onto_end)) = ends else { return Err(lines.wrong("a block ends past its chain")) };
            if end > header.from.end || onto_end > header.to.end {
                return Err(lines.wrong("a block ends past its chain"));
            }
            blocks.push(Block { start: from, end, to: onto, chain, reach: 0 });
            let Some((gap_from, gap_to)) = gaps else {
                if (end, onto_end) != (header.from.end, header.to.end) {
                    return Err(lines.wrong("the chain's blocks end before the chain does"));
                }
                return Ok(());
            };
            from = end.saturating_add(gap_from);
            onto = onto_end.saturating_add(gap_to);
        }
    }

    /// Lifts a span of bases by its first base and its length.
    #[must_use]
    pub fn lift(&self, chromosome: &Chromosome, first: Position, length: u32) -> Lift {
        let start = first.get() - 1;
        let end = start.checked_add(length.max(1));
        let (Some(blocks), Some(end)) = (self.blocks.get(chromosome), end) else { return Lift::Nowhere };
        let mut found = None;
        let behind = blocks.partition_point(|block| block.start <= start);
        for block in blocks.iter().take(behind).rev().take_while(|block| block.reach > start) {
            if block.end <= start {
                continue;
            }
            if found.is_some() {
                return Lift::Several;
            }
            // A block that ends within the span counts as well: what several chains know has no one place.
            found = Some(if block.end < end { Lift::Nowhere } else { self.place(block, start, end) });
        }
        found.unwrap_or(Lift::Nowhere)
    }

    fn place(&self, block: &Block, start: u32, end: u32) -> Lift {
        let Some(chain) = self.chains.get(block.chain as usize) else { return Lift::Nowhere };
        let onto = block.to + (start - block.start);
        let from_zero = if chain.reversed { chain.size.checked_sub(onto + (end - start)) } else { Some(onto) };
        match from_zero.and_then(|base| base.checked_add(1)).and_then(Position::new) {
            Some(position) => Lift::At { chromosome: chain.chromosome.clone(), position, reversed: chain.reversed },
            None => Lift::Nowhere,
        }
    }

    /// Returns whether the chromosomes that it lifts from have the lengths of `assembly`; `None` where no chromosome's
    /// length is known.
    #[must_use]
    pub fn starts_from(&self, assembly: &Assembly) -> Option<bool> {
        agrees(&self.from_sizes, assembly)
    }

    /// Returns whether the chromosomes that it lifts to have the lengths of `assembly`; `None` where no chromosome's
    /// length is known.
    #[must_use]
    pub fn leads_to(&self, assembly: &Assembly) -> Option<bool> {
        agrees(&self.to_sizes, assembly)
    }
}

/// The mitochondrion is left out: UCSC's hg19 has another one than `GRCh37`.
fn agrees(sizes: &BTreeMap<Chromosome, u32>, assembly: &Assembly) -> Option<bool> {
    let known = sizes.iter().filter(|(chromosome, _)| chromosome.as_str() != "chrM");
    let mut known = known.filter_map(|(name, size)| assembly.length_of(name).map(|length| length == *size)).peekable();
    known.peek()?;
    Some(known.all(|same| same))
}

struct Side {
    chromosome: Chromosome,
    size: u32,
    reversed: bool,
    start: u32,
    end: u32,
}

struct Header {
    from: Side,
    to: Side,
}

impl Header {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["chain", _score, from @ .., _, _, _, _, _] = words.get(..12)? else { return None };
        let (from, to) = (Side::parse(from)?, Side::parse(words.get(7..12)?)?);
        (!from.reversed).then_some(Self { from, to })
    }
}

impl Side {
    fn parse(words: &[&str]) -> Option<Self> {
        let [name, size, strand, start, end] = words else { return None };
        let (size, start, end) = (size.parse().ok()?, start.parse().ok()?, end.parse().ok()?);
        let reversed = match *strand {
            "+" => false,
            "-" => true,
            _ => return None,
        };
        let chromosome = Chromosome::parse(name).ok()?;
        (start <= end && end <= size).then_some(Self { chromosome, size, reversed, start, end })
    }
}

struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<&str>, LiftoverError> {
        self.buffer.clear();
        let read = self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.buffer);
        let length = read.map_err(|source| LiftoverError::Read { line: self.number, source })?;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        if length as u64 == LONGEST_LINE {
            return Err(self.wrong("the line is too long for a chain file"));
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(LiftoverError::Malformed { line: self.number, problem: "not text" }),
        }
    }

    fn wrong(&self, problem: &'static str) -> LiftoverError {
        LiftoverError::Malformed { line: self.number, problem }
    }
}

#[cfg(test)]
mod tests;

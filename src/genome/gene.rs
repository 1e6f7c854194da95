//! Genes: identifiers, symbols, biotypes, places.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Chromosome, GenomeError, Position, Strand};

/// A gene's identifier without its version; `ENSG00000013573.16` is `ENSG00000013573`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GeneId(Arc<str>);

impl GeneId {
    /// Parses an identifier and splits off the version of an Ensembl-like one.
    ///
    /// A trailing `_PAR_Y` stays with the identifier, since it names another gene.
    ///
    /// ```
    /// use tissuecast::genome::GeneId;
    /// let (id, version) = GeneId::parse("ENSG00000013573.16")?;
    /// assert_eq!((id.as_str(), version), ("ENSG00000013573", Some(16)));
    /// assert_eq!(GeneId::parse("ENSG00000182378.13_PAR_Y")?.0.as_str(), "ENSG00000182378_PAR_Y");
    /// assert_eq!(GeneId::parse("RP11-34P13.7")?.0.as_str(), "RP11-34P13.7");
    /// # Ok::<(), tissuecast::genome::GenomeError>(())
    /// ```
    ///
    /// # Errors
    /// The identifier is empty or has a blank in it.
    pub fn parse(text: &str) -> Result<(Self, Option<u32>), GenomeError> {
        if text.is_empty() || text.chars().any(char::is_whitespace) {
            return Err(GenomeError::GeneId(text.to_owned()));
        }
        if text.starts_with("ENS")
            && let Some((stem, rest)) = text.split_once('.')
        {
            let (digits, suffix) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
            if let Ok(version) = digits.parse()
                && (suffix.is_empty() || suffix.starts_with('_'))
            {
                return Ok((Self(format!("{stem}{suffix}").into()), Some(version)));
            }
        }
        Ok((Self(text.into()), None))
    }

    /// Returns the identifier without version.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GeneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A gene's symbol, as the annotation spells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GeneSymbol(Arc<str>);

impl GeneSymbol {
    /// Takes a symbol as it is spelled.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the symbol.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A gene's biotype, such as `protein_coding` or `lincRNA`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Biotype(Arc<str>);

impl Biotype {
    /// Takes a biotype as the annotation spells it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the biotype's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a gene is: 1-based, both ends included, and the base where its transcription starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locus {
    /// The chromosome.
    pub chromosome: Chromosome,
    /// The leftmost base.
    pub start: Position,
    /// The rightmost base.
    pub end: Position,
    /// The strand.
    pub strand: Strand,
    /// The transcription start site.
    pub tss: Position,
}

impl Locus {
    /// Returns a locus whose transcription start is the strand's first base.
    #[must_use]
    pub fn new(chromosome: Chromosome, start: Position, end: Position, strand: Strand) -> Self {
        let tss = match strand {
            Strand::Forward => start,
            Strand::Reverse => end,
        };
        Self { chromosome, start, end, strand, tss }
    }

    /// Returns the base pairs between two loci of one chromosome: negative where `other` lies to the left, 0 where
    /// they overlap.
    #[must_use]
    pub fn gap_to(&self, other: &Self) -> i64 {
        if other.start > self.end {
            self.end.distance_to(other.start)
        } else if other.end < self.start {
            self.start.distance_to(other.end)
        } else {
            0
        }
    }
}

/// A gene of a reference dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gene {
    /// The identifier, without version.
    pub id: GeneId,
    /// The identifier's version where the annotation gave one.
    pub version: Option<u32>,
    /// The symbol; the identifier where the annotation has none.
    pub symbol: GeneSymbol,
    /// The biotype where it is known.
    pub biotype: Option<Biotype>,
    /// The place; `None` for a gene that was measured but is not in the annotation.
    pub locus: Option<Locus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locus(start: u32, end: u32) -> Locus {
        Locus::new(
            Chromosome::parse("1").unwrap(),
            Position::new(start).unwrap(),
            Position::new(end).unwrap(),
            Strand::Reverse,
        )
    }

    #[test]
    fn gap_is_signed_and_zero_on_overlap() {
        assert_eq!(locus(100, 200).gap_to(&locus(250, 300)), 50);
        assert_eq!(locus(250, 300).gap_to(&locus(100, 200)), -50);
        assert_eq!(locus(100, 200).gap_to(&locus(150, 300)), 0);
    }

    #[test]
    fn transcription_starts_at_the_strands_first_base() {
        assert_eq!(locus(100, 200).tss.get(), 200);
    }
}

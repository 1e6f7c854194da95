//! The genome's vocabulary: chromosomes, positions, strands, assemblies, genes, tissues, variants.
//!
//! Everything here is a parsed value: nothing past the edges of the program sees a raw string for a
//! chromosome, gene or tissue. Imports nothing of the rest of the crate.

pub mod assembly;
pub mod gene;
pub mod liftover;
pub mod region;
pub mod sequence;
pub mod tissue;
pub mod variant;

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use assembly::Assembly;
pub use gene::{Biotype, Gene, GeneId, GeneSymbol, Locus};
pub use region::Region;
pub use sequence::Promoter;
pub use tissue::{GtexTissue, Tissue};
pub use variant::{Allele, PlacedName, VariantId};

/// What is wrong with a genome word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenomeError {
    /// A chromosome name is empty or has blanks in it.
    #[error("'{0}' is not a chromosome name")]
    Chromosome(String),
    /// A strand is neither + nor -.
    #[error("'{0}' is not a strand: write + or -")]
    Strand(String),
    /// A position is not a whole number of at least 1.
    #[error("'{0}' is not a position: positions are whole numbers from 1")]
    Position(String),
    /// A gene identifier is empty or has blanks in it.
    #[error("'{0}' is not a gene identifier")]
    GeneId(String),
    /// A promoter has a letter that is not A, C, G, T or N.
    #[error("letter '{letter}' at base {base} of the promoter is not one of A, C, G, T, N")]
    PromoterLetter {
        /// The letter as it was given.
        letter: char,
        /// 1-based place in the sequence.
        base: usize,
    },
    /// A region is not of its form.
    #[error("'{0}' is not a region: write chromosome:first-last, such as chr12:31,000,000-32,000,000")]
    Region(String),
    /// An allele is not made of bases.
    #[error("'{0}' is not an allele: alleles are made of A, C, G, T and N")]
    Allele(String),
    /// An assembly name is empty.
    #[error("'{0}' is not an assembly name")]
    Assembly(String),
}

/// A chromosome or scaffold by its name; `1`, `chr1` and `Chr1` are the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chromosome(Arc<str>);

impl Chromosome {
    /// Parses a chromosome's name; numbers, numbers with a letter such as barley's `1H` or a fly's `2L`, and the letters
    /// X, Y, M, W, Z get the prefix `chr`, `MT` is `chrM`.
    ///
    /// ```
    /// use tissuecast::genome::Chromosome;
    /// assert_eq!(Chromosome::parse("12")?.as_str(), "chr12");
    /// assert_eq!(Chromosome::parse("MT")?, Chromosome::parse("chrM")?);
    /// assert_eq!(Chromosome::parse("1H")?, Chromosome::parse("chr1H")?);
    /// assert_eq!(Chromosome::parse("scaffold_7")?.as_str(), "scaffold_7");
    /// # Ok::<(), tissuecast::genome::GenomeError>(())
    /// ```
    ///
    /// # Errors
    /// The name is empty or has a blank in it.
    pub fn parse(text: &str) -> Result<Self, GenomeError> {
        let bare = match text.get(..3) {
            Some(prefix) if prefix.eq_ignore_ascii_case("chr") && text.len() > 3 => &text[3..],
            _ => text,
        };
        if bare.is_empty() || bare.chars().any(char::is_whitespace) {
            return Err(GenomeError::Chromosome(text.to_owned()));
        }
        let upper = bare.to_ascii_uppercase();
        let name = match upper.as_str() {
            "MT" => "chrM".to_owned(),
            "X" | "Y" | "M" | "W" | "Z" => format!("chr{upper}"),
            _ if numbered(bare) => format!("chr{upper}"),
            _ => text.to_owned(),
        };
        Ok(Self(name.into()))
    }

    /// Returns a chromosome that no gene lies on: its name has a blank, which [`Self::parse`] never lets through.
    #[must_use]
    pub fn without_genes() -> Self {
        Self("no chromosome".into())
    }

    /// Returns the name, with `chr` where it belongs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn order(&self) -> (bool, u32, &str) {
        let bare = self.0.strip_prefix("chr").unwrap_or(&self.0);
        bare.parse().map_or((true, 0, bare), |n| (false, n, bare))
    }
}

impl Ord for Chromosome {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Chromosome {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Chromosome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Chromosome {
    type Error = GenomeError;

    fn try_from(text: String) -> Result<Self, GenomeError> {
        Self::parse(&text)
    }
}

impl From<Chromosome> for String {
    fn from(chromosome: Chromosome) -> Self {
        chromosome.0.to_string()
    }
}

/// Whether a name is a number, with or without one letter behind it.
fn numbered(bare: &str) -> bool {
    let digits = bare.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    !digits.is_empty() && bare.len() - digits.len() <= 1 && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A base of a chromosome, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Position(u32);

impl Position {
    /// Returns the position, or `None` for 0.
    #[must_use]
    pub const fn new(base: u32) -> Option<Self> {
        if base == 0 { None } else { Some(Self(base)) }
    }

    /// Parses a whole number from 1.
    ///
    /// # Errors
    /// The text is no number, or 0, or above 4,294,967,295.
    pub fn parse(text: &str) -> Result<Self, GenomeError> {
        text.parse().ok().and_then(Self::new).ok_or_else(|| GenomeError::Position(text.to_owned()))
    }

    /// Returns the 1-based number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns `other − self` in base pairs.
    #[must_use]
    pub fn distance_to(self, other: Self) -> i64 {
        i64::from(other.0) - i64::from(self.0)
    }
}

impl TryFrom<u32> for Position {
    type Error = GenomeError;

    fn try_from(base: u32) -> Result<Self, GenomeError> {
        Self::new(base).ok_or_else(|| GenomeError::Position(base.to_string()))
    }
}

impl From<Position> for u32 {
    fn from(position: Position) -> Self {
        position.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The strand that a gene is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Strand {
    /// The plus strand.
    #[serde(rename = "+")]
    Forward,
    /// The minus strand.
    #[serde(rename = "-")]
    Reverse,
}

impl Strand {
    /// Parses `+` or `-`.
    ///
    /// # Errors
    /// The text is anything else.
    pub fn parse(text: &str) -> Result<Self, GenomeError> {
        match text {
            "+" => Ok(Self::Forward),
            "-" => Ok(Self::Reverse),
            _ => Err(GenomeError::Strand(text.to_owned())),
        }
    }

    /// Returns `+` or `-`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "+",
            Self::Reverse => "-",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chromosomes_sort_by_number_then_by_letter() {
        let mut names: Vec<_> =
            ["chrX", "10", "chr2", "scaffold_1", "MT"].iter().map(|n| Chromosome::parse(n).unwrap()).collect();
        names.sort();
        let names: Vec<_> = names.iter().map(Chromosome::as_str).collect();
        assert_eq!(names, ["chr2", "chr10", "chrM", "chrX", "scaffold_1"]);
    }

    #[test]
    fn one_chromosome_has_one_name() {
        for (name, others) in [
            ("chr2", ["2", "Chr2", "CHR2"]),
            ("chr1H", ["1H", "chr1h", "Chr1H"]),
            ("chrM", ["MT", "m", "chrMT"]),
            ("chrW", ["w", "W", "ChrW"]),
        ] {
            for other in others {
                assert_eq!(Chromosome::parse(other).unwrap().as_str(), name, "{other}");
            }
        }
        for name in ["scaf_21", "Pt", "chr1_KI270706v1_random", "1_random", "H1", "7HL", "GL000192.1"] {
            assert_eq!(Chromosome::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn junk_is_refused() {
        for text in ["", "chr 1", " "] {
            assert!(Chromosome::parse(text).is_err(), "{text:?}");
        }
        for text in ["0", "-1", "1.5", "", "4294967296"] {
            assert!(Position::parse(text).is_err(), "{text:?}");
        }
        assert!(Strand::parse(".").is_err());
    }
}

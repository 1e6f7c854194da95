//! Genome assemblies and the lengths of their chromosomes.

use std::fmt;
use std::sync::Arc;

use super::{Chromosome, GenomeError};

/// A genome assembly by name; `hg38` is `GRCh38`, `hg19` and `b37` are `GRCh37`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Assembly(Arc<str>);

impl Assembly {
    /// Parses an assembly's name; one that is not known here is kept as it is spelled.
    ///
    /// ```
    /// use tissuecast::genome::Assembly;
    /// assert_eq!(Assembly::parse("hg38")?.as_str(), "GRCh38");
    /// assert_eq!(Assembly::parse("Zm-B73-v5")?.as_str(), "Zm-B73-v5");
    /// # Ok::<(), tissuecast::genome::GenomeError>(())
    /// ```
    ///
    /// # Errors
    /// The name is empty or has a blank in it.
    pub fn parse(text: &str) -> Result<Self, GenomeError> {
        if text.is_empty() || text.chars().any(char::is_whitespace) {
            return Err(GenomeError::Assembly(text.to_owned()));
        }
        let name = match text.to_ascii_lowercase().as_str() {
            "grch38" | "hg38" | "b38" => "GRCh38",
            "grch37" | "hg19" | "b37" => "GRCh37",
            _ => text,
        };
        Ok(Self(name.into()))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the lengths of the assembly's chromosomes are known here.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(&*self.0, "GRCh38" | "GRCh37")
    }

    /// Returns a chromosome's length in base pairs, where the assembly and the chromosome are known here.
    #[must_use]
    pub fn length_of(&self, chromosome: &Chromosome) -> Option<u32> {
        let lengths = match &*self.0 {
            "GRCh38" => &GRCH38,
            "GRCh37" => &GRCH37,
            _ => return None,
        };
        lengths.iter().find(|(name, _)| *name == chromosome.as_str()).map(|(_, length)| *length)
    }
}

impl fmt::Display for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const GRCH38: [(&str, u32); 25] = [
    ("chr1", 248_956_422),
    ("chr2", 242_193_529),
    ("chr3", 198_295_559),
    ("chr4", 190_214_555),
    ("chr5", 181_538_259),
    ("chr6", 170_805_979),
    ("chr7", 159_345_973),
    ("chr8", 145_138_636),
    ("chr9", 138_394_717),
    ("chr10", 133_797_422),
    ("chr11", 135_086_622),
    ("chr12", 133_275_309),
    ("chr13", 114_364_328),
    ("chr14", 107_043_718),
    ("chr15", 101_991_189),
    ("chr16", 90_338_345),
    ("chr17", 83_257_441),
    ("chr18", 80_373_285),
    ("chr19", 58_617_616),
    ("chr20", 64_444_167),
    ("chr21", 46_709_983),
    ("chr22", 50_818_468),
    ("chrX", 156_040_895),
    ("chrY", 57_227_415),
    ("chrM", 16_569),
];

const GRCH37: [(&str, u32); 25] = [
    ("chr1", 249_250_621),
    ("chr2", 243_199_373),
    ("chr3", 198_022_430),
    ("chr4", 191_154_276),
    ("chr5", 180_915_260),
    ("chr6", 171_115_067),
    ("chr7", 159_138_663),
    ("chr8", 146_364_022),
    ("chr9", 141_213_431),
    ("chr10", 135_534_747),
    ("chr11", 135_006_516),
    ("chr12", 133_851_895),
    ("chr13", 115_169_878),
    ("chr14", 107_349_540),
    ("chr15", 102_531_392),
    ("chr16", 90_354_753),
    ("chr17", 81_195_210),
    ("chr18", 78_077_248),
    ("chr19", 59_128_983),
    ("chr20", 63_025_520),
    ("chr21", 48_129_895),
    ("chr22", 51_304_566),
    ("chrX", 155_270_560),
    ("chrY", 59_373_566),
    ("chrM", 16_571),
];

//! A stretch of a chromosome, as people type it: `chr12:31,000,000-32,000,000`.

use super::{Chromosome, GenomeError, Locus, Position};

/// How far a region reaches to either side of a single position.
const AROUND: u32 = 250_000;

/// A stretch of a chromosome, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The chromosome.
    pub chromosome: Chromosome,
    /// The leftmost base.
    pub first: Position,
    /// The rightmost base.
    pub last: Position,
}

impl Region {
    /// Returns whether a text is probably meant as a region: it has a colon with a digit behind it. Some genomes have
    /// genes with such names: look for the gene first.
    ///
    /// ```
    /// use tissuecast::genome::Region;
    /// assert!(Region::is_meant_by("12:31000000") && !Region::is_meant_by("HLA-A"));
    /// ```
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        text.split_once(':').is_some_and(|(_, behind)| behind.trim_start().starts_with(|c: char| c.is_ascii_digit()))
    }

    /// Parses `chr12:31,000,000-32,000,000`, with or without `chr` and commas; a single position means 250,000 bases to
    /// either side of it.
    ///
    /// ```
    /// use tissuecast::genome::Region;
    /// let region = Region::parse("12:31,000,000-32,000,000")?;
    /// assert_eq!(region.to_string(), "chr12:31000000-32000000");
    /// assert_eq!(Region::parse("chrX:300000")?.to_string(), "chrX:50000-550000");
    /// assert!(Region::parse("chr1:20-10").is_err());
    /// # Ok::<(), tissuecast::genome::GenomeError>(())
    /// ```
    ///
    /// # Errors
    /// The text is not of this form, or its ends are the wrong way round.
    pub fn parse(text: &str) -> Result<Self, GenomeError> {
        let wrong = || GenomeError::Region(text.trim().to_owned());
        let (chromosome, places) = text.trim().split_once(':').ok_or_else(wrong)?;
        let chromosome = Chromosome::parse(chromosome.trim()).map_err(|_| wrong())?;
        let number = |text: &str| {
            let digits: String = text.trim().chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
            Position::parse(&digits).map_err(|_| wrong())
        };
        let (first, last) = if let Some((first, last)) = places.split_once(['-', '–']) {
            (number(first)?, number(last)?)
        } else {
            let middle = number(places)?.get();
            let first = Position::new(middle.saturating_sub(AROUND).max(1)).ok_or_else(wrong)?;
            (first, Position::new(middle.saturating_add(AROUND)).ok_or_else(wrong)?)
        };
        if first > last { Err(wrong()) } else { Ok(Self { chromosome, first, last }) }
    }

    /// Returns whether a gene's place and the region share a base.
    #[must_use]
    pub fn overlaps(&self, locus: &Locus) -> bool {
        locus.chromosome == self.chromosome && locus.start <= self.last && locus.end >= self.first
    }
}

impl std::fmt::Display for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}-{}", self.chromosome, self.first, self.last)
    }
}

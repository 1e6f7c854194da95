//! Variants: alleles, identifiers, and the spellings of a variant's name.

use std::fmt;

use super::{Assembly, Chromosome, GenomeError, Position};

/// An allele's bases in capitals: A, C, G, T and N, at least one.
///
/// Most alleles are one base, which costs no allocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Allele {
    /// One base, an ASCII capital.
    Base(u8),
    /// Several bases in ASCII capitals.
    Bases(Box<[u8]>),
}

impl Allele {
    /// Parses bases in either case.
    ///
    /// ```
    /// use tissuecast::genome::Allele;
    /// assert_eq!(Allele::parse("acgt")?.to_string(), "ACGT");
    /// assert!(Allele::parse("<DEL>").is_err());
    /// # Ok::<(), tissuecast::genome::GenomeError>(())
    /// ```
    ///
    /// # Errors
    /// There is no base, or a letter that is none: symbolic alleles, `*` and `.` have no bases.
    pub fn parse(text: &str) -> Result<Self, GenomeError> {
        let bases = text.as_bytes();
        if bases.is_empty() || bases.iter().any(|base| complement(*base).is_none()) {
            return Err(GenomeError::Allele(text.to_owned()));
        }
        Ok(Self::of(bases.to_ascii_uppercase()))
    }

    fn of(bases: Vec<u8>) -> Self {
        if let [base] = bases.as_slice() { Self::Base(*base) } else { Self::Bases(bases.into()) }
    }

    /// Returns the bases in capitals.
    #[must_use]
    pub fn bases(&self) -> &[u8] {
        match self {
            Self::Base(base) => std::slice::from_ref(base),
            Self::Bases(bases) => bases,
        }
    }

    /// Returns the same bases read on the other strand.
    ///
    /// ```
    /// use tissuecast::genome::Allele;
    /// assert_eq!(Allele::parse("AACG")?.reverse_complement().to_string(), "CGTT");
    /// # Ok::<(), tissuecast::genome::GenomeError>(())
    /// ```
    #[must_use]
    pub fn reverse_complement(&self) -> Self {
        let turn = |base: &u8| complement(*base).unwrap_or(b'N');
        match self {
            Self::Base(base) => Self::Base(turn(base)),
            Self::Bases(bases) => Self::Bases(bases.iter().rev().map(turn).collect()),
        }
    }

    /// Returns whether the two alleles of a variant are each other's reverse complement, so that the alleles alone do
    /// not tell the strand: A/T and C/G.
    #[must_use]
    pub fn is_palindromic_with(&self, other: &Self) -> bool {
        self.bases().len() == other.bases().len() && *self == other.reverse_complement()
    }
}

impl fmt::Display for Allele {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bases().iter().try_for_each(|base| fmt::Write::write_char(f, char::from(*base)))
    }
}

/// The complement of a base in either case, in capitals.
fn complement(base: u8) -> Option<u8> {
    Some(match base {
        b'A' | b'a' => b'T',
        b'C' | b'c' => b'G',
        b'G' | b'g' => b'C',
        b'T' | b't' => b'A',
        b'N' | b'n' => b'N',
        _ => return None,
    })
}

/// A variant's identifier that says nothing of its place: an rs number, or a name of somebody's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VariantId {
    /// A dbSNP reference number: `rs123`.
    Rs(u64),
    /// Any other name.
    Name(Box<str>),
}

impl VariantId {
    /// Parses an identifier; `None` for the empty text and `.`.
    ///
    /// ```
    /// use tissuecast::genome::VariantId;
    /// assert_eq!(VariantId::parse("RS17"), Some(VariantId::Rs(17)));
    /// assert_eq!(VariantId::parse("."), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if matches!(text, "" | ".") {
            return None;
        }
        let number = match text.as_bytes() {
            [b'r' | b'R', b's' | b'S', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => text[2..].parse().ok(),
            _ => None,
        };
        Some(number.map_or_else(|| Self::Name(text.into()), Self::Rs))
    }
}

impl fmt::Display for VariantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rs(number) => write!(f, "rs{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// What a variant's name says where it is made of place and alleles, such as `chr1_123_A_G_b38` or `1:123:A:G`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedName {
    /// The chromosome.
    pub chromosome: Chromosome,
    /// The position of the first base of the reference allele.
    pub position: Position,
    /// The reference and the alternative allele, where the name has them.
    pub alleles: Option<(Allele, Allele)>,
    /// The assembly, where the name ends with it.
    pub assembly: Option<Assembly>,
}

impl PlacedName {
    /// Parses a name of two, four or five parts between `:`, `_` or `-`: chromosome (with or without `chr`), position,
    /// reference and alternative allele, assembly. `None` for anything else.
    ///
    /// ```
    /// use tissuecast::genome::PlacedName;
    /// let name = PlacedName::parse("chr1_123_A_G_b38").unwrap();
    /// assert_eq!((name.chromosome.as_str(), name.position.get()), ("chr1", 123));
    /// assert_eq!(name.assembly.unwrap().as_str(), "GRCh38");
    /// assert!(PlacedName::parse("1:123:a:g").is_some() && PlacedName::parse("X-5").is_some());
    /// assert!(PlacedName::parse("rs123").is_none() && PlacedName::parse("1:0:A:G").is_none());
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let separator = [':', '_', '-'].into_iter().find(|separator| Self::fits(text, *separator))?;
        let mut parts = text.split(separator);
        let first = parts.next()?;
        let chromosome = Chromosome::parse(first).ok()?;
        // Two parts alone are as often a name of an array's own, such as kgp_123.
        let is_common = chromosome.as_str().starts_with("chr");
        if !is_common && text.matches(separator).count() == 1 {
            return None;
        }
        let position = Position::parse(parts.next()?).ok()?;
        let alleles = match (parts.next(), parts.next()) {
            (Some(reference), Some(alternative)) => {
                Some((Allele::parse(reference).ok()?, Allele::parse(alternative).ok()?))
            }
            _ => None,
        };
        let assembly = parts.next().map(Assembly::parse).transpose().ok()?;
        Some(Self { chromosome, position, alleles, assembly })
    }

    fn fits(text: &str, separator: char) -> bool {
        let mut parts = text.split(separator);
        let second_is_number = parts.nth(1).is_some_and(|second| second.bytes().all(|b| b.is_ascii_digit()));
        second_is_number && matches!(parts.count(), 0 | 2 | 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allele(text: &str) -> Allele {
        Allele::parse(text).unwrap()
    }

    #[test]
    fn palindromes_are_their_own_reverse_complement() {
        for (a, b, expected) in
            [("A", "T", true), ("C", "G", true), ("A", "G", false), ("AG", "CT", true), ("A", "AT", false)]
        {
            assert_eq!(allele(a).is_palindromic_with(&allele(b)), expected, "{a}/{b}");
        }
    }

    #[test]
    fn every_spelling_of_a_place_is_the_same() {
        let spellings = ["chr1_123_A_G_b38", "1_123_A_G_b38", "1:123:A:G:hg38", "chr1-123-a-g-GRCh38"];
        let parsed: Vec<_> = spellings.iter().map(|text| PlacedName::parse(text).unwrap()).collect();
        assert!(parsed.windows(2).all(|pair| pair[0] == pair[1]), "{parsed:?}");
    }

    #[test]
    fn names_that_are_no_place_are_none() {
        for text in ["rs1", "", ".", "1:x:A:G", "1:5:A", "kgp_123", "1:5:<DEL>:A", "1::A:G"] {
            assert_eq!(PlacedName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn alleles_without_bases_are_refused() {
        for text in ["", ".", "*", "<INS>", "A]1:5]", "R", "A,C"] {
            assert!(Allele::parse(text).is_err(), "{text}");
        }
    }
}

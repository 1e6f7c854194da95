//! Promoter sequences.

use std::sync::Arc;

use super::GenomeError;

/// A promoter on its gene's strand: upper-case A, C, G, T, and N where the base is not known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Promoter(Arc<[u8]>);

impl Promoter {
    /// Parses a sequence of A, C, G, T, N in either case.
    ///
    /// ```
    /// use tissuecast::genome::Promoter;
    /// assert_eq!(Promoter::parse(b"acgtN")?.bases(), b"ACGTN");
    /// assert!(Promoter::parse(b"ACXT").is_err());
    /// # Ok::<(), tissuecast::genome::GenomeError>(())
    /// ```
    ///
    /// # Errors
    /// A letter is none of these; the error names it and its place.
    pub fn parse(letters: &[u8]) -> Result<Self, GenomeError> {
        let bases: Vec<u8> = letters.iter().map(u8::to_ascii_uppercase).collect();
        match bases.iter().position(|base| !matches!(base, b'A' | b'C' | b'G' | b'T' | b'N')) {
            Some(at) => Err(GenomeError::PromoterLetter { letter: char::from(letters[at]), base: at + 1 }),
            None => Ok(Self(bases.into())),
        }
    }

    /// Returns the bases, 5′ to 3′ on the gene's strand.
    #[must_use]
    pub fn bases(&self) -> &[u8] {
        &self.0
    }

    /// Returns how many bases are known.
    #[must_use]
    pub fn known(&self) -> usize {
        self.0.iter().filter(|base| **base != b'N').count()
    }
}

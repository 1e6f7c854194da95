//! A genotype as VCF writes it: `0/1`, `1|0`, `1`, `./.`.

/// A person's genotype in four bytes: the numbers of the alleles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call(u16, u16);

/// Stands for no second allele in a haploid call.
const NONE: u16 = u16::MAX;
const UNKNOWN: u16 = u16::MAX - 1;

impl Call {
    /// A genotype that is not known.
    pub(super) const MISSING: Self = Self(UNKNOWN, UNKNOWN);

    /// Parses a genotype; a half call is missing.
    ///
    /// # Errors
    /// It is no genotype, or has more than two alleles.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(['/', '|']);
        let first = allele(parts.next().unwrap_or_default(), text)?;
        let second = parts.next().map(|part| allele(part, text)).transpose()?;
        if parts.next().is_some() {
            return Err(format!("'{text}' has more than two alleles: only haploid and diploid genotypes are read"));
        }
        Ok(match (first, second) {
            (Some(first), None) => Self(first, NONE),
            (Some(first), Some(Some(second))) => Self(first, second),
            _ => Self::MISSING,
        })
    }

    pub(super) fn is_haploid(self) -> bool {
        self.1 == NONE
    }

    /// Returns an allele that it has and a variant of so many alleles has not.
    pub(super) fn beyond(self, alleles: usize) -> Option<u16> {
        [self.0, self.1].into_iter().find(|number| *number < UNKNOWN && usize::from(*number) >= alleles)
    }

    /// Returns how often it has an allele; `None` where it is missing.
    pub(super) fn count(self, allele: usize) -> Option<u8> {
        let is = |number: u16| u8::from(usize::from(number) == allele);
        (self != Self::MISSING).then(|| is(self.0) + if self.is_haploid() { 0 } else { is(self.1) })
    }
}

fn allele(part: &str, text: &str) -> Result<Option<u16>, String> {
    if part == "." {
        return Ok(None);
    }
    // The two largest numbers have a meaning of their own.
    match part.parse().ok().filter(|number| *number < UNKNOWN && part.as_bytes().first() != Some(&b'+')) {
        Some(number) => Ok(Some(number)),
        None => Err(format!(
            "'{}' is no genotype: write '0/1', '0|1', '1' or './.'",
            text.chars().take(40).collect::<String>()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genotypes_as_in_vcf() {
        for (text, counts, haploid) in [
            ("0/0", Some([2, 0, 0]), false),
            ("0|1", Some([1, 1, 0]), false),
            ("2/1", Some([0, 1, 1]), false),
            ("1", Some([0, 1, 0]), true),
            ("./.", None, false),
            (".", None, false),
            ("./1", None, false),
            ("1|.", None, false),
        ] {
            let call = Call::parse(text).unwrap();
            let found = [0, 1, 2].map(|allele| call.count(allele));
            assert_eq!((found, call.is_haploid()), ([0, 1, 2].map(|i| counts.map(|c| c[i])), haploid), "{text}");
        }
        for text in ["", "/", "0/", "A/G", "0/1/1", "-1/0", "0/99999", "0 /1"] {
            assert!(Call::parse(text).is_err(), "{text}");
        }
        assert_eq!((Call::parse("3/0").unwrap().beyond(3), Call::parse("2").unwrap().beyond(3)), (Some(3), None));
    }
}

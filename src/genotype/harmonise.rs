//! A record's alleles against a model's: which of the record's alleles is the one that the model counts.
//!
//! Alleles fit directly, swapped, on the other strand, or both; indels too, by their whole sequence, after the bases
//! that both alleles end with are taken off. Nothing here decides about palindromic variants: see
//! [`super::policy::Ambiguous`].

use crate::genome::Allele;

use super::Site;
use super::report::MatchKind;

/// What of a record has to be counted to get the effect allele's dosage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Count {
    /// Copies of this allele: 0 is the reference, 1 the first alternative.
    Allele(usize),
    /// Copies of anything but the reference: for a record without alternatives, where nobody carries any.
    NotReference,
}

/// How a record's alleles fit a model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// `Exact`, `Swapped`, `StrandFlipped` or `StrandFlippedSwapped`.
    pub kind: MatchKind,
    /// What to count.
    pub count: Count,
}

impl Fit {
    /// Returns the fit of the same alleles if the record were read on the other strand: only for palindromic variants,
    /// where the two alleles change places.
    #[must_use]
    pub fn on_other_strand(self) -> Self {
        let count = match self.count {
            Count::Allele(0) => Count::NotReference,
            Count::Allele(_) | Count::NotReference => Count::Allele(0),
        };
        let kind = match self.kind {
            MatchKind::Exact => MatchKind::StrandFlippedSwapped,
            _ => MatchKind::StrandFlipped,
        };
        Self { kind, count }
    }
}

/// Returns how the site's alleles fit a model's two alleles, or `None` where they do not.
///
/// ```
/// use tissuecast::genome::Allele;
/// use tissuecast::genotype::harmonise::{Count, fit};
/// use tissuecast::genotype::Site;
/// let site = Site { chromosome: None, position: None, ids: "rs1", reference: "t", alternatives: "G,C" };
/// let found = fit(&site, &Allele::parse("A")?, &Allele::parse("G")?).unwrap();
/// assert_eq!((found.kind.name(), found.count), ("strand_flipped", Count::Allele(2)));
/// # Ok::<(), tissuecast::genome::GenomeError>(())
/// ```
#[must_use]
pub fn fit(site: &Site<'_>, other: &Allele, effect: &Allele) -> Option<Fit> {
    if let Some((count, swapped)) = same_strand(site, other.bases(), effect.bases()) {
        let kind = if swapped { MatchKind::Swapped } else { MatchKind::Exact };
        return Some(Fit { kind, count });
    }
    let (other, effect) = (other.reverse_complement(), effect.reverse_complement());
    let (count, swapped) = same_strand(site, other.bases(), effect.bases())?;
    let kind = if swapped { MatchKind::StrandFlippedSwapped } else { MatchKind::StrandFlipped };
    Some(Fit { kind, count })
}

/// What to count where the alleles fit without complement, and whether they are swapped.
fn same_strand(site: &Site<'_>, other: &[u8], effect: &[u8]) -> Option<(Count, bool)> {
    let reference = site.reference.as_bytes();
    if matches!(site.alternatives, "" | ".") {
        // A record of a site where nobody differs from the reference.
        if reference.eq_ignore_ascii_case(other) {
            return Some((Count::NotReference, false));
        }
        return reference.eq_ignore_ascii_case(effect).then_some((Count::Allele(0), true));
    }
    for (at, alternative) in site.alternatives.split(',').enumerate() {
        let alternative = alternative.as_bytes();
        if same_pair((reference, alternative), (other, effect)) {
            return Some((Count::Allele(at + 1), false));
        }
        if same_pair((reference, alternative), (effect, other)) {
            return Some((Count::Allele(0), true));
        }
    }
    None
}

type Pair<'a> = (&'a [u8], &'a [u8]);

fn same_pair(record: Pair<'_>, model: Pair<'_>) -> bool {
    let same = |a: Pair<'_>, b: Pair<'_>| a.0.eq_ignore_ascii_case(b.0) && a.1.eq_ignore_ascii_case(b.1);
    if record.0.len() + record.1.len() + model.0.len() + model.1.len() == 4 {
        return same(record, model);
    }
    same(without_common_end(record), without_common_end(model))
}

/// Takes off the bases that both alleles end with, as a multi-allelic record spells its indels with more of them than
/// a record of one alternative; at least one base stays.
fn without_common_end((mut a, mut b): Pair<'_>) -> Pair<'_> {
    while let ([a_rest @ .., a_last], [b_rest @ .., b_last]) = (a, b)
        && !a_rest.is_empty()
        && !b_rest.is_empty()
        && a_last.eq_ignore_ascii_case(b_last)
    {
        (a, b) = (a_rest, b_rest);
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(reference: &str, alternatives: &str, other: &str, effect: &str) -> Option<(&'static str, Count)> {
        let site = Site { chromosome: None, position: None, ids: ".", reference, alternatives };
        let allele = |text| Allele::parse(text).unwrap();
        fit(&site, &allele(other), &allele(effect)).map(|fit| (fit.kind.name(), fit.count))
    }

    #[test]
    fn every_orientation_is_found() {
        let one = Count::Allele(1);
        let cases = [
            (("A", "G", "A", "G"), Some(("exact", one))),
            (("a", "g", "A", "G"), Some(("exact", one))),
            (("G", "A", "A", "G"), Some(("swapped", Count::Allele(0)))),
            (("T", "C", "A", "G"), Some(("strand_flipped", one))),
            (("C", "T", "A", "G"), Some(("strand_flipped_swapped", Count::Allele(0)))),
            (("A", "C", "A", "G"), None),
            (("A", "T", "A", "T"), Some(("exact", one))),
            (("A", "C,G", "A", "G"), Some(("exact", Count::Allele(2)))),
            (("G", "T,A", "A", "G"), Some(("swapped", Count::Allele(0)))),
            (("A", "<DEL>", "A", "G"), None),
            (("A", "*,G", "A", "G"), Some(("exact", Count::Allele(2)))),
            (("A", ".", "A", "G"), Some(("exact", Count::NotReference))),
            (("G", "", "A", "G"), Some(("swapped", Count::Allele(0)))),
            (("C", ".", "A", "G"), Some(("strand_flipped_swapped", Count::Allele(0)))),
        ];
        for ((reference, alternatives, other, effect), expected) in cases {
            assert_eq!(found(reference, alternatives, other, effect), expected, "{reference} {alternatives}");
        }
    }

    #[test]
    fn indels_are_swapped_and_turned_whole() {
        let cases = [
            (("A", "AT", "A", "AT"), Some(("exact", Count::Allele(1)))),
            (("AT", "A", "A", "AT"), Some(("swapped", Count::Allele(0)))),
            (("CAA", "CA,C", "CA", "C"), Some(("exact", Count::Allele(1)))),
            (("CAA", "CA,C", "CAA", "C"), Some(("exact", Count::Allele(2)))),
            (("ACC", "A", "GGT", "T"), Some(("strand_flipped", Count::Allele(1)))),
            // The complement without the reversal is another sequence.
            (("TGG", "T", "ACC", "A"), None),
        ];
        for ((reference, alternatives, other, effect), expected) in cases {
            assert_eq!(found(reference, alternatives, other, effect), expected, "{reference} {alternatives}");
        }
    }

    #[test]
    fn the_other_strand_of_a_palindrome_counts_the_other_allele() {
        let exact = Fit { kind: MatchKind::Exact, count: Count::Allele(1) };
        let turned = exact.on_other_strand();
        assert_eq!((turned.kind, turned.count), (MatchKind::StrandFlippedSwapped, Count::Allele(0)));
        let swapped = Fit { kind: MatchKind::Swapped, count: Count::Allele(0) };
        assert_eq!(swapped.on_other_strand().kind, MatchKind::StrandFlipped);
    }

    proptest::proptest! {
        /// Whatever way a record spells a variant, what is counted is the effect allele.
        #[test]
        fn the_counted_allele_never_depends_on_the_spelling(
            alleles in "[ACGT]{1,3}/[ACGT]{1,3}", swap: bool, turn: bool, lower: bool, shared in "[ACGT]{0,2}",
        ) {
            let (other, effect) = alleles.split_once('/').unwrap();
            let (other, effect) = (Allele::parse(other).unwrap(), Allele::parse(effect).unwrap());
            proptest::prop_assume!(other != effect && !other.is_palindromic_with(&effect));
            // Shared ends are only ever added to the forward spelling of a variant that has a first base in common.
            let shared = if turn { "" } else { shared.as_str() };
            let spell = |allele: &Allele| {
                let allele = if turn { allele.reverse_complement() } else { allele.clone() };
                let text = format!("{allele}{shared}");
                if lower { text.to_lowercase() } else { text }
            };
            let (first, second) = if swap { (&effect, &other) } else { (&other, &effect) };
            let (reference, alternatives) = (spell(first), spell(second));
            let site =
                Site { chromosome: None, position: None, ids: "", reference: &reference, alternatives: &alternatives };
            let fit = fit(&site, &other, &effect).unwrap();
            let counted = match fit.count { Count::Allele(0) => first, _ => second };
            // Two spellings of one variant may coincide (AG/G turned is C/CT): the counted bases decide.
            if fit.kind == MatchKind::Exact || fit.kind == MatchKind::Swapped || turn {
                proptest::prop_assert_eq!(counted, &effect);
            }
        }
    }
}

//! The read-only snapshot of a reference dataset: genes in genome order, tissues, measured profiles, promoters.
//!
//! The service loads it once and answers from it, so that a request never waits for the database. Imports `genome`
//! only. Invariant: genes are sorted by chromosome, start, end and identifier, unplaced genes last; every profile has
//! one number a tissue; NaN is a value that nobody measured.

pub mod annotation;
pub mod assemble;
pub mod cover;
pub mod gct;
pub mod genome_fasta;
pub mod promoter;
pub mod source;
pub mod units;
pub mod vicinity;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::genome::{Assembly, Gene, GeneId, Promoter, Tissue};
use vicinity::Vicinity;

/// The unit of a dataset's expression values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Reads per kilobase of transcript per million mapped reads.
    Rpkm,
    /// Transcripts per million.
    Tpm,
}

impl Unit {
    /// Returns `rpkm` or `tpm`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rpkm => "rpkm",
            Self::Tpm => "tpm",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What names a reference dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The name that its owner gave it.
    pub name: String,
    /// The version: a digest of its content, so that the same files are the same version.
    pub version: String,
    /// The assembly of its positions.
    pub assembly: Assembly,
    /// The unit of its values.
    pub unit: Unit,
}

/// One gene as it is ingested: its place, what was measured, and its promoter.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneRecord {
    /// The gene.
    pub gene: Gene,
    /// One value a tissue in the dataset's unit, NaN where nothing was measured; `None` for a gene without a row.
    pub expression: Option<Vec<f32>>,
    /// The promoter where one is known.
    pub promoter: Option<Promoter>,
}

/// Why a gene is listed as missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The dataset has no row for the gene, or a row without any value.
    NoProfile,
    /// Part of the tissues has no value.
    SomeTissues,
    /// Every measured value is zero: measured, but without a shape.
    AllZero,
}

/// A gene's index in its [`Reference`].
pub type GeneIndex = usize;

/// A reference dataset in memory; see the module's invariant.
#[derive(Debug, Clone)]
pub struct Reference {
    dataset: Dataset,
    tissues: Vec<Tissue>,
    genes: Vec<Gene>,
    /// Genes × tissues, row by row; NaN where nothing was measured.
    expression: Vec<f32>,
    promoters: Vec<Option<Promoter>>,
    by_id: HashMap<GeneId, GeneIndex>,
    /// Upper-case symbol → genes in order.
    by_symbol: HashMap<String, Vec<GeneIndex>>,
    /// Built when it is first asked for.
    vicinity: OnceLock<Vicinity>,
}

impl Reference {
    /// Builds the snapshot; records may come in any order.
    ///
    /// # Panics
    /// A record's expression has another length than `tissues`; the store and the parsers rule it out.
    #[must_use]
    pub fn new(dataset: Dataset, tissues: Vec<Tissue>, mut records: Vec<GeneRecord>) -> Self {
        records.sort_by(|a, b| order(&a.gene).cmp(&order(&b.gene)));
        let mut reference = Self {
            dataset,
            expression: Vec::with_capacity(records.len() * tissues.len()),
            tissues,
            genes: Vec::with_capacity(records.len()),
            promoters: Vec::with_capacity(records.len()),
            by_id: HashMap::with_capacity(records.len()),
            by_symbol: HashMap::with_capacity(records.len()),
            vicinity: OnceLock::new(),
        };
        for (index, record) in records.into_iter().enumerate() {
            match record.expression {
                Some(values) => {
                    assert_eq!(values.len(), reference.tissues.len(), "one value a tissue for {}", record.gene.id);
                    reference.expression.extend(values);
                }
                None => reference.expression.extend(std::iter::repeat_n(f32::NAN, reference.tissues.len())),
            }
            reference.by_id.insert(record.gene.id.clone(), index);
            reference.by_symbol.entry(record.gene.symbol.as_str().to_uppercase()).or_default().push(index);
            reference.promoters.push(record.promoter);
            reference.genes.push(record.gene);
        }
        reference
    }

    /// Returns the dataset's name, version, assembly and unit.
    #[must_use]
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Returns the tissues in the dataset's order.
    #[must_use]
    pub fn tissues(&self) -> &[Tissue] {
        &self.tissues
    }

    /// Returns the genes in genome order.
    #[must_use]
    pub fn genes(&self) -> &[Gene] {
        &self.genes
    }

    /// Returns a gene.
    #[must_use]
    pub fn gene(&self, index: GeneIndex) -> &Gene {
        &self.genes[index]
    }

    /// Returns a gene's values by tissue in the dataset's unit; NaN where nothing was measured.
    #[must_use]
    pub fn expression(&self, index: GeneIndex) -> &[f32] {
        &self.expression[index * self.tissues.len()..][..self.tissues.len()]
    }

    /// Returns a gene's promoter.
    #[must_use]
    pub fn promoter(&self, index: GeneIndex) -> Option<&Promoter> {
        self.promoters[index].as_ref()
    }

    /// Returns the index of the gene with this identifier.
    #[must_use]
    pub fn find(&self, id: &GeneId) -> Option<GeneIndex> {
        self.by_id.get(id).copied()
    }

    /// Returns the genes with this symbol, in either case.
    #[must_use]
    pub fn find_symbol(&self, symbol: &str) -> &[GeneIndex] {
        self.by_symbol.get(&symbol.to_uppercase()).map_or(&[], Vec::as_slice)
    }

    /// Returns a tissue's place by its identifier or name.
    #[must_use]
    pub fn find_tissue(&self, text: &str) -> Option<usize> {
        let wanted = Tissue::from_name(text);
        self.tissues.iter().position(|tissue| tissue.id() == wanted.id())
    }

    /// Returns whether every tissue of the gene was measured and the values are not all the same: the genes that
    /// models learn from and are scored on.
    #[must_use]
    pub fn has_shape(&self, index: GeneIndex) -> bool {
        let values = self.expression(index);
        values.iter().all(|value| value.is_finite()) && values.iter().any(|value| (value - values[0]).abs() > 0.0)
    }

    /// Returns the index of the measured genes by place, built on the first call.
    pub fn vicinity(&self) -> &Vicinity {
        self.vicinity.get_or_init(|| Vicinity::new(self))
    }

    /// Returns why the gene counts as missing, or `None` where it is measured in full with a value above zero.
    #[must_use]
    pub fn missing(&self, index: GeneIndex) -> Option<Missing> {
        let values = self.expression(index);
        let measured = values.iter().filter(|value| value.is_finite()).count();
        if measured == 0 {
            Some(Missing::NoProfile)
        } else if values.iter().all(|value| value.is_nan() || *value <= 0.0) && measured == values.len() {
            Some(Missing::AllZero)
        } else if measured < values.len() {
            Some(Missing::SomeTissues)
        } else {
            None
        }
    }
}

/// The genome's order: placed genes by place, the others by identifier behind them.
fn order(gene: &Gene) -> impl Ord + '_ {
    let place = gene.locus.as_ref().map(|locus| (&locus.chromosome, locus.start, locus.end));
    (place.is_none(), place, &gene.id)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::genome::{Chromosome, GeneSymbol, Locus, Position, Strand};

    /// A gene record for tests.
    pub(crate) fn record(id: &str, place: Option<(&str, u32, u32, Strand)>, values: Option<&[f32]>) -> GeneRecord {
        let locus = place.map(|(chromosome, start, end, strand)| {
            Locus::new(
                Chromosome::parse(chromosome).unwrap(),
                Position::new(start).unwrap(),
                Position::new(end).unwrap(),
                strand,
            )
        });
        let (id, version) = GeneId::parse(id).unwrap();
        let symbol = GeneSymbol::new(id.as_str());
        let gene = Gene { id, version, symbol, biotype: None, locus };
        GeneRecord { gene, expression: values.map(<[f32]>::to_vec), promoter: None }
    }

    /// A dataset for tests.
    pub(crate) fn dataset() -> Dataset {
        let assembly = Assembly::parse("GRCh38").unwrap();
        Dataset { name: "test".to_owned(), version: "v1".to_owned(), assembly, unit: Unit::Tpm }
    }

    #[test]
    fn genes_are_in_genome_order_with_unplaced_ones_last() {
        let tissues = vec![Tissue::from_name("Liver")];
        let records = vec![
            record("g4", None, Some(&[1.0])),
            record("g3", Some(("X", 5, 9, Strand::Forward)), None),
            record("g2", Some(("2", 7, 9, Strand::Forward)), None),
            record("g1", Some(("2", 3, 9, Strand::Reverse)), None),
        ];
        let reference = Reference::new(dataset(), tissues, records);
        let ids: Vec<_> = reference.genes().iter().map(|gene| gene.id.as_str()).collect();
        assert_eq!(ids, ["g1", "g2", "g3", "g4"]);
        assert_eq!(reference.find_symbol("G3"), [2]);
    }

    #[test]
    fn unknown_is_never_zero() {
        let tissues = vec![Tissue::from_name("Liver"), Tissue::from_name("Lung")];
        let nan = f32::NAN;
        let cases: [(Option<&[f32]>, Option<Missing>); 6] = [
            (None, Some(Missing::NoProfile)),
            (Some(&[nan, nan]), Some(Missing::NoProfile)),
            (Some(&[0.0, 0.0]), Some(Missing::AllZero)),
            (Some(&[0.0, nan]), Some(Missing::SomeTissues)),
            (Some(&[1.0, nan]), Some(Missing::SomeTissues)),
            (Some(&[1.0, 0.0]), None),
        ];
        for (values, expected) in cases {
            let reference = Reference::new(dataset(), tissues.clone(), vec![record("g", None, values)]);
            assert_eq!(reference.missing(0), expected, "{values:?}");
        }
    }
}

//! `PredictDB` models: what the tables of such a database say, whoever read them.
//!
//! The weight counts `eff_allele`; `ref_allele` is the genome's reference. There is no intercept. The reader of the
//! database hands rows over one by one, so that no more than the model is held.

use super::draft::{Draft, Row, accuracy, is_given};
use super::{Format, ImportError};

/// A row of `weights`.
#[derive(Debug, Clone, Default)]
pub struct WeightRow {
    /// The gene.
    pub gene: String,
    /// The rs number, or the name by place in databases that lack one.
    pub rsid: Option<String>,
    /// The name by place, such as `chr1_123_A_G_b38`.
    pub var_id: Option<String>,
    /// The allele that is not counted.
    pub ref_allele: String,
    /// The allele that is counted.
    pub eff_allele: String,
    /// The weight.
    pub weight: Option<f64>,
}

/// A row of `extra`.
#[derive(Debug, Clone, Default)]
pub struct ExtraRow {
    /// The gene.
    pub gene: String,
    /// Its symbol.
    pub symbol: Option<String>,
    /// Its biotype.
    pub biotype: Option<String>,
    /// The squared correlation.
    pub r2: Option<f64>,
    /// Its p value.
    pub p_value: Option<f64>,
}

/// The row of `sample_info`.
#[derive(Debug, Clone, Default)]
pub struct SampleInfo {
    /// How many people.
    pub n_samples: Option<u32>,
    /// Their population.
    pub population: Option<String>,
    /// The tissue.
    pub tissue: Option<String>,
}

/// Gathers the rows of a database.
#[derive(Debug)]
pub struct PredictDb {
    draft: Draft,
    samples: SampleInfo,
    without_weights: usize,
    described: usize,
    out_of_range: usize,
}

impl PredictDb {
    /// Starts with what `sample_info` says.
    #[must_use]
    pub fn new(samples: SampleInfo) -> Self {
        let mut draft = Draft::new(Format::PredictDb, true);
        draft.about.n_samples = samples.n_samples;
        draft.about.population = samples.population.clone().filter(|text| is_given(text));
        draft.about.tissue = samples.tissue.clone().filter(|text| is_given(text));
        Self { draft, samples, without_weights: 0, described: 0, out_of_range: 0 }
    }

    /// Takes a row of `weights`.
    ///
    /// # Errors
    /// There are too many.
    pub fn weight(&mut self, row: &WeightRow) -> Result<(), ImportError> {
        let var_id = row.var_id.as_deref().filter(|text| is_given(text));
        let named = var_id.and_then(crate::genome::PlacedName::parse);
        let rsid = row.rsid.as_deref().filter(|text| is_given(text));
        let position = named.as_ref().map(|name| name.position.get().to_string());
        let place = named.as_ref().map(|name| name.chromosome.as_str()).zip(position.as_deref());
        if let Some(assembly) = named.as_ref().and_then(|name| name.assembly.as_ref())
            && self.draft.assembly.get_or_insert_with(|| assembly.clone()) != assembly
        {
            self.draft.leave_out("the position is of another assembly than the file's others");
            return Ok(());
        }
        self.draft.add(Row {
            gene: &row.gene,
            id: rsid.or(var_id).unwrap_or_default(),
            place,
            other: &row.ref_allele,
            effect: &row.eff_allele,
            weight: row.weight,
            frequency: None,
        })
    }

    /// Takes a row of `extra`; all rows of `weights` come first. `column` is the one that R² came from.
    pub fn extra(&mut self, row: &ExtraRow, column: Option<&str>) {
        let n = self.samples.n_samples;
        let kind = column.map_or_else(|| "not said".to_owned(), |column| format!("cross-validation ({column})"));
        let given = [row.r2, row.p_value];
        self.out_of_range += given.iter().flatten().filter(|value| !(0.0..=1.0).contains(*value)).count();
        let found = accuracy(row.r2, 0.0, row.p_value, n, &kind);
        if self.draft.describe(&row.gene, row.symbol.as_deref(), row.biotype.as_deref(), found) {
            self.described += 1;
        } else {
            self.without_weights += 1;
        }
    }

    /// Notes that the database has no table of genes.
    pub fn note(&mut self, note: impl Into<String>) {
        self.draft.note(note);
    }

    /// Ends with the draft.
    #[must_use]
    pub fn finish(mut self) -> Draft {
        if self.without_weights > 0 {
            self.draft.note(format!("{} genes of the table of genes have no weight", self.without_weights));
        }
        let undescribed = self.draft.genes().saturating_sub(self.described);
        if undescribed > 0 {
            self.draft.note(format!("{undescribed} genes with weights are not in the table of genes"));
        }
        if self.out_of_range > 0 {
            self.draft.note(format!("{} values of R² or p were outside 0 to 1 and were not kept", self.out_of_range));
        }
        self.draft
    }
}

//! Tissues: GTEx's names, identifiers and colours, and tissues that GTEx does not know.

use std::sync::Arc;

/// A tissue of GTEx release V8: `tissueSiteDetailId`, `SMTSD` name, colour as the portal draws it, body system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GtexTissue {
    /// GTEx's `tissueSiteDetailId`.
    pub id: &'static str,
    /// GTEx's `SMTSD` name.
    pub name: &'static str,
    /// The portal's colour as six hexadecimal digits.
    pub colour: &'static str,
    /// The body system, for grouping.
    pub system: &'static str,
}

const fn gtex(id: &'static str, name: &'static str, colour: &'static str, system: &'static str) -> GtexTissue {
    GtexTissue { id, name, colour, system }
}

/// The 54 tissues of GTEx V8 in the order of its gene track.
pub const GTEX_V8: [GtexTissue; 54] = [
    gtex("Adipose_Subcutaneous", "Adipose - Subcutaneous", "FF6600", "adipose"),
    gtex("Adipose_Visceral_Omentum", "Adipose - Visceral (Omentum)", "FFAA00", "adipose"),
    gtex("Adrenal_Gland", "Adrenal Gland", "33DD33", "endocrine"),
    gtex("Artery_Aorta", "Artery - Aorta", "FF5555", "cardiovascular"),
    gtex("Artery_Coronary", "Artery - Coronary", "FFAA99", "cardiovascular"),
    gtex("Artery_Tibial", "Artery - Tibial", "FF0000", "cardiovascular"),
    gtex("Bladder", "Bladder", "AA0000", "urinary"),
    gtex("Brain_Amygdala", "Brain - Amygdala", "EEEE00", "nervous"),
    gtex("Brain_Anterior_cingulate_cortex_BA24", "Brain - Anterior cingulate cortex (BA24)", "EEEE00", "nervous"),
    gtex("Brain_Caudate_basal_ganglia", "Brain - Caudate (basal ganglia)", "EEEE00", "nervous"),
    gtex("Brain_Cerebellar_Hemisphere", "Brain - Cerebellar Hemisphere", "EEEE00", "nervous"),
    gtex("Brain_Cerebellum", "Brain - Cerebellum", "EEEE00", "nervous"),
    gtex("Brain_Cortex", "Brain - Cortex", "EEEE00", "nervous"),
    gtex("Brain_Frontal_Cortex_BA9", "Brain - Frontal Cortex (BA9)", "EEEE00", "nervous"),
    gtex("Brain_Hippocampus", "Brain - Hippocampus", "EEEE00", "nervous"),
    gtex("Brain_Hypothalamus", "Brain - Hypothalamus", "EEEE00", "nervous"),
    gtex("Brain_Nucleus_accumbens_basal_ganglia", "Brain - Nucleus accumbens (basal ganglia)", "EEEE00", "nervous"),
    gtex("Brain_Putamen_basal_ganglia", "Brain - Putamen (basal ganglia)", "EEEE00", "nervous"),
    gtex("Brain_Spinal_cord_cervical_c-1", "Brain - Spinal cord (cervical c-1)", "EEEE00", "nervous"),
    gtex("Brain_Substantia_nigra", "Brain - Substantia nigra", "EEEE00", "nervous"),
    gtex("Breast_Mammary_Tissue", "Breast - Mammary Tissue", "33CCCC", "reproductive"),
    gtex("Cells_Cultured_fibroblasts", "Cells - Cultured fibroblasts", "AAEEFF", "cell line"),
    gtex("Cells_EBV-transformed_lymphocytes", "Cells - EBV-transformed lymphocytes", "CC66FF", "cell line"),
    gtex("Cervix_Ectocervix", "Cervix - Ectocervix", "FFCCCC", "reproductive"),
    gtex("Cervix_Endocervix", "Cervix - Endocervix", "CCAADD", "reproductive"),
    gtex("Colon_Sigmoid", "Colon - Sigmoid", "EEBB77", "digestive"),
    gtex("Colon_Transverse", "Colon - Transverse", "CC9955", "digestive"),
    gtex("Esophagus_Gastroesophageal_Junction", "Esophagus - Gastroesophageal Junction", "8B7355", "digestive"),
    gtex("Esophagus_Mucosa", "Esophagus - Mucosa", "552200", "digestive"),
    gtex("Esophagus_Muscularis", "Esophagus - Muscularis", "BB9988", "digestive"),
    gtex("Fallopian_Tube", "Fallopian Tube", "FFCCCC", "reproductive"),
    gtex("Heart_Atrial_Appendage", "Heart - Atrial Appendage", "9900FF", "cardiovascular"),
    gtex("Heart_Left_Ventricle", "Heart - Left Ventricle", "660099", "cardiovascular"),
    gtex("Kidney_Cortex", "Kidney - Cortex", "22FFDD", "urinary"),
    gtex("Kidney_Medulla", "Kidney - Medulla", "33FFC2", "urinary"),
    gtex("Liver", "Liver", "AABB66", "digestive"),
    gtex("Lung", "Lung", "99FF00", "respiratory"),
    gtex("Minor_Salivary_Gland", "Minor Salivary Gland", "99BB88", "digestive"),
    gtex("Muscle_Skeletal", "Muscle - Skeletal", "AAAAFF", "muscle"),
    gtex("Nerve_Tibial", "Nerve - Tibial", "FFD700", "nervous"),
    gtex("Ovary", "Ovary", "FFAAFF", "reproductive"),
    gtex("Pancreas", "Pancreas", "995522", "digestive"),
    gtex("Pituitary", "Pituitary", "AAFF99", "endocrine"),
    gtex("Prostate", "Prostate", "DDDDDD", "reproductive"),
    gtex("Skin_Not_Sun_Exposed_Suprapubic", "Skin - Not Sun Exposed (Suprapubic)", "0000FF", "skin"),
    gtex("Skin_Sun_Exposed_Lower_leg", "Skin - Sun Exposed (Lower leg)", "7777FF", "skin"),
    gtex("Small_Intestine_Terminal_Ileum", "Small Intestine - Terminal Ileum", "555522", "digestive"),
    gtex("Spleen", "Spleen", "778855", "immune"),
    gtex("Stomach", "Stomach", "FFDD99", "digestive"),
    gtex("Testis", "Testis", "AAAAAA", "reproductive"),
    gtex("Thyroid", "Thyroid", "006600", "endocrine"),
    gtex("Uterus", "Uterus", "FF66FF", "reproductive"),
    gtex("Vagina", "Vagina", "FF5599", "reproductive"),
    gtex("Whole_Blood", "Whole Blood", "FF00BB", "blood"),
];

/// Names that earlier GTEx releases used for a tissue of V8.
const FORMER_NAMES: [(&str, &str); 2] = [
    ("Cells - Transformed fibroblasts", "Cells_Cultured_fibroblasts"),
    ("Cells_Transformed_fibroblasts", "Cells_Cultured_fibroblasts"),
];

/// A tissue of a reference dataset.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tissue {
    id: Arc<str>,
    name: Arc<str>,
}

impl Tissue {
    /// Takes a column's heading: a GTEx `SMTSD` name or `tissueSiteDetailId` of any release, or any other name.
    ///
    /// A name that GTEx does not know becomes its own identifier, with every run of other characters than letters,
    /// digits, `-` and `.` as one `_`.
    ///
    /// ```
    /// use tissuecast::genome::Tissue;
    /// assert_eq!(Tissue::from_name("Brain - Cortex").id(), "Brain_Cortex");
    /// assert_eq!(Tissue::from_name("Brain_Cortex").name(), "Brain - Cortex");
    /// assert_eq!(Tissue::from_name("leaf (young)").id(), "leaf_young");
    /// ```
    #[must_use]
    pub fn from_name(text: &str) -> Self {
        let text = text.trim();
        let current = FORMER_NAMES.iter().find(|(former, _)| *former == text).map_or(text, |(_, id)| id);
        match GTEX_V8.iter().find(|tissue| tissue.id == current || tissue.name == current) {
            Some(known) => Self { id: known.id.into(), name: known.name.into() },
            None => Self { id: identifier(text).into(), name: text.into() },
        }
    }

    /// Returns the identifier: GTEx's `tissueSiteDetailId` where GTEx has the tissue.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the name for people: GTEx's `SMTSD` where GTEx has the tissue.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns GTEx's entry for the tissue, with its colour and body system.
    #[must_use]
    pub fn gtex(&self) -> Option<&'static GtexTissue> {
        GTEX_V8.iter().find(|known| known.id == &*self.id)
    }
}

fn identifier(name: &str) -> String {
    let keep = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let words: Vec<&str> = name.split(|c| !keep(c)).filter(|word| !word.is_empty() && *word != "-").collect();
    words.join("_")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn gtex_has_54_tissues_each_found_by_both_spellings() {
        assert_eq!(GTEX_V8.iter().map(|t| t.id).collect::<BTreeSet<_>>().len(), 54);
        for known in &GTEX_V8 {
            assert_eq!(Tissue::from_name(known.name), Tissue::from_name(known.id));
            assert_eq!(identifier(known.name), known.id, "the identifier follows from the name");
        }
    }

    #[test]
    fn former_names_lead_to_the_tissue_of_today() {
        assert_eq!(Tissue::from_name("Cells - Transformed fibroblasts").id(), "Cells_Cultured_fibroblasts");
    }
}

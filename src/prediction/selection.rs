//! Which genes of which models are asked for, and the panels of whole models that were built before.

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::panel::Panel;
use crate::genome::{Assembly, GeneId, GeneSymbol};
use crate::model::expression::{ModelGene, ServedGenotypeModel};

/// Which genes of which models are asked for.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The models with the genes of each; `None` for all.
    pub models: Vec<(Arc<ServedGenotypeModel>, Option<Vec<usize>>)>,
    /// Genes that no model knows, in the order of the request.
    pub not_found: Vec<String>,
}

impl Selection {
    /// Finds genes by identifier (with or without version), the model's own spelling, or symbol; without names all
    /// genes are taken.
    #[must_use]
    pub fn of(models: Vec<Arc<ServedGenotypeModel>>, names: &[String]) -> Self {
        if names.is_empty() {
            return Self { models: models.into_iter().map(|model| (model, None)).collect(), not_found: Vec::new() };
        }
        let mut found = vec![false; names.len()];
        let mut wanted: FxHashMap<String, Vec<usize>> = FxHashMap::default();
        for (at, name) in names.iter().enumerate() {
            let bare = GeneId::parse(name).map(|(id, _)| id.as_str().to_uppercase()).ok();
            let whole = name.to_uppercase();
            wanted.entry(whole.clone()).or_default().push(at);
            if let Some(bare) = bare.filter(|bare| *bare != whole) {
                wanted.entry(bare).or_default().push(at);
            }
        }
        let mut spelling = String::new();
        let mut is_wanted = |gene: &ModelGene| {
            let symbol = gene.symbol.as_ref().map(GeneSymbol::as_str);
            let mut any = false;
            for text in [Some(gene.id.as_str()), Some(&*gene.name), symbol].into_iter().flatten() {
                spelling.clear();
                spelling.push_str(text);
                spelling.make_ascii_uppercase();
                for at in wanted.get(&spelling).into_iter().flatten() {
                    found[*at] = true;
                    any = true;
                }
            }
            any
        };
        let mut models_with_genes = Vec::with_capacity(models.len());
        for model in models {
            let genes = model.model.genes().iter().enumerate().filter(|(_, gene)| is_wanted(gene)).map(|(at, _)| at);
            let genes = genes.collect();
            models_with_genes.push((model, Some(genes)));
        }
        let models = models_with_genes;
        let not_found = names.iter().zip(found).filter(|(_, found)| !found).map(|(name, _)| name.clone()).collect();
        Self { models, not_found }
    }
}

impl Selection {
    /// Returns how many genes are asked for, counted once a model.
    #[must_use]
    pub fn genes(&self) -> usize {
        let count = |(model, genes): &(Arc<ServedGenotypeModel>, Option<Vec<usize>>)| {
            genes.as_ref().map_or_else(|| model.model.genes().len(), Vec::len)
        };
        self.models.iter().map(count).sum()
    }

    /// Returns how many variants these genes have, counted once a gene and model.
    #[must_use]
    pub fn variants(&self) -> usize {
        let count = |(model, genes): &(Arc<ServedGenotypeModel>, Option<Vec<usize>>)| match genes {
            Some(genes) => genes.iter().map(|gene| model.model.genes()[*gene].rows.len()).sum(),
            None => model.model.variants().rows.len(),
        };
        self.models.iter().map(count).sum()
    }
}

/// Panels of whole models that were built before: building one is most of the work on a single person's genotypes.
#[derive(Debug, Default)]
pub struct PanelCache(Mutex<Vec<(String, Arc<Panel>)>>);

/// Panels that are kept, the last used first.
const KEPT_PANELS: usize = 4;

impl PanelCache {
    /// Returns the panel of a selection on an assembly, built where it is not kept; panels of chosen genes are small
    /// and are not kept.
    #[must_use]
    pub fn get(&self, selection: &Selection, assembly: Option<&Assembly>) -> Arc<Panel> {
        if selection.models.iter().any(|(_, genes)| genes.is_some()) {
            return Arc::new(Panel::build(selection, assembly));
        }
        let digests: Vec<&str> = selection.models.iter().map(|(model, _)| model.digest.as_str()).collect();
        let key = format!("{} {}", assembly.map_or("", Assembly::as_str), digests.join(" "));
        {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = kept.iter().position(|(of, _)| *of == key) {
                kept[..=at].rotate_right(1);
                return Arc::clone(&kept[0].1);
            }
        }
        let panel = Arc::new(Panel::build(selection, assembly));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, _)| *of != key);
        kept.insert(0, (key, Arc::clone(&panel)));
        kept.truncate(KEPT_PANELS);
        panel
    }
}

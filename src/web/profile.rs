//! A profile as people read it, of a known gene or of one that no dataset has: plot, neighbourhood, promoter, what is
//! missing and why, values.

use std::fmt::Write as _;

use super::frame::select;
use super::neighbourhood::{self, Subject};
use super::plot::{self, CHOICES, Layout, View};
use super::{capitalised, counted, escape, path_segment, rounded};
use crate::completion::{fold_range, median};
use crate::genome::{Locus, Promoter, Strand};
use crate::http::answer::{ProfileAnswer, Source, TissueAnswer};
use crate::http::state::{Completion, LoadedDataset};
use crate::model::Orientation;
use crate::model::shelf::label;
use crate::reference::{GeneIndex, Missing};

/// A profile with what else a page shows of its gene.
pub(super) struct Shown<'a> {
    pub(super) profile: &'a ProfileAnswer,
    pub(super) dataset: &'a LoadedDataset,
    /// The model that imputes.
    pub(super) completion: Option<&'a Completion>,
    pub(super) view: View,
    /// The gene in the dataset, where it is one of it.
    pub(super) index: Option<GeneIndex>,
    pub(super) locus: Option<&'a Locus>,
    pub(super) promoter: Option<&'a Promoter>,
    /// What is put behind the path of a gene's page, so that it is of the same dataset.
    pub(super) suffix: &'a str,
}

impl Shown<'_> {
    /// What is known of the gene, as terms and texts.
    pub(super) fn facts(&self, content: &mut String) {
        let (profile, gene) = (self.profile, &self.profile.gene);
        let version = gene.version.map_or(String::new(), |version| format!(".{version}"));
        let assembly = &self.dataset.reference.dataset().assembly;
        let place = match (&gene.chromosome, gene.start, gene.end, gene.strand, gene.tss) {
            (Some(chromosome), Some(start), Some(end), Some(strand), _) => {
                format!("{chromosome}:{start}-{end} ({strand} strand), {assembly}")
            }
            (Some(chromosome), _, _, Some(strand), Some(tss)) => {
                format!("{chromosome}:{tss} ({strand} strand), {assembly}, the start of transcription")
            }
            _ => "not in the annotation".to_owned(),
        };
        let model = profile.model.as_ref().map_or("none".to_owned(), |model| label(&model.name, &model.version));
        content.push_str("<dl class=\"facts\">");
        let identifier = format!("{}{version}", gene.gene_id);
        let biotype = gene.biotype.clone().unwrap_or_else(|| "unknown".to_owned());
        let dataset = format!("{}, {}", profile.dataset.name, profile.unit.to_uppercase());
        let facts = [
            ("Identifier", Some(identifier).filter(|_| self.index.is_some())),
            ("Place", Some(place)),
            ("Biotype", Some(biotype)),
            ("Dataset", Some(dataset)),
            ("Profile", Some(self.state())),
            ("Model", Some(model)),
            ("Certainty", self.certainty()),
        ];
        for (term, text) in facts {
            if let Some(text) = text {
                let _ = write!(content, "<dt>{term}</dt><dd>{}</dd>", escape(&text));
            }
        }
        content.push_str("</dl>");
        if !profile.notes.is_empty() {
            content.push_str("<ul class=\"notes\">");
            for note in &profile.notes {
                let _ = write!(content, "<li>{}</li>", escape(note));
            }
            content.push_str("</ul>");
        }
    }

    fn state(&self) -> String {
        match self.profile.missing {
            None => "measured in every tissue",
            Some(Missing::NoProfile) => "not measured in any tissue",
            Some(Missing::SomeTissues) => "measured in part of the tissues",
            Some(Missing::AllZero) => "measured, and zero in every tissue",
        }
        .to_owned()
    }

    /// How sure the imputed values are, in a sentence.
    fn certainty(&self) -> Option<String> {
        let imputed = || self.profile.tissues.iter().filter(|one| one.source == Source::Imputed);
        let ranges = || imputed().filter_map(|one| Some((fold_range(one.lower, one.upper)?, one.name.as_str())));
        let range = median(ranges().map(|(range, _)| range))?;
        let (widest, least_sure) = ranges().max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(format!(
            "of {}, the upper end of the interval is {} times its lower end in the middle one and {} times in the least \
             sure, {least_sure} (each end with 1 added)",
            counted(imputed().count(), "imputed tissue"),
            rounded(range),
            rounded(widest),
        ))
    }

    /// The choices of a view and the plot; `form` is the form that the choices belong to.
    pub(super) fn plot(&self, content: &mut String, form: &str) {
        content.push_str("<div class=\"view\">");
        for ((name, words, values), chosen) in self.view.values() {
            let id = format!("view-{name}");
            let choice = select((&id, name, &format!(" form=\"{form}\" data-view")), chosen, values.iter().copied());
            let _ = write!(content, "<label for=\"{id}\">{words} {choice}</label>");
        }
        let _ = write!(content, "<button class=\"quiet\" form=\"{form}\" data-apply>Show</button></div>");
        for (layout, class) in [(Layout::WIDE, "wide"), (Layout::NARROW, "narrow")] {
            let _ = write!(
                content,
                "<div class=\"card plot {class}\" data-plot=\"{}\">{}</div>",
                escape(&self.profile.gene.symbol),
                plot::drawn(self.profile, self.view, layout)
            );
        }
    }

    /// The genes around, as a picture and as a table.
    pub(super) fn neighbourhood(&self, content: &mut String) {
        content.push_str("<h2>Neighbourhood</h2>");
        let Some(locus) = self.locus else {
            content
                .push_str("<p>The gene is not in the annotation, so that nothing is known of what lies around it.</p>");
            return;
        };
        let references = &self.profile.references;
        let used = |id: &str| references.iter().any(|one| one.gene_id == id);
        let region = neighbourhood::around(locus, references.iter().map(|one| one.distance_bp));
        let promoter = self.window(locus);
        let subject = Subject { index: self.index, name: &self.profile.gene.symbol, locus, promoter };
        let drawn = neighbourhood::svg(&self.dataset.reference, &region, Some(&subject), used, self.suffix);
        let _ = write!(
            content,
            "<p>{}</p><div class=\"card plot\">{drawn}</div>",
            if references.is_empty() {
                "No other gene was needed: nothing of this profile is imputed from its neighbours."
            } else {
                "The imputed values rest on the reference genes: measured genes nearby, which tend to be expressed \
                 where this one is."
            }
        );
        self.references(content);
    }

    fn references(&self, content: &mut String) {
        if self.profile.references.is_empty() {
            return;
        }
        content.push_str(
            "<details><summary>Reference genes as a table</summary><div class=\"scroll\"><table><caption>Neighbours that \
             the imputed values rest on, nearest first; distances between the starts of transcription, negative to the \
             left</caption><thead><tr><th scope=\"col\">gene</th><th scope=\"col\">identifier</th><th scope=\"col\" \
             class=\"number\">distance (bp)</th><th scope=\"col\">orientation</th></tr></thead><tbody>",
        );
        for one in &self.profile.references {
            let orientation = match one.orientation {
                Orientation::Tandem => "tandem",
                Orientation::Divergent => "divergent",
                Orientation::Convergent => "convergent",
            };
            let _ = write!(
                content,
                "<tr><th scope=\"row\"><a href=\"/genes/{}{}\">{}</a></th><td>{}</td><td class=\"number\">{}</td>\
                 <td>{orientation}</td></tr>",
                path_segment(&one.gene_id),
                self.suffix,
                escape(&one.symbol),
                escape(&one.gene_id),
                one.distance_bp,
            );
        }
        content.push_str("</tbody></table></div></details>");
    }

    /// First and last base of the promoter, where the model says which of its bases is the start of transcription.
    fn window(&self, locus: &Locus) -> Option<(u32, u32)> {
        let before = self.completion?.model.card.training.promoter_tss()?;
        let bases = u32::try_from(self.promoter?.bases().len()).ok()?;
        let behind = bases.checked_sub(before + 1)?;
        let tss = locus.tss.get();
        let (left, right) = if locus.strand == Strand::Forward { (before, behind) } else { (behind, before) };
        Some((tss.saturating_sub(left).max(1), tss.saturating_add(right)))
    }

    /// What is known of the promoter, and its sequence.
    pub(super) fn promoter(&self, content: &mut String) {
        content.push_str("<h2>Promoter</h2>");
        let Some(promoter) = self.promoter else {
            content.push_str(
                "<p>The sequence of the gene's promoter is not known here: imputed values rest on the neighbours and on \
                 what was measured of the gene.</p>",
            );
            return;
        };
        let bases = promoter.bases();
        let known = promoter.known();
        let strong = bases.iter().filter(|base| matches!(base, b'G' | b'C')).count();
        let window = self.locus.and_then(|locus| Some((locus, self.window(locus)?)));
        let place = window.map_or(String::new(), |(locus, (first, last))| {
            format!(
                ", {}:{first}-{last} ({} strand), with the start of transcription at {}",
                locus.chromosome,
                locus.strand.as_str(),
                locus.tss
            )
        });
        let percent = if known == 0 { 0.0 } else { 100.0 * strong as f32 / known as f32 };
        let _ = write!(
            content,
            "<p>{} bases on the gene's own strand{}; {known} of them known, {} % G or C.</p><details><summary>Sequence\
             </summary><pre class=\"bases\" tabindex=\"0\" aria-label=\"Promoter sequence\"><code>{}</code></pre></details>",
            bases.len(),
            escape(&place),
            rounded(percent),
            escape(&String::from_utf8_lossy(bases)),
        );
    }

    /// What is missing of the profile, and why.
    pub(super) fn missing(&self, content: &mut String) {
        let tissues = &self.profile.tissues;
        let of = |source: Source| -> Vec<&TissueAnswer> { tissues.iter().filter(|one| one.source == source).collect() };
        let (imputed, unknown) = (of(Source::Imputed), of(Source::Unknown));
        let dataset = escape(&self.profile.dataset.name);
        content.push_str("<h2>What is missing</h2>");
        let _ = match self.profile.missing {
            None => write!(
                content,
                "<p>Nothing: dataset {dataset} has a measured value for all {} tissues.</p>",
                tissues.len()
            ),
            Some(Missing::AllZero) => write!(
                content,
                "<p>Nothing: the gene was measured in every tissue and found in none. A measured zero is a value, and is \
                 not replaced by a guess.</p>"
            ),
            Some(Missing::NoProfile) => write!(
                content,
                "<p>Everything: dataset {dataset} has no measured value of this gene in any tissue. {} of {} tissues are \
                 imputed.</p>",
                imputed.len(),
                tissues.len()
            ),
            Some(Missing::SomeTissues) => write!(
                content,
                "<p>{} of {} tissues have no measured value in dataset {dataset}; {} of them are imputed.</p>",
                imputed.len() + unknown.len(),
                tissues.len(),
                imputed.len(),
            ),
        };
        for (which, why) in [(&imputed, "imputed"), (&unknown, "without any value")] {
            if !which.is_empty() && which.len() < tissues.len() {
                let names: Vec<String> = which.iter().map(|one| escape(&one.name)).collect();
                let _ = write!(content, "<p>{}: {}.</p>", capitalised(why), names.join(", "));
            }
        }
        if !unknown.is_empty() {
            let why = if self.completion.is_none() {
                "no loaded model reads this dataset"
            } else {
                "the model had nothing to read there; the remarks above say what"
            };
            let _ = write!(content, "<p>Tissues without a value stay unknown, and are not zero: {why}.</p>");
        }
    }

    /// The values as a table.
    pub(super) fn values(&self, content: &mut String) {
        let profile = self.profile;
        let _ = write!(
            content,
            "<h2>Values</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Values by tissue\"><table>\
             <caption>By tissue, in {}; relative is 0 at the lowest tissue and 1 at the highest; fold range is (1 + upper) ÷ \
             (1 + lower), 1 would be certain</caption><thead><tr><th scope=\"col\">tissue</th><th scope=\"col\" \
             class=\"number\">value</th><th scope=\"col\" class=\"number\">interval</th><th scope=\"col\" class=\"number minor\">fold \
             range</th><th scope=\"col\" class=\"number minor\">relative</th><th scope=\"col\">source</th></tr></thead><tbody>",
            profile.unit.to_uppercase()
        );
        let cell = |value: Option<f32>| value.map_or("–".to_owned(), rounded);
        for one in &profile.tissues {
            let interval = one
                .lower
                .zip(one.upper)
                .map_or(String::new(), |(lower, upper)| format!("{} to {}", rounded(lower), rounded(upper)));
            let source = one.source.as_str();
            let shown = if one.source == Source::Unknown { "no value" } else { source };
            let _ = write!(
                content,
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{interval}</td><td \
                 class=\"number minor\">{}</td><td class=\"number minor\">{}</td><td class=\"{source}\">{shown}</td></tr>",
                escape(&one.name),
                cell(one.value),
                fold_range(one.lower, one.upper).map_or(String::new(), rounded),
                cell(one.relative),
            );
        }
        content.push_str("</tbody></table></div>");
    }
}

/// Returns the names of the parameters of a view.
pub(super) fn view_parameters() -> impl Iterator<Item = &'static str> {
    CHOICES.iter().map(|(name, ..)| *name)
}

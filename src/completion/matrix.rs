//! The completed matrix as GCT 1.2, which holds numbers only, with companions for what else is known of them.
//!
//! `F.gct` has the values, `F.lower.gct` and `F.upper.gct` the intervals, blank where a value was measured, and
//! `F.source.tsv` a word for each value. Unknown is blank in every one of them, never 0.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::output::{Partial, Sink, WriteError};
use super::{Cell, Source};
use crate::genome::Gene;
use crate::reference::Reference;

/// The four files.
#[derive(Debug)]
pub(super) struct GctFiles {
    values: Partial,
    lower: Partial,
    upper: Partial,
    sources: Partial,
    line: String,
}

/// `folder/F.lower.gct.gz` of `folder/F.gct.gz`.
fn companion(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (stem, gz) = match name.get(name.len().saturating_sub(3)..) {
        Some(ending) if ending.eq_ignore_ascii_case(".gz") => name.split_at(name.len() - 3),
        _ => (name.as_str(), ""),
    };
    let stem = Path::new(stem).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{stem}.{what}{gz}"))
}

impl GctFiles {
    pub(super) fn start(path: &Path, gzip: bool, reference: &Reference) -> Result<Self, WriteError> {
        let mut files = Self {
            values: Partial::create(path, gzip)?,
            lower: Partial::create(&companion(path, "lower.gct"), gzip)?,
            upper: Partial::create(&companion(path, "upper.gct"), gzip)?,
            sources: Partial::create(&companion(path, "source.tsv"), gzip)?,
            line: String::new(),
        };
        let tissues: Vec<&str> = reference.tissues().iter().map(crate::genome::Tissue::name).collect();
        let head = format!(
            "#1.2\n{}\t{}\nName\tDescription\t{}\n",
            reference.genes().len(),
            tissues.len(),
            tissues.join("\t")
        );
        for file in [&mut files.values, &mut files.lower, &mut files.upper] {
            file.text(&head)?;
        }
        files.sources.text(&format!("gene_id\tsymbol\t{}\n", tissues.join("\t")))?;
        Ok(files)
    }
}

/// Writes a gene's names and one field a cell.
fn row(
    line: &mut String,
    file: &mut Partial,
    (id, symbol): (&str, &str),
    cells: &[Cell],
    field: impl Fn(&Cell, &mut String),
) -> Result<(), WriteError> {
    line.clear();
    line.push_str(id);
    line.push('\t');
    line.push_str(symbol);
    for cell in cells {
        line.push('\t');
        field(cell, line);
    }
    line.push('\n');
    file.text(line)
}

fn number(value: Option<f32>, line: &mut String) {
    if let Some(value) = value {
        // Writing to a String cannot fail.
        let _ = write!(line, "{value}");
    }
}

impl Sink for GctFiles {
    fn gene(&mut self, gene: &Gene, cells: &[Cell]) -> Result<(), WriteError> {
        let bare = gene.id.as_str();
        let id = match gene.version {
            // Of an identifier with a suffix, the version stood before it.
            Some(version) if !bare.contains('_') => format!("{bare}.{version}"),
            _ => bare.to_owned(),
        };
        let symbol = gene.symbol.as_str().replace(['\t', '\n', '\r'], " ");
        let line = &mut self.line;
        row(line, &mut self.values, (&id, &symbol), cells, |cell, line| number(cell.value, line))?;
        row(line, &mut self.lower, (&id, &symbol), cells, |cell, line| number(cell.lower, line))?;
        row(line, &mut self.upper, (&id, &symbol), cells, |cell, line| number(cell.upper, line))?;
        row(line, &mut self.sources, (bare, &symbol), cells, |cell: &Cell, line: &mut String| {
            line.push_str(Source::as_str(cell.source));
        })
    }

    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, WriteError> {
        let Self { mut values, mut lower, mut upper, mut sources, .. } = *self;
        for file in [&mut values, &mut lower, &mut upper, &mut sources] {
            file.close()?;
        }
        // The matrix comes last: where it is, its companions are those of the same run.
        let mut places = vec![lower.publish()?, upper.publish()?, sources.publish()?];
        places.insert(0, values.publish()?);
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completion::join;
    use crate::genome::{Strand, Tissue};
    use crate::reference::gct;
    use crate::reference::source::Source as Text;
    use crate::reference::tests::{dataset, record};

    #[test]
    fn companions_stand_beside_the_matrix() {
        let named = |path: &str| companion(Path::new(path), "lower.gct").display().to_string();
        assert_eq!(named("a/my.data.gct"), "a/my.data.lower.gct");
        assert_eq!(named("b.gct.gz"), "b.lower.gct.gz");
    }

    #[test]
    fn what_is_written_reads_back_as_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let place = Some(("1", 5, 9, Strand::Forward));
        let records =
            vec![record("ENSG1.4", place, Some(&[1.5, f32::NAN])), record("scaffold.1", place, Some(&[0.0, 2.0]))];
        let tissues = vec![Tissue::from_name("Brain - Cortex"), Tissue::from_name("young leaf")];
        let reference = Reference::new(dataset(), tissues.clone(), records);
        for name in ["out.gct", "out.gct.gz"] {
            let path = folder.path().join(name);
            let mut files = Box::new(GctFiles::start(&path, name.ends_with("gz"), &reference).unwrap());
            let profile = crate::completion::tests::imputed(&[None, Some((Some(4.0), 1.0))]);
            files.gene(reference.gene(0), &join(reference.expression(0), Some(&profile))).unwrap();
            files.gene(reference.gene(1), &join(reference.expression(1), None)).unwrap();
            assert!(!path.exists(), "nothing is there before all is");
            let places = files.finish().unwrap();
            assert_eq!((places.len(), &places[0]), (4, &path));
            let values = gct::read(Text::open(&path).unwrap()).unwrap();
            assert_eq!((values.tissues, values.rows.len(), values.rows[0].version), (tissues.clone(), 2, Some(4)));
            assert_eq!((&values.rows[0].values[..], &values.rows[1].values[..]), (&[1.5, 4.0][..], &[0.0, 2.0][..]));
            let upper = gct::read(Text::open(&places[2]).unwrap()).unwrap();
            assert!(upper.rows[0].values[0].is_nan() && upper.rows[1].values.iter().all(|one| one.is_nan()));
            assert!((upper.rows[0].values[1] - 8.0).abs() < 1e-6);
        }
        let sources = std::fs::read_to_string(folder.path().join("out.source.tsv")).unwrap();
        insta::assert_snapshot!(sources, @r"
        gene_id	symbol	Brain - Cortex	young leaf
        ENSG1	ENSG1	measured	imputed
        scaffold.1	scaffold.1	measured	measured
        ");
    }
}

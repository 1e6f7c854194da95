//! The files of a submission: which format they are, and the reader that belongs to them.

use std::io::Read;

use super::bcf::BcfSource;
use super::bgen::BgenSource;
use super::dosage_text::DosageTextSource;
use super::input::Input;
use super::json::JsonSource;
use super::pgen::PgenSource;
use super::plink::PlinkSource;
use super::vcf::VcfSource;
use super::{Fault, GenotypeError, GenotypeSource, ReadLimits};

/// What a file of a submission holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// VCF or BCF, plain or compressed: told apart by the content.
    Vcf,
    /// PLINK 1 genotypes.
    Bed,
    /// PLINK 1 variants.
    Bim,
    /// PLINK 1 samples.
    Fam,
    /// PLINK 2 genotypes.
    Pgen,
    /// PLINK 2 variants.
    Pvar,
    /// PLINK 2 samples.
    Psam,
    /// BGEN genotypes.
    Bgen,
    /// Samples of a BGEN file.
    Sample,
    /// `PrediXcan` text dosages.
    Dosage,
    /// Samples of text dosages.
    Samples,
    /// JSON.
    Json,
}

impl FileKind {
    const NAMES: [(&'static str, Self); 13] = [
        ("vcf", Self::Vcf),
        ("bcf", Self::Vcf),
        ("bed", Self::Bed),
        ("bim", Self::Bim),
        ("fam", Self::Fam),
        ("pgen", Self::Pgen),
        ("pvar", Self::Pvar),
        ("psam", Self::Psam),
        ("bgen", Self::Bgen),
        ("sample", Self::Sample),
        ("dosage", Self::Dosage),
        ("samples", Self::Samples),
        ("json", Self::Json),
    ];

    /// Returns the kind by a part's name (`bed`) or a file's name (`cohort.bed.gz`).
    ///
    /// ```
    /// use tissuecast::genotype::submission::FileKind;
    /// assert_eq!(FileKind::of("fam"), Some(FileKind::Fam));
    /// assert_eq!(FileKind::of("chr22.vcf.bgz"), Some(FileKind::Vcf));
    /// assert_eq!(FileKind::of("notes.docx"), None);
    /// ```
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let bare = [".gz", ".bgz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
        let bare = bare.strip_suffix(".txt").unwrap_or(bare);
        let ending = bare.rsplit('.').next().unwrap_or(bare);
        Self::NAMES.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
    }

    /// Returns the name of a part that holds this kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Returns whether the file holds genotypes, so that it is long and read as a stream; the others go with it.
    #[must_use]
    pub const fn holds_genotypes(self) -> bool {
        matches!(self, Self::Vcf | Self::Bed | Self::Pgen | Self::Bgen | Self::Dosage | Self::Json)
    }

    /// Returns the files that have to come with genotypes of this kind.
    #[must_use]
    pub const fn companions(self) -> &'static [Self] {
        match self {
            Self::Bed => &[Self::Bim, Self::Fam],
            Self::Pgen => &[Self::Pvar, Self::Psam],
            Self::Dosage => &[Self::Samples],
            _ => &[],
        }
    }

    /// Returns whether a file of this kind may come with genotypes of `main`.
    #[must_use]
    pub fn goes_with(self, main: Self) -> bool {
        self == main || main.companions().contains(&self) || (main == Self::Bgen && self == Self::Sample)
    }
}

/// A file of a submission.
pub struct SubmittedFile {
    /// What it holds.
    pub kind: FileKind,
    /// Its name, for errors.
    pub name: String,
    /// Its bytes.
    pub bytes: Box<dyn Read + Send>,
}

/// Opens a submission with the reader of its format.
///
/// # Errors
/// The files do not make one submission, or the beginning of one is malformed.
pub fn open(files: Vec<SubmittedFile>, limits: &ReadLimits) -> Result<Box<dyn GenotypeSource>, GenotypeError> {
    let kinds: Vec<FileKind> = files.iter().map(|file| file.kind).collect();
    let main = check(&kinds)?;
    let mut inputs = Vec::with_capacity(files.len());
    for file in files {
        inputs.push((file.kind, Input::new(&file.name, file.bytes, limits)?));
    }
    let mut take = |kind: FileKind| {
        let at = inputs.iter().position(|(of, _)| *of == kind);
        at.map(|at| inputs.remove(at).1).ok_or_else(|| missing(kind, main))
    };
    Ok(match main {
        FileKind::Bed => {
            Box::new(PlinkSource::open(take(FileKind::Bed)?, take(FileKind::Bim)?, take(FileKind::Fam)?, limits)?)
        }
        FileKind::Pgen => {
            Box::new(PgenSource::open(take(FileKind::Pgen)?, take(FileKind::Pvar)?, take(FileKind::Psam)?, limits)?)
        }
        FileKind::Bgen => {
            let sample = take(FileKind::Sample).ok();
            Box::new(BgenSource::open(take(FileKind::Bgen)?, sample, limits)?)
        }
        FileKind::Dosage => {
            let samples = take(FileKind::Samples)?;
            let dosages = std::iter::from_fn(|| take(FileKind::Dosage).ok()).collect();
            Box::new(DosageTextSource::open(dosages, samples, limits)?)
        }
        FileKind::Json => Box::new(json(take(FileKind::Json)?, limits)?),
        _ => {
            let mut input = take(FileKind::Vcf)?;
            if input.fill()?.starts_with(b"BCF") {
                Box::new(BcfSource::open(input, limits)?)
            } else {
                Box::new(VcfSource::open(input, limits)?)
            }
        }
    })
}

fn json(mut input: Input, limits: &ReadLimits) -> Result<JsonSource, GenotypeError> {
    let mut bytes = Vec::new();
    loop {
        let more = input.fill()?;
        if more.is_empty() {
            return JsonSource::parse(&bytes, limits);
        }
        if bytes.len() + more.len() > limits.record_bytes {
            return Err(GenotypeError::limit(super::Limit::RecordBytes, limits.record_bytes as u64));
        }
        bytes.extend_from_slice(more);
        let count = more.len();
        input.consume(count);
    }
}

/// Checks that the files make one submission, and returns the kind of its genotypes.
///
/// # Errors
/// There are no genotypes, or two formats, or a file too many or too few.
pub fn check(kinds: &[FileKind]) -> Result<FileKind, GenotypeError> {
    let mains: Vec<FileKind> = kinds.iter().copied().filter(|kind| kind.holds_genotypes()).collect();
    let Some(main) = mains.first().copied() else {
        let wanted = match kinds.first() {
            Some(FileKind::Bim | FileKind::Fam) => "the bed file",
            Some(FileKind::Pvar | FileKind::Psam) => "the pgen file",
            Some(FileKind::Sample) => "the bgen file",
            Some(FileKind::Samples) => "the dosage file",
            _ => "a file of genotypes (vcf, bcf, bed, pgen, bgen, dosage or json)",
        };
        return Err(fault(format!("{wanted} is missing")));
    };
    if let Some(stray) = kinds.iter().find(|kind| !kind.goes_with(main)) {
        return Err(fault(format!("a {} file does not go with a {} file: send one format", stray.name(), main.name())));
    }
    if let Some(companion) = main.companions().iter().find(|companion| !kinds.contains(companion)) {
        return Err(missing(*companion, main));
    }
    let twice = kinds.iter().enumerate().find(|(at, kind)| **kind != FileKind::Dosage && kinds[..*at].contains(kind));
    match twice {
        Some((_, kind)) => Err(fault(format!("there are two {} files: send one", kind.name()))),
        None => Ok(main),
    }
}

fn missing(kind: FileKind, main: FileKind) -> GenotypeError {
    fault(format!("the {} file is missing: a {} file comes with it", kind.name(), main.name()))
}

fn fault(what: String) -> GenotypeError {
    GenotypeError::new(Fault::Malformed(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_make_one_submission_or_say_what_is_wrong() {
        use FileKind::{Bed, Bgen, Bim, Dosage, Fam, Samples, Vcf};
        assert_eq!(check(&[Fam, Bim, Bed]).unwrap(), Bed);
        assert_eq!(check(&[Dosage, Samples, Dosage]).unwrap(), Dosage);
        let cases: [(&[FileKind], &str); 5] = [
            (&[Bed, Bim], "the fam file is missing"),
            (&[Bim, Fam], "the bed file is missing"),
            (&[], "a file of genotypes"),
            (&[Vcf, Bgen], "does not go with"),
            (&[Vcf, Vcf], "two vcf files"),
        ];
        for (kinds, expected) in cases {
            let error = check(kinds).unwrap_err().to_string();
            assert!(error.contains(expected), "{kinds:?}: {error}");
        }
    }
}

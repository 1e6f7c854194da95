//! The header that VCF and BCF share: the version line, the assembly that the contigs tell, the samples.

use crate::genome::{Assembly, Chromosome};
use crate::genotype::{GenotypeError, Limit, ReadLimits, Sample, Samples};

/// The columns before the samples.
pub(in crate::genotype) const FIXED: [&str; 9] =
    ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"];

/// What a whole header says.
#[derive(Debug)]
pub(in crate::genotype) struct Header {
    /// The people.
    pub(in crate::genotype) samples: Samples,
    /// The assembly, where the header is clear about it.
    pub(in crate::genotype) assembly: Option<Assembly>,
}

/// Reads a header line by line, and keeps none of them.
#[derive(Debug, Default)]
pub(in crate::genotype) struct HeaderReader {
    begun: bool,
    assembly: Told,
    /// A main chromosome has a length that it has in neither human assembly.
    other_lengths: bool,
}

impl HeaderReader {
    /// Takes a header line; returns the header after its last line, the one with the column names.
    ///
    /// # Errors
    /// The line has no place in a header.
    pub(in crate::genotype) fn take(
        &mut self,
        line: &[u8],
        limits: &ReadLimits,
    ) -> Result<Option<Header>, GenotypeError> {
        if !std::mem::replace(&mut self.begun, true) {
            if line.starts_with(b"##fileformat=VCFv") {
                return Ok(None);
            }
            let what = "this is no VCF: the first line has to be '##fileformat=VCFv4.…'";
            return Err(GenotypeError::malformed(what));
        }
        if let Some(meta) = line.strip_prefix(b"##") {
            // Descriptions may be in any encoding; nothing that is read here is.
            if let Ok(meta) = str::from_utf8(meta) {
                self.take_meta(meta);
            }
            return Ok(None);
        }
        if !line.starts_with(b"#") {
            let what = "the header ends without its line of column names, which begins with '#CHROM'";
            return Err(GenotypeError::malformed(what));
        }
        let samples = read_samples(line, limits)?;
        let assembly = match (&self.assembly, self.other_lengths) {
            (Told::One(assembly), other) if !(other && assembly.is_known()) => Some(assembly.clone()),
            _ => None,
        };
        Ok(Some(Header { samples, assembly }))
    }

    fn take_meta(&mut self, meta: &str) {
        if let Some(contig) = meta.strip_prefix("contig=") {
            if let Some(name) = attribute(contig, "assembly") {
                self.assembly.tell(named(name).or_else(|| Assembly::parse(name).ok()));
            }
            let length = attribute(contig, "length").and_then(|length| length.parse::<u32>().ok());
            let chromosome = attribute(contig, "ID").and_then(|id| Chromosome::parse(id).ok());
            if let (Some(length), Some(chromosome)) = (length, chromosome) {
                self.take_length(&chromosome, length);
            }
        } else if let Some(reference) = meta.strip_prefix("reference=") {
            self.assembly.tell(named(reference));
        }
    }

    fn take_length(&mut self, chromosome: &Chromosome, length: u32) {
        // GRCh37 files have either of two mitochondrial sequences, one of them GRCh38's.
        if chromosome.as_str() == "chrM" {
            return;
        }
        let mut known = false;
        for name in ["GRCh37", "GRCh38"] {
            let Ok(assembly) = Assembly::parse(name) else { continue };
            match assembly.length_of(chromosome) {
                Some(expected) if expected == length => return self.assembly.tell(Some(assembly)),
                expected => known |= expected.is_some(),
            }
        }
        self.other_lengths |= known;
    }
}

/// The assemblies that a header's lines name.
#[derive(Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    One(Assembly),
    Conflict,
}

impl Told {
    fn tell(&mut self, assembly: Option<Assembly>) {
        let Some(assembly) = assembly else { return };
        match self {
            Self::Nothing => *self = Self::One(assembly),
            Self::One(known) if *known != assembly => *self = Self::Conflict,
            Self::One(_) | Self::Conflict => {}
        }
    }
}

/// Returns the human assembly that a file's or an assembly's name speaks of.
fn named(text: &str) -> Option<Assembly> {
    const NAMES: [(&str, &[&str]); 2] =
        [("GRCh37", &["grch37", "hg19", "b37", "hs37"]), ("GRCh38", &["grch38", "hg38", "b38", "hs38"])];
    let text = text.to_ascii_lowercase();
    let mut found = NAMES.iter().filter(|(_, words)| words.iter().any(|word| text.contains(word)));
    match (found.next(), found.next()) {
        (Some((name, _)), None) => Assembly::parse(name).ok(),
        _ => None,
    }
}

/// Returns an attribute of a line such as `<ID=1,length=5,Description="a, b">`.
pub(in crate::genotype) fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let inner = line.trim().strip_prefix('<')?;
    let mut rest = inner.strip_suffix('>').unwrap_or(inner);
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = if let Some(quoted) = after.strip_prefix('"') {
            let end = closing_quote(quoted);
            (quoted.get(..end)?, quoted.get(end + 1..).unwrap_or_default())
        } else {
            let end = after.find(',').unwrap_or(after.len());
            after.split_at(end)
        };
        if key.trim() == name {
            return Some(value.trim());
        }
        rest = next.trim_start().strip_prefix(',').unwrap_or(next);
    }
    None
}

fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    let found = text.bytes().position(|byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    });
    found.unwrap_or(text.len())
}

fn read_samples(line: &[u8], limits: &ReadLimits) -> Result<Samples, GenotypeError> {
    let mut columns = line.split(|byte| *byte == b'\t');
    for (index, name) in FIXED.iter().enumerate() {
        match columns.next() {
            Some(found) if found == name.as_bytes() => {}
            None if index >= 8 => {
                let what = "it has no samples: the line of column names ends before FORMAT and the samples' names, so \
                            these are sites without genotypes";
                return Err(GenotypeError::malformed(what));
            }
            found => {
                let found = String::from_utf8_lossy(found.unwrap_or_default()).chars().take(40).collect::<String>();
                let what = format!("column {} of the column names is '{found}', it has to be {name}", index + 1);
                return Err(GenotypeError::malformed(format!("{what} (columns are parted by tabs)")));
            }
        }
    }
    let mut samples = Vec::new();
    for (index, id) in columns.enumerate() {
        if index == limits.samples {
            return Err(GenotypeError::limit(Limit::Samples, limits.samples as u64));
        }
        let fault = |reason: &str| GenotypeError::field(format!("name of sample {}", index + 1), reason);
        let id = str::from_utf8(id).map_err(|_| fault("it is not UTF-8 text"))?;
        if id.is_empty() {
            return Err(fault("it is empty"));
        }
        samples.push(Sample::named(id));
    }
    Samples::new(samples, limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembly(lines: &[&str]) -> Option<String> {
        let mut reader = HeaderReader::default();
        let limits = ReadLimits::default();
        assert!(reader.take(b"##fileformat=VCFv4.2", &limits).unwrap().is_none());
        for line in lines {
            assert!(reader.take(line.as_bytes(), &limits).unwrap().is_none());
        }
        let columns = [&FIXED[..], &["a"]].concat().join("\t");
        let header = reader.take(columns.as_bytes(), &limits).unwrap().unwrap();
        header.assembly.map(|assembly| assembly.as_str().to_owned())
    }

    #[test]
    fn the_assembly_is_what_all_lines_agree_on() {
        let (a37, a38) = (Some("GRCh37".to_owned()), Some("GRCh38".to_owned()));
        let (length37, length38) = ("##contig=<ID=1,length=249250621>", "##contig=<ID=chr1,length=248956422>");
        for (lines, expected) in [
            (&[][..], &None),
            (&["##contig=<ID=1>"], &None),
            (&[length37], &a37),
            (&[length38], &a38),
            (&[length37, length38], &None),
            (&["##contig=<ID=22,assembly=b37>"], &a37),
            (&["##contig=<ID=22,assembly=\"hg38\">", length38], &a38),
            (&["##contig=<ID=22,assembly=GRCh38.p13>", length37], &None),
            (&["##reference=file:///refs/human_g1k_v37/hs37d5.fa"], &a37),
            (&["##reference=file:///refs/hg19_to_hg38.fa"], &None),
            (&["##reference=GRCh38", "##contig=<ID=1,length=5>"], &None),
            // One mitochondrial sequence belongs to both.
            (&["##contig=<ID=MT,length=16569>", length37], &a37),
            (&["##contig=<ID=1,length=5,assembly=Zm-B73-v5>"], &Some("Zm-B73-v5".to_owned())),
            (&["##contig=<Description=\"a, assembly=b37, \\\" x\",ID=1,length=249250621>"], &a37),
        ] {
            assert_eq!(&assembly(lines), expected, "{lines:?}");
        }
    }
}

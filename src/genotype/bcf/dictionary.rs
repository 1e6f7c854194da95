//! The names that BCF's records refer to by number (VCF 4.3, section 6.2.1).

use std::collections::HashMap;

use crate::genome::Chromosome;
use crate::genotype::GenotypeError;
use crate::genotype::vcf::header::attribute;

/// The contigs, and the names of filters and fields.
#[derive(Debug)]
pub(super) struct Dictionaries {
    contigs: HashMap<usize, Chromosome>,
    next_contig: usize,
    strings: HashMap<usize, Box<str>>,
    known: HashMap<Box<str>, usize>,
    next_string: usize,
}

impl Default for Dictionaries {
    fn default() -> Self {
        // This filter is the first whether the header has it or not.
        let pass: Box<str> = "PASS".into();
        Self {
            contigs: HashMap::new(),
            next_contig: 0,
            strings: HashMap::from([(0, pass.clone())]),
            known: HashMap::from([(pass, 0)]),
            next_string: 1,
        }
    }
}

impl Dictionaries {
    /// Takes a header line, and the name that it declares.
    ///
    /// # Errors
    /// A contig or field has no name, or its number is none.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), GenotypeError> {
        let keys: [&[u8]; 4] = [b"##contig=", b"##FILTER=", b"##INFO=", b"##FORMAT="];
        let Some(key) = keys.iter().find(|key| line.starts_with(key)) else { return Ok(()) };
        // A description may be in any encoding; the names come before it.
        let text = String::from_utf8_lossy(line.get(key.len()..).unwrap_or_default());
        let fault = |field: &str| GenotypeError::field(field, "it is missing or malformed in this line of the header");
        let id = attribute(&text, "ID").filter(|id| !id.is_empty()).ok_or_else(|| fault("ID"))?;
        let index = match attribute(&text, "IDX") {
            Some(index) => Some(index.parse::<u32>().map_err(|_| fault("IDX"))? as usize),
            None => None,
        };
        if *key == b"##contig=" {
            let chromosome = Chromosome::parse(id).map_err(|_| fault("ID"))?;
            let index = index.unwrap_or(self.next_contig);
            self.next_contig = index + 1;
            self.contigs.insert(index, chromosome);
        } else if let Some(index) = index.or_else(|| (!self.known.contains_key(id)).then_some(self.next_string)) {
            // The same name may be a filter, a field of the site and one of the samples: it has one number.
            self.next_string = self.next_string.max(index + 1);
            self.strings.insert(index, id.into());
            self.known.insert(id.into(), index);
        }
        Ok(())
    }

    /// Returns a contig.
    pub(super) fn contig(&self, index: usize) -> Option<&Chromosome> {
        self.contigs.get(&index)
    }

    /// Returns the name of a filter or field.
    pub(super) fn string(&self, index: usize) -> Option<&str> {
        self.strings.get(&index).map(AsRef::as_ref)
    }
}

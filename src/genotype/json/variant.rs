//! One variant of the body, from its keys to what is kept of it.

use serde::de::Error;

use super::super::{Fault, Limit};
use super::shape::Trail;
use super::store::{Store, Values, Variant};
use crate::genome::{Allele, Chromosome, PlacedName, Position};

/// A variant's keys as they were given.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) id: Option<String>,
    pub(super) chromosome: Option<String>,
    pub(super) position: Option<Position>,
    pub(super) reference: Option<String>,
    pub(super) alternatives: Option<Vec<String>>,
    pub(super) values: Option<(Values, usize)>,
}

/// The chromosome before, so that each is kept once.
#[derive(Default)]
pub(super) struct Named(Option<(String, Chromosome)>);

impl Named {
    fn parse(&mut self, text: &str) -> Result<Chromosome, String> {
        if let Some((known, chromosome)) = &self.0
            && known == text
        {
            return Ok(chromosome.clone());
        }
        let chromosome = Chromosome::parse(text).map_err(|error| error.to_string())?;
        self.0 = Some((text.to_owned(), chromosome.clone()));
        Ok(chromosome)
    }
}

impl Draft {
    /// Checks the variant and adds it to the store.
    pub(super) fn finish<E: Error>(mut self, trail: &Trail<'_>, store: &mut Store, named: &mut Named) -> Result<(), E> {
        let Some(values) = self.values else {
            return Err(trail.wrong("dosages", "a variant has dosages or genotypes, one for each sample"));
        };
        // A name of two parts, such as exm-17, is a place only where the first is a chromosome.
        let placed = self.id.as_deref().and_then(PlacedName::parse);
        let placed = placed.filter(|name| name.alleles.is_some() || name.chromosome.as_str().starts_with("chr"));
        let chromosome = self.place(trail, named, placed.as_ref())?;
        self.alleles(trail, placed.as_ref())?;
        if let Some(assembly) = placed.and_then(|name| name.assembly) {
            let (first, variant) = store.named.get_or_insert((assembly.clone(), store.variants.len()));
            if *first != assembly {
                let reason = format!("it names {assembly}, variants[{variant}].id names {first}: send one assembly");
                return Err(trail.wrong("id", reason));
            }
        }
        let alternatives = self.alternatives.unwrap_or_default();
        check_values(trail, store, values, alternatives.len())?;
        let count = store.count(values);
        let text = store.text.len();
        let mut keep = |part: &str| -> Result<u32, E> {
            store.text.push_str(part);
            u32::try_from(part.len()).map_err(|_| trail.fail(record_bytes(trail)))
        };
        let id = keep(self.id.as_deref().unwrap_or_default())?;
        let reference = keep(&self.reference.unwrap_or_default())?;
        let alternatives = keep(&alternatives.join(","))?;
        store.variants.push(Variant {
            chromosome,
            position: self.position,
            text,
            id,
            reference,
            alternatives,
            values: values.0,
            start: values.1,
            count: u32::try_from(count).map_err(|_| trail.fail::<E>(record_bytes(trail)))?,
        });
        Ok(())
    }

    /// Settles the place: as given, or as the identifier says.
    fn place<E: Error>(
        &mut self,
        trail: &Trail<'_>,
        named: &mut Named,
        placed: Option<&PlacedName>,
    ) -> Result<Option<Chromosome>, E> {
        let given = self.chromosome.as_deref().map(|text| named.parse(text)).transpose();
        let given = given.map_err(|reason| trail.wrong::<E>("chromosome", reason))?;
        if let Some(name) = placed {
            let other_chromosome = given.as_ref().is_some_and(|chromosome| *chromosome != name.chromosome);
            if other_chromosome || self.position.is_some_and(|position| position != name.position) {
                let key = if other_chromosome { "chromosome" } else { "position" };
                let reason = format!("it contradicts the id, which says {}:{}", name.chromosome, name.position);
                return Err(trail.wrong(key, reason));
            }
            self.position = Some(name.position);
            let chromosome = named.parse(name.chromosome.as_str());
            return chromosome.map(Some).map_err(|reason| trail.wrong("id", reason));
        }
        if self.position.is_some() && given.is_none() {
            return Err(trail.wrong("chromosome", "it is missing: a position needs its chromosome"));
        }
        let has_id = self.id.as_deref().is_some_and(|id| !matches!(id.trim(), "" | "."));
        if !has_id && self.position.is_none() {
            let key = if given.is_some() { "position" } else { "id" };
            return Err(trail.wrong(key, "it is missing: a variant has an id, or a chromosome and a position"));
        }
        Ok(given)
    }

    /// Settles the alleles: as given, or as the identifier says.
    fn alleles<E: Error>(&mut self, trail: &Trail<'_>, placed: Option<&PlacedName>) -> Result<(), E> {
        let named = placed.and_then(|name| name.alleles.as_ref());
        let (reference, alternatives) = match (&self.reference, &self.alternatives, named) {
            (None, None, Some((reference, alternative))) => {
                (self.reference, self.alternatives) =
                    (Some(reference.to_string()), Some(vec![alternative.to_string()]));
                return if reference == alternative {
                    Err(trail.wrong("id", "its two alleles are the same"))
                } else {
                    Ok(())
                };
            }
            (Some(reference), Some(alternatives), _) => (reference, alternatives),
            (None, ..) => return Err(trail.wrong("ref", "it is missing: a variant has ref and alt")),
            (_, None, _) => return Err(trail.wrong("alt", "it is missing: a variant has ref and alt")),
        };
        check_allele(trail, "ref", reference)?;
        if alternatives.is_empty() {
            return Err(trail.wrong("alt", "it is empty: give at least one allele"));
        }
        if alternatives.len() > trail.limits.alternatives {
            let most = trail.limits.alternatives as u64;
            return Err(trail.fail(Fault::Limit { limit: Limit::Alternatives, most }));
        }
        for (index, alternative) in alternatives.iter().enumerate() {
            check_allele(trail, "alt", alternative)?;
            if alternative.eq_ignore_ascii_case(reference) {
                return Err(trail.wrong("alt", format!("'{}' is the reference allele too", short(alternative))));
            }
            if alternatives.iter().take(index).any(|earlier| earlier.eq_ignore_ascii_case(alternative)) {
                return Err(trail.wrong("alt", format!("'{}' is there twice", short(alternative))));
            }
        }
        let has = |allele: &Allele| {
            let is = |text: &str| Allele::parse(text).is_ok_and(|parsed| parsed == *allele);
            (is(reference), alternatives.iter().any(|text| is(text)))
        };
        match named.map(|(first, second)| (has(first), has(second), first, second)) {
            None | Some(((true, _), (_, true), ..) | ((_, true), (true, _), ..)) => Ok(()),
            Some((.., first, second)) => {
                let reason = format!("ref and alt contradict the id, which says {first} and {second}");
                Err(trail.wrong("id", reason))
            }
        }
    }
}

fn check_allele<E: Error>(trail: &Trail<'_>, key: &str, text: &str) -> Result<(), E> {
    let wrong = text.is_empty() || text == "." || text.contains(|c: char| c == ',' || c.is_whitespace());
    if !wrong {
        return Ok(());
    }
    let several = if key == "alt" { "; several are an array" } else { "" };
    Err(trail.wrong(key, format!("'{}' is no allele: write its bases, such as A or AT{several}", short(text))))
}

/// Checks the values against the alleles, which may have come after them.
fn check_values<E: Error>(
    trail: &Trail<'_>,
    store: &Store,
    (values, start): (Values, usize),
    alternatives: usize,
) -> Result<(), E> {
    if values != Values::Calls {
        return if alternatives == 1 {
            Ok(())
        } else {
            let reason = format!("dosages count one alternative allele, alt has {alternatives}: send genotypes");
            Err(trail.wrong("dosages", reason))
        };
    }
    let calls = store.calls.get(start..).unwrap_or_default();
    let beyond = calls.iter().enumerate().find_map(|(at, call)| Some((at, call.beyond(alternatives + 1)?)));
    match beyond {
        None => Ok(()),
        Some((at, allele)) => {
            let reason = format!("it names allele {allele}, the variant has alleles 0 to {alternatives}");
            Err(trail.wrong(&format!("genotypes[{at}]"), reason))
        }
    }
}

fn record_bytes(trail: &Trail<'_>) -> Fault {
    Fault::Limit { limit: Limit::RecordBytes, most: trail.limits.record_bytes.min(u32::MAX as usize) as u64 }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

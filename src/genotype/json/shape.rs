//! The shape of the body: one pass over its tokens, straight into the packed variants, with a trail of where it is.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::super::{Fault, GenotypeError, Limit, Place, ReadLimits, Sample, Sex};
use super::store::{Store, Values};
use super::values::{DosageValue, Genotype, Texts, Whole, Word};
use super::variant::{Draft, Named};
use crate::genome::Assembly;

/// Where in the body the reader is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spot {
    key: Option<&'static str>,
    index: Option<usize>,
    inner: Option<&'static str>,
    item: Option<usize>,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key.unwrap_or("the body"))?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))?;
        self.inner.map_or(Ok(()), |key| write!(f, ".{key}"))?;
        self.item.map_or(Ok(()), |item| write!(f, "[{item}]"))
    }
}

/// What the whole reading shares: the limits, where it is, and a fault that is more than a text.
pub(super) struct Trail<'l> {
    pub(super) limits: &'l ReadLimits,
    pub(super) place: RefCell<Spot>,
    pub(super) fault: RefCell<Option<GenotypeError>>,
}

impl Trail<'_> {
    fn edit(&self, edit: impl FnOnce(&mut Spot)) {
        edit(&mut self.place.borrow_mut());
    }

    fn place(&self) -> Place {
        match *self.place.borrow() {
            Spot { key: Some("variants"), index: Some(index), .. } => Place::Record(index as u64 + 1),
            _ => Place::Whole,
        }
    }

    /// Keeps a fault and returns an error that ends the reading.
    pub(super) fn fail<E: Error>(&self, fault: Fault) -> E {
        *self.fault.borrow_mut() = Some(GenotypeError::new(fault).at(self.place()));
        E::custom("")
    }

    /// Fails with a key of what is being read.
    pub(super) fn wrong<E: Error>(&self, key: &str, reason: impl Into<String>) -> E {
        let spot = Spot { inner: None, item: None, ..*self.place.borrow() };
        let field = if spot.key.is_none() { key.to_owned() } else { format!("{spot}.{key}") };
        self.fail(Fault::Field { field, reason: reason.into() })
    }

    /// Returns why the reading ended.
    pub(super) fn error(&self, error: &serde_json::Error) -> GenotypeError {
        if let Some(fault) = self.fault.borrow_mut().take() {
            return fault;
        }
        let spot = *self.place.borrow();
        let reason = match error.classify() {
            serde_json::error::Category::Data => error.to_string(),
            // JSON has no word for what is no number.
            _ if matches!(spot.inner, Some("dosages")) => {
                format!("not valid JSON: {error}; a dosage that is not known is null")
            }
            _ => format!("not valid JSON: {error}"),
        };
        GenotypeError::field(spot.to_string(), reason).at(self.place())
    }
}

/// A key among those that are known, each once.
struct Key<'a, 'l> {
    trail: &'a Trail<'l>,
    known: &'static [&'static str],
    seen: &'a mut Vec<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of the keys {}", self.known.join(", "))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let Some(key) = self.known.iter().find(|known| **known == text) else {
            let short: String = text.chars().take(40).collect();
            return Err(self
                .trail
                .wrong(&short, format!("there is no such key: the keys are {}", self.known.join(", "))));
        };
        if self.seen.contains(key) {
            return Err(self.trail.wrong(key, "it is given twice"));
        }
        self.seen.push(key);
        Ok(key)
    }
}

/// What a body has.
pub(super) struct Parts {
    pub(super) samples: Vec<Sample>,
    pub(super) assembly: Option<Assembly>,
    pub(super) store: Store,
}

/// The whole body.
pub(super) struct Body<'a, 'l>(pub(super) &'a Trail<'l>);

/// Defines that a seed is its own visitor of the given kind of value.
macro_rules! own_visitor {
    ($seed:ident, $value:ty, $method:ident) => {
        impl<'de> DeserializeSeed<'de> for $seed<'_, '_> {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<$value, D::Error> {
                deserializer.$method(self)
            }
        }
    };
}

own_visitor!(Body, Parts, deserialize_map);
own_visitor!(People, Vec<Sample>, deserialize_seq);
own_visitor!(Person, Sample, deserialize_any);
own_visitor!(Variants, (), deserialize_seq);
own_visitor!(Entry, (), deserialize_map);
own_visitor!(Row, (), deserialize_seq);

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = Parts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of assembly, samples and variants")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts, A::Error> {
        let trail = self.0;
        let (mut samples, mut assembly, mut store, mut seen) = (None, None, None, Vec::new());
        let known = &["assembly", "samples", "variants"];
        while let Some(key) = map.next_key_seed(Key { trail, known, seen: &mut seen })? {
            trail.edit(|spot| *spot = Spot { key: Some(key), ..Spot::default() });
            match key {
                "assembly" => {
                    let text = map.next_value::<Option<String>>()?;
                    assembly = text.map(|text| Assembly::parse(&text)).transpose().map_err(A::Error::custom)?;
                }
                "samples" => samples = Some(map.next_value_seed(People(trail))?),
                _ => {
                    let mut all = Store::default();
                    map.next_value_seed(Variants { trail, store: &mut all })?;
                    store = Some(all);
                }
            }
            trail.edit(|spot| *spot = Spot::default());
        }
        let samples = samples.ok_or_else(|| trail.wrong("samples", "it is missing: list the people's identifiers"))?;
        let store = store.ok_or_else(|| trail.wrong("variants", "it is missing: list the variants"))?;
        Ok(Parts { samples, assembly, store })
    }
}

struct People<'a, 'l>(&'a Trail<'l>);

impl<'de> Visitor<'de> for People<'_, '_> {
    type Value = Vec<Sample>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of identifiers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut people = Vec::new();
        loop {
            self.0.edit(|spot| (spot.index, spot.inner) = (Some(people.len()), None));
            let Some(person) = seq.next_element_seed(Person(self.0))? else { return Ok(people) };
            if people.len() >= self.0.limits.samples {
                let most = self.0.limits.samples as u64;
                return Err(self.0.fail(Fault::Limit { limit: Limit::Samples, most }));
            }
            people.push(person);
        }
    }
}

struct Person<'a, 'l>(&'a Trail<'l>);

impl<'de> Visitor<'de> for Person<'_, '_> {
    type Value = Sample;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an identifier, or an object of id, sex and family")
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<Sample, E> {
        if id.trim().is_empty() { Err(E::custom("the identifier is empty")) } else { Ok(Sample::named(id)) }
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<Sample, E> {
        Ok(Sample::named(&id.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sample, A::Error> {
        let trail = self.0;
        let (mut id, mut sex, mut family, mut seen) = (None, Sex::Unknown, None, Vec::new());
        let known = &["id", "sex", "family"];
        while let Some(key) = map.next_key_seed(Key { trail, known, seen: &mut seen })? {
            trail.edit(|spot| spot.inner = Some(key));
            let word = map.next_value::<Option<Word>>()?.map(|word| word.0);
            match key {
                "id" => id = word,
                "family" => family = word,
                _ => {
                    sex = match word.as_deref() {
                        Some("male") => Sex::Male,
                        Some("female") => Sex::Female,
                        Some("unknown") | None => Sex::Unknown,
                        Some(_) => return Err(trail.wrong("sex", "it is male, female or unknown")),
                    }
                }
            }
        }
        match id.filter(|id| !id.trim().is_empty()) {
            Some(id) => Ok(Sample { sex, family: family.map(Into::into), ..Sample::named(&id) }),
            None => Err(trail.wrong("id", "the identifier is missing")),
        }
    }
}

struct Variants<'a, 'l> {
    trail: &'a Trail<'l>,
    store: &'a mut Store,
}

impl<'de> Visitor<'de> for Variants<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of variants")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut named = Named::default();
        loop {
            let index = self.store.variants.len();
            self.trail.edit(|spot| *spot = Spot { key: Some("variants"), index: Some(index), ..Spot::default() });
            let entry = Entry { trail: self.trail, store: self.store, named: &mut named };
            if seq.next_element_seed(entry)?.is_none() {
                return Ok(());
            }
            if self.store.variants.len() as u64 > self.trail.limits.records {
                let most = self.trail.limits.records;
                return Err(self.trail.fail(Fault::Limit { limit: Limit::Records, most }));
            }
        }
    }
}

struct Entry<'a, 'l> {
    trail: &'a Trail<'l>,
    store: &'a mut Store,
    named: &'a mut Named,
}

impl<'de> Visitor<'de> for Entry<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a variant: an object of id, chromosome, position, ref, alt and dosages")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (trail, store) = (self.trail, self.store);
        let mut draft = Draft::default();
        let mut seen = Vec::with_capacity(8);
        let known = &["id", "chromosome", "position", "ref", "alt", "dosages", "genotypes"];
        while let Some(key) = map.next_key_seed(Key { trail, known, seen: &mut seen })? {
            trail.edit(|spot| spot.inner = Some(key));
            match key {
                "id" => draft.id = map.next_value::<Option<Word>>()?.map(|word| word.0),
                "chromosome" => draft.chromosome = map.next_value::<Option<Word>>()?.map(|word| word.0),
                "position" => draft.position = map.next_value::<Option<Whole>>()?.map(|whole| whole.0),
                "ref" => draft.reference = map.next_value()?,
                "alt" => draft.alternatives = map.next_value::<Option<Texts>>()?.map(|texts| texts.0),
                _ if draft.values.is_some() => {
                    return Err(trail.wrong(key, "a variant has dosages or genotypes, not both"));
                }
                _ => {
                    let mut values = match key {
                        "dosages" => (Values::Whole, store.whole.len()),
                        _ => (Values::Calls, store.calls.len()),
                    };
                    map.next_value_seed(Row { trail, store, values: &mut values })?;
                    draft.values = Some(values);
                }
            }
            trail.edit(|spot| (spot.inner, spot.item) = (None, None));
        }
        draft.finish(trail, store, self.named)
    }
}

/// The values of a variant.
struct Row<'a, 'l> {
    trail: &'a Trail<'l>,
    store: &'a mut Store,
    values: &'a mut (Values, usize),
}

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array with a value for each sample")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { trail, store, values } = self;
        for item in 0.. {
            trail.edit(|spot| spot.item = Some(item));
            if values.0 == Values::Calls {
                let Some(call) = seq.next_element::<Genotype>()? else { return Ok(()) };
                store.calls.push(call.0);
            } else {
                let Some(dosage) = seq.next_element::<DosageValue>()? else { return Ok(()) };
                store.push_dosage(dosage.0, values);
            }
            if item >= trail.limits.samples {
                return Err(trail.fail(Fault::Limit { limit: Limit::Samples, most: trail.limits.samples as u64 }));
            }
        }
        Ok(())
    }
}

//! The single values of a body.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::super::dosage;
use super::call::Call;
use crate::genome::Position;

/// A text, or a whole number as its digits.
pub(super) struct Word(pub(super) String);

/// A position.
pub(super) struct Whole(pub(super) Position);

/// A text, or several in an array.
pub(super) struct Texts(pub(super) Vec<String>);

/// A dosage, `None` where it is not known.
pub(super) struct DosageValue(pub(super) Option<f32>);

/// A genotype.
pub(super) struct Genotype(pub(super) Call);

/// Defines how a value is read: by a visitor that says what it expects.
macro_rules! by_visitor {
    ($value:ident, $visitor:ident, $expecting:literal, { $($methods:tt)* }) => {
        struct $visitor;

        impl<'de> Visitor<'de> for $visitor {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }

            $($methods)*
        }

        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($visitor)
            }
        }
    };
}

by_visitor!(Word, WordVisitor, "a text or a whole number", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
        Ok(Word(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }
});

by_visitor!(Whole, WholeVisitor, "a whole number from 1", {
    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        let position = u32::try_from(number).ok().and_then(Position::new);
        let wrong = || E::custom(format!("{number} is no position: positions are whole numbers from 1 to 4294967295"));
        position.map(Whole).ok_or_else(wrong)
    }

    // Some writers spell 100000 as 1e5.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        if number.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&number) {
            #[expect(clippy::cast_sign_loss, reason = "it is at least 1")]
            self.visit_u64(number as u64)
        } else {
            Err(E::custom(format!("{number} is no position: positions are whole numbers from 1")))
        }
    }
});

by_visitor!(Texts, TextsVisitor, "an allele, or an array of alleles", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
        Ok(Texts(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = seq.next_element()? {
            texts.push(text);
        }
        Ok(Texts(texts))
    }
});

by_visitor!(DosageValue, DosageVisitor, "a number from 0 to 2, or null where it is not known", {
    fn visit_unit<E: Error>(self) -> Result<DosageValue, E> {
        Ok(DosageValue(None))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<DosageValue, E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<DosageValue, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<DosageValue, E> {
        // Adding 0 takes the sign off −0.
        dosage(number as f32).map(|dosage| DosageValue(Some(dosage + 0.0))).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<DosageValue, E> {
        let text: String = text.chars().take(40).collect();
        Err(E::custom(format!("'{text}' is a text: a dosage is a number from 0 to 2, or null where it is not known")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<DosageValue, A::Error> {
        Err(A::Error::custom("an array is no dosage: for several alternative alleles send genotypes"))
    }
});

by_visitor!(Genotype, GenotypeVisitor, "a genotype such as '0/1', or null where it is not known", {
    fn visit_unit<E: Error>(self) -> Result<Genotype, E> {
        Ok(Genotype(Call::MISSING))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Genotype, E> {
        Call::parse(text).map(Genotype).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Genotype, E> {
        Err(E::custom(format!("{number} is a number: genotypes are texts such as '0/1'; counts of alt are dosages")))
    }
});

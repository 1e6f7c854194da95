//! How a profile is looked at: the order of its tissues, the scale of its axis, and the colours.

use std::fmt::Write as _;

use super::axis::Quantity;
use crate::genome::tissue::GTEX_V8;
use crate::genome::{GtexTissue, Tissue};
use crate::http::answer::{ProfileAnswer, TissueAnswer};
use crate::http::extract::Query;
use crate::http::problem::Problem;

/// The colour of tissues that GTEx does not have.
pub(super) const NEUTRAL: &str = "8A94A0";

/// Colours that people with any colour vision tell apart (Okabe and Ito), without the yellow that white swallows. There
/// are more body systems: they take turns, so that neighbours differ.
const SAFE: [&str; 7] = ["0072B2", "E69F00", "009E73", "CC79A7", "D55E00", "56B4E9", "8A6D3B"];

/// A choice that a view makes: the parameter, and its values with the words for people, the default first.
pub(crate) type Choice = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The parameters of a view.
pub(crate) const CHOICES: [Choice; 3] = [
    ("sort", "Order", &[("gtex", "GTEx"), ("value", "value"), ("system", "body system")]),
    ("scale", "Scale", &[("linear", "linear"), ("log", "logarithmic")]),
    ("colours", "Colours", &[("gtex", "GTEx"), ("safe", "colour-blind safe")]),
];

/// How a profile is looked at: a place in each of the choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    chosen: [usize; 3],
}

/// The order of tissues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Gtex,
    Value,
    System,
}

impl View {
    /// Reads the parameters `sort`, `scale` and `colours`.
    ///
    /// # Errors
    /// A parameter has a value that it does not know, or comes twice.
    pub(crate) fn parse(query: &Query) -> Result<Self, Problem> {
        let mut view = Self::default();
        for ((name, _, values), place) in CHOICES.iter().zip(&mut view.chosen) {
            let Some(text) = query.one(name)? else { continue };
            *place = values.iter().position(|(value, _)| *value == text).ok_or_else(|| {
                let known: Vec<&str> = values.iter().map(|(value, _)| *value).collect();
                Problem::parameter(name, format!("'{name}' is one of {}, not '{text}'", known.join(", ")))
            })?;
        }
        Ok(view)
    }

    /// Returns the chosen value of each choice.
    pub(crate) fn values(self) -> impl Iterator<Item = (&'static Choice, &'static str)> {
        CHOICES.iter().zip(self.chosen).map(|(choice, at)| (choice, choice.2[at].0))
    }

    /// Returns what differs from the default as the end of a query, each part behind a `&`.
    pub(crate) fn query(self) -> String {
        let mut out = String::new();
        for ((name, _, values), value) in self.values() {
            if value != values[0].0 {
                let _ = write!(out, "&{name}={value}");
            }
        }
        out
    }

    pub(super) const fn order(self) -> Order {
        match self.chosen[0] {
            1 => Order::Value,
            2 => Order::System,
            _ => Order::Gtex,
        }
    }

    pub(super) const fn is_log(self) -> bool {
        self.chosen[1] == 1
    }

    /// Returns a tissue's colour as six hexadecimal digits.
    pub(super) fn colour(self, tissue: &str) -> &'static str {
        let Some(known) = gtex(tissue) else { return NEUTRAL };
        if self.chosen[2] == 0 { known.colour } else { SAFE[system_place(known.system) % SAFE.len()] }
    }

    /// Returns the profile's tissues in order, in groups with a heading where the order has groups.
    pub(super) fn groups(self, profile: &ProfileAnswer) -> Vec<(Option<&'static str>, Vec<&TissueAnswer>)> {
        let mut tissues: Vec<&TissueAnswer> = profile.tissues.iter().collect();
        let place = |one: &TissueAnswer| GTEX_V8.iter().position(|known| known.id == one.tissue).unwrap_or(usize::MAX);
        match self.order() {
            Order::Gtex => tissues.sort_by_key(|one| place(one)),
            Order::Value => {
                let quantity = Quantity::of(profile);
                let length = |one: &TissueAnswer| quantity.length(one).unwrap_or(f32::NEG_INFINITY);
                tissues.sort_by(|a, b| length(b).total_cmp(&length(a)));
            }
            Order::System => {
                tissues.sort_by_key(|one| (system_place(system(one)), place(one)));
                let groups = tissues.chunk_by(|a, b| system(a) == system(b));
                return groups.map(|group| (Some(system(group[0])), group.to_vec())).collect();
            }
        }
        vec![(None, tissues)]
    }
}

fn gtex(tissue: &str) -> Option<&'static GtexTissue> {
    Tissue::from_name(tissue).gtex()
}

fn system(one: &TissueAnswer) -> &'static str {
    gtex(&one.tissue).map_or("other", |known| known.system)
}

/// A body system's place among those of GTEx, in the order in which they come there first.
fn system_place(system: &str) -> usize {
    let mut seen: Vec<&str> = Vec::new();
    for known in &GTEX_V8 {
        if known.system == system {
            return seen.len();
        }
        if !seen.contains(&known.system) {
            seen.push(known.system);
        }
    }
    usize::MAX
}

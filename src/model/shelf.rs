//! Versions side by side: everything of one kind that is loaded, found by `name` or `name@version`.
//!
//! A name alone means the version that was set as its default, else the newest one that is there. Knows nothing of what
//! it holds but its name and version. Invariant: names in alphabetical order, the versions of each from old to new.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What has a name and a version.
pub trait Versioned {
    /// Returns the name.
    fn name(&self) -> &str;
    /// Returns the version.
    fn version(&self) -> &str;
    /// Returns `name@version`.
    fn label(&self) -> String {
        label(self.name(), self.version())
    }
}

impl<T: Versioned> Versioned for Arc<T> {
    fn name(&self) -> &str {
        self.as_ref().name()
    }

    fn version(&self) -> &str {
        self.as_ref().version()
    }
}

/// Returns `name@version`.
#[must_use]
pub fn label(name: &str, version: &str) -> String {
    format!("{name}@{version}")
}

/// Splits `name@version`; a name alone has no version.
#[must_use]
pub fn split_label(named: &str) -> (&str, Option<&str>) {
    named.split_once('@').map_or((named, None), |(name, version)| (name, Some(version)))
}

/// Returns the key that versions are sorted by, from old to new: numbers as numbers, other names as text before them.
#[must_use]
pub fn age(version: &str) -> (u64, &str) {
    (version.parse().unwrap_or(0), version)
}

/// Things by name and version.
#[derive(Debug, Clone)]
pub struct Shelf<T> {
    names: BTreeMap<String, Versions<T>>,
}

#[derive(Debug, Clone)]
struct Versions<T> {
    default: Option<String>,
    /// From old to new.
    items: Vec<(String, T)>,
}

impl<T> Versions<T> {
    fn of(&self, version: &str) -> Option<&(String, T)> {
        self.items.iter().find(|(own, _)| own == version)
    }

    fn default(&self) -> Option<&(String, T)> {
        match &self.default {
            Some(version) => self.of(version),
            None => self.items.last(),
        }
    }
}

/// One thing of a [`Shelf`].
#[derive(Debug, Clone, Copy)]
pub struct Shelved<'a, T> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Whether its name alone means it.
    pub is_default: bool,
    /// The thing itself.
    pub item: &'a T,
}

impl<T> Shelved<'_, T> {
    /// Returns `name@version`.
    #[must_use]
    pub fn label(&self) -> String {
        label(self.name, self.version)
    }
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { names: BTreeMap::new() }
    }
}

impl<T> Shelf<T> {
    /// Puts a thing under its name and version, in the place of the one that was there.
    pub fn insert(&mut self, name: &str, version: &str, item: T) {
        let empty = || Versions { default: None, items: Vec::new() };
        let items = &mut self.names.entry(name.to_owned()).or_insert_with(empty).items;
        items.retain(|(own, _)| own != version);
        let at = items.partition_point(|(own, _)| age(own) < age(version));
        items.insert(at, (version.to_owned(), item));
    }

    /// Sets the version that a name alone means; where the shelf does not have it, the name alone means nothing.
    pub fn set_default(&mut self, name: &str, version: &str) {
        if let Some(versions) = self.names.get_mut(name) {
            versions.default = Some(version.to_owned());
        }
    }

    /// Sets the defaults that were set on another shelf.
    pub fn set_defaults_of<U>(&mut self, other: &Shelf<U>) {
        for (name, versions) in &other.names {
            if let Some(version) = &versions.default {
                self.set_default(name, version);
            }
        }
    }

    /// Returns what a `name` or a `name@version` stands for, with what it is called.
    #[must_use]
    pub fn find(&self, named: &str) -> Option<Shelved<'_, T>> {
        let (name, version) = split_label(named);
        let (name, versions) = self.names.get_key_value(name)?;
        let default = versions.default();
        let (version, item) = match version {
            Some(version) => versions.of(version)?,
            None => default?,
        };
        let is_default = default.is_some_and(|(default, _)| default == version);
        Some(Shelved { name, version, is_default, item })
    }

    /// Returns what a `name` or a `name@version` stands for.
    #[must_use]
    pub fn get(&self, named: &str) -> Option<&T> {
        self.find(named).map(|found| found.item)
    }

    /// Returns whether any version of the name is there.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Returns the names.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.names.keys()
    }

    /// Returns every version of every name.
    pub fn iter(&self) -> impl Iterator<Item = Shelved<'_, T>> {
        self.names.iter().flat_map(|(name, versions)| {
            let default = versions.default().map(|(version, _)| version.as_str());
            versions.items.iter().map(move |(version, item)| Shelved {
                name,
                version,
                is_default: default == Some(version),
                item,
            })
        })
    }

    /// Returns what each name alone means.
    pub fn defaults(&self) -> impl Iterator<Item = &T> {
        self.names.values().filter_map(|versions| versions.default().map(|(_, item)| item))
    }

    /// Returns `name@version` of everything.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        self.iter().map(|one| one.label()).collect()
    }

    /// Returns how many things there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.values().map(|versions| versions.items.len()).sum()
    }

    /// Returns whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl<T: Versioned> FromIterator<T> for Shelf<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut shelf = Self::default();
        for item in items {
            let (name, version) = (item.name().to_owned(), item.version().to_owned());
            shelf.insert(&name, &version, item);
        }
        shelf
    }
}

#[cfg(test)]
mod tests;

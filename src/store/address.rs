//! Database addresses: what the user writes, what the driver gets, and what a message may show.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Kind, StoreError};

/// Returns an address as a message may show it: without password and without parameters.
///
/// ```
/// use tissuecast::store::redacted;
/// assert_eq!(redacted("postgres://lab:s3cr@t/x@db:5432/tissues?password=y"), "postgres://lab:***@db:5432/tissues?…");
/// assert_eq!(redacted("sqlite://data/t.sqlite"), "sqlite://data/t.sqlite");
/// ```
#[must_use]
pub fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let separator = if url.contains("://") { "://" } else { "" };
    if scheme == "sqlite" {
        return url.to_owned();
    }
    // The last @ ends the password, even where its own @, / or ? are not encoded.
    let (user, place) = match rest.rsplit_once('@') {
        Some((credentials, place)) => (credentials.split([':', '/', '?']).next(), place),
        None => (None, rest),
    };
    let hidden = if user.is_some_and(|user| !rest[user.len()..].starts_with('@')) { ":***" } else { "" };
    let (place, parameters) = place.split_once('?').map_or((place, ""), |(place, _)| (place, "?…"));
    let user = user.map(|user| format!("{user}{hidden}@")).unwrap_or_default();
    format!("{scheme}{separator}{user}{place}{parameters}")
}

/// Returns the kind of database, the address that the driver understands, and the SQLite file, whose folder it makes.
pub(super) fn resolve(url: &str) -> Result<(Kind, String, Option<PathBuf>), StoreError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok((Kind::Postgres, url.to_owned(), None));
    }
    let malformed = || StoreError::Address(redacted(url));
    // In memory, every connection of the pool would be a database of its own; parameters are the driver's business.
    let file = url.strip_prefix("sqlite://").filter(|file| !file.is_empty() && !file.contains([':', '?']));
    let file = file.ok_or_else(malformed)?;
    let path = std::path::absolute(file).map_err(|_| malformed())?;
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let text = path.to_str().ok_or_else(malformed)?;
    let mut address = "sqlite://".to_owned();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(address, "%{byte:02X}");
        }
    }
    address.push_str("?mode=rwc");
    Ok((Kind::Sqlite, address, Some(path)))
}

fn make_folder(folder: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(folder).map_err(|source| StoreError::Folder { folder: PathBuf::from(folder), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_an_address_shows_the_password() {
        let cases = [
            ("postgres://u:secret@h/d", "postgres://u:***@h/d"),
            ("postgres://u:sec:ret@h/d", "postgres://u:***@h/d"),
            ("postgres://u:sec/ret?x@h/d", "postgres://u:***@h/d"),
            ("postgres://u@h/d?password=secret", "postgres://u@h/d?…"),
            ("postgres://h/d?user=u&password=sec@ret", "postgres://h:***@ret"),
            ("postgresql://:secret@h", "postgresql://:***@h"),
            ("mysql://u:secret@h", "mysql://u:***@h"),
            ("u:secret@h", "u:***@h"),
        ];
        for (url, expected) in cases {
            assert_eq!(redacted(url), expected);
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        for url in
            ["", "sqlite://", "sqlite::memory:", "sqlite://:memory:", "sqlite://a?mode=ro", "mysql://x", "file.sqlite"]
        {
            assert!(matches!(resolve(url), Err(StoreError::Address(_))), "{url}");
        }
    }
}

//! The store over PostgreSQL or SQLite.

//! Rows in bulk: one statement with many rows, in chunks.

use std::fmt::Write as _;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe};

/// A statement with its values.
pub(super) type Insert<'q> = Query<'q, Any, AnyArguments>;

/// How many rows one statement carries: enough that the statements' own cost vanishes, and with at most 10 columns far
/// below what either database takes (65,535 and 32,766 values).
const ROWS: usize = 500;

/// A table's columns, and what follows the values.
#[derive(Debug, Clone, Copy)]
pub(super) struct InsertShape {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub conflict: &'static str,
}

impl InsertShape {
    /// Writes the statement for so many rows; its text depends on nothing that a user sent.
    fn statement(self, rows: usize) -> String {
        let width = self.columns.len();
        let mut sql = format!("INSERT INTO {} ({}) VALUES ", self.table, self.columns.join(", "));
        for row in 0..rows {
            sql.push_str(if row == 0 { "(" } else { ", (" });
            for column in 1..=width {
                let comma = if column == 1 { "" } else { ", " };
                // Writing to a String does not fail.
                let _ = write!(sql, "{comma}${}", row * width + column);
            }
            sql.push(')');
        }
        sql.push_str(self.conflict);
        sql
    }

    /// Inserts the items in chunks; `bind` gives a row's values in the order of the columns.
    pub(super) async fn insert<T>(
        self,
        connection: &mut AnyConnection,
        items: &[T],
        bind: impl for<'q> Fn(Insert<'q>, &T) -> Insert<'q>,
    ) -> Result<(), sqlx::Error> {
        let mut whole = None;
        for chunk in items.chunks(ROWS) {
            let sql = if chunk.len() == ROWS {
                whole.get_or_insert_with(|| self.statement(ROWS)).clone()
            } else {
                self.statement(chunk.len())
            };
            let query = chunk.iter().fold(sqlx::query(AssertSqlSafe(sql)), &bind);
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_through() {
        let shape = InsertShape { table: "t", columns: &["a", "b"], conflict: " ON CONFLICT DO NOTHING" };
        assert_eq!(shape.statement(2), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING");
    }
}

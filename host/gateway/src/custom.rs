//! Columns of the operator's own: a whole number for each orchestrator, under a name that a policy
//! asks for. What they mean is between the operator and the policy.
//!
//! **Invariant:** bounded by [`COLUMNS_MAX`] and the orchestrators that there may be.

use std::collections::BTreeMap;

use domain::id::OrchestratorId;

use crate::book::{ORCHESTRATORS_MAX, place};

/// Columns at once: each is a copy of numbers in every snapshot.
pub const COLUMNS_MAX: usize = 64;
/// Bytes of a column's name.
const COLUMN_NAME_BYTES_MAX: usize = 64;

/// Values by orchestrator: by its name, its URL, or host and port.
pub type Column = BTreeMap<String, i64>;

/// A column that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// Its name is none.
    #[error(
        "`{name}` is no name of a column (1 to {COLUMN_NAME_BYTES_MAX} of lower-case letters, digits, `-` and `_`)"
    )]
    Name {
        /// The name, cut to 80 characters.
        name: String,
    },
    /// It names too many orchestrators.
    #[error("column `{name}` has {found} values, over the limit of {ORCHESTRATORS_MAX}")]
    Long {
        /// Which.
        name: String,
        /// Its values.
        found: usize,
    },
    /// There are too many.
    #[error("{COLUMNS_MAX} columns are known already, which is the limit")]
    Full,
}

/// Every column, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns(BTreeMap<String, Column>);

impl Columns {
    /// Puts a column in the place of the one of this name.
    pub fn put(&mut self, name: &str, column: Column) -> Result<(), ColumnError> {
        let good =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if name.is_empty() || name.len() > COLUMN_NAME_BYTES_MAX || !name.bytes().all(good) {
            return Err(ColumnError::Name { name: name.chars().take(80).collect() });
        }
        if column.len() > ORCHESTRATORS_MAX {
            return Err(ColumnError::Long { name: name.to_owned(), found: column.len() });
        }
        if !self.0.contains_key(name) && self.0.len() >= COLUMNS_MAX {
            return Err(ColumnError::Full);
        }
        self.0.insert(name.to_owned(), column);
        Ok(())
    }

    /// Removes a column; `false`: there is none of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// Returns every column.
    pub const fn all(&self) -> &BTreeMap<String, Column> {
        &self.0
    }

    /// Returns what is said of one orchestrator, by column.
    pub(crate) fn of(&self, id: &OrchestratorId, uri: &str) -> Column {
        let values = self
            .0
            .iter()
            .filter_map(|(name, column)| Some((name.clone(), value(column, id, uri)?)));
        values.collect()
    }
}

/// Returns the value of an orchestrator in a column.
pub(crate) fn value(column: &Column, id: &OrchestratorId, uri: &str) -> Option<i64> {
    [id.0.as_str(), uri, uri.trim_end_matches('/'), place(uri)]
        .into_iter()
        .find_map(|name| column.get(name).copied())
}

#[cfg(test)]
#[test]
fn a_value_is_found_by_name_url_or_place_and_columns_are_bounded() {
    let mut columns = Columns::default();
    let column = |name: &str, value| Column::from([(name.to_owned(), value)]);
    columns.put("co2", column("wallet", 3)).unwrap();
    columns.put("tax", column("a:8935", -4)).unwrap();
    let id = OrchestratorId("wallet".to_owned());
    let of = columns.of(&id, "https://a:8935/");
    assert_eq!(of, Column::from([("co2".to_owned(), 3), ("tax".to_owned(), -4)]));
    assert_eq!(columns.of(&id, "https://b:1"), Column::from([("co2".to_owned(), 3)]));
    for bad in ["", "CO2", "a b", &"x".repeat(65)] {
        assert!(matches!(columns.put(bad, Column::new()), Err(ColumnError::Name { .. })), "{bad}");
    }
    for number in 2..COLUMNS_MAX {
        columns.put(&format!("c{number}"), Column::new()).unwrap();
    }
    assert_eq!(columns.put("more", Column::new()), Err(ColumnError::Full));
    assert!(columns.put("co2", Column::new()).is_ok() && columns.remove("co2"));
    assert!(!columns.remove("co2"));
}

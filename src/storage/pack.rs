//! The rows of a list as one value.
//!
//! `SQLite` runs on threads of its own, and each row crosses to ours by itself: it is copied column by
//! column, queued, and wakes the reader, which costs several times what finding it does. So a list
//! crosses as one text instead: `SQLite` writes the cells of all rows one after the other, and
//! they are read here. Postgres answers in one stream of bytes and has no use for it.
//!
//! An integer is its digits and a space. A text is its length in bytes, a colon, and itself, so that
//! nothing in it needs escaping. Bytes are a text of hexadecimal digits. What is absent has no digits.

use super::error::StoreError;

/// How the cells of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Int,
    Text,
    Bytes,
}

/// The columns of a row with their forms.
pub(super) type Columns = Vec<(&'static str, Form)>;

/// What can be read from packed cells: one of them, or a row of them.
pub(super) trait Packed: Sized {
    /// Adds its columns; `name` is that of a single one.
    fn columns(name: &'static str, columns: &mut Columns);

    /// Reads it from the cells that come next.
    ///
    /// # Errors
    /// If they are not what they should be, which no packed row is.
    fn read(cells: &mut Cells<'_>) -> Result<Self, StoreError>;
}

/// Defines a row of a statement that both drivers can read, packed or not. The columns of the statement
/// have the names of its fields.
macro_rules! packed_row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(sqlx::FromRow)]
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type,)* }

        impl $crate::storage::pack::Packed for $name {
            fn columns(_name: &'static str, columns: &mut $crate::storage::pack::Columns) {
                $(<$type as $crate::storage::pack::Packed>::columns(stringify!($field), columns);)*
            }

            fn read(cells: &mut $crate::storage::pack::Cells<'_>) -> Result<Self, $crate::storage::StoreError> {
                Ok(Self { $($field: $crate::storage::pack::Packed::read(cells)?,)* })
            }
        }
    };
}
pub(super) use packed_row;

/// The text of a statement that answers the rows of `text` as one packed value. Their order is kept:
/// `SQLite` hands rows to this aggregate as the inner statement brings them.
pub(super) fn packing(text: &str, columns: &Columns) -> String {
    let cell = |(name, form): &(&'static str, Form)| match form {
        Form::Int => format!("{name}, ' '"),
        Form::Text => format!("octet_length({name}), ':', {name}"),
        Form::Bytes => format!("2 * octet_length({name}), ':', hex({name})"),
    };
    let cells: Vec<String> = columns.iter().map(cell).collect();
    format!("SELECT string_agg(concat({}), '') FROM ({text})", cells.join(", "))
}

/// The rows of a packed value.
pub(super) fn unpack<T: Packed>(text: &str) -> Result<Vec<T>, StoreError> {
    let mut cells = Cells(text);
    let mut rows = Vec::new();
    while !cells.0.is_empty() {
        rows.push(T::read(&mut cells)?);
    }
    Ok(rows)
}

/// Packed cells that are still to be read.
pub(super) struct Cells<'a>(&'a str);

impl<'a> Cells<'a> {
    /// The number before the next `end`.
    fn number(&mut self, end: char) -> Result<Option<i64>, StoreError> {
        let (digits, rest) = self.0.split_once(end).ok_or_else(corrupt)?;
        self.0 = rest;
        if digits.is_empty() {
            return Ok(None);
        }
        digits.parse().map(Some).map_err(|_| corrupt())
    }

    fn text(&mut self) -> Result<Option<&'a str>, StoreError> {
        let Some(length) = self.number(':')? else { return Ok(None) };
        let length = usize::try_from(length).map_err(|_| corrupt())?;
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(corrupt)?;
        self.0 = rest;
        Ok(Some(text))
    }
}

fn corrupt() -> StoreError {
    StoreError::Corrupt("a packed row does not unpack".to_owned())
}

fn bytes(text: &str) -> Result<Vec<u8>, StoreError> {
    hex::decode(text).map_err(|_| corrupt())
}

/// The cells of a type, which may be absent or may not.
macro_rules! cell {
    ($type:ty, $form:ident, $read:expr) => {
        impl Packed for Option<$type> {
            fn columns(name: &'static str, columns: &mut Columns) {
                columns.push((name, Form::$form));
            }

            fn read(cells: &mut Cells<'_>) -> Result<Self, StoreError> {
                $read(cells)
            }
        }

        impl Packed for $type {
            fn columns(name: &'static str, columns: &mut Columns) {
                columns.push((name, Form::$form));
            }

            fn read(cells: &mut Cells<'_>) -> Result<Self, StoreError> {
                $read(cells)?.ok_or_else(corrupt)
            }
        }
    };
}

cell!(i64, Int, |cells: &mut Cells<'_>| cells.number(' '));
cell!(String, Text, |cells: &mut Cells<'_>| Ok::<_, StoreError>(cells.text()?.map(ToOwned::to_owned)));
cell!(Vec<u8>, Bytes, |cells: &mut Cells<'_>| cells.text()?.map(bytes).transpose());

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection as _};

    use super::*;

    packed_row! {
        #[derive(Debug, PartialEq)]
        struct Inner {
            d: Vec<u8>,
            e: Option<Vec<u8>>,
        }
    }

    packed_row! {
        #[derive(Debug, PartialEq)]
        struct Outer {
            a: i64,
            b: Option<i64>,
            c: String,
            #[sqlx(flatten)]
            inner: Inner,
            f: Option<String>,
        }
    }

    async fn rows(text: &str) -> Vec<Outer> {
        let mut columns = Columns::new();
        Outer::columns("", &mut columns);
        let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let packed = packing(text, &columns);
        let packed: Option<String> =
            sqlx::query_scalar(AssertSqlSafe(packed)).fetch_one(&mut connection).await.unwrap();
        unpack(packed.as_deref().unwrap_or_default()).unwrap()
    }

    #[tokio::test]
    async fn rows_are_the_same_after_packing_whatever_they_hold() {
        let text = "SELECT column1 AS a, column2 AS b, column3 AS c, column4 AS d, column5 AS e, column6 AS f FROM (VALUES \
             (9223372036854775807, NULL, 'x', x'00ff', NULL, NULL), \
             (-9223372036854775807 - 1, 0, '', x'', x'0a', ''), \
             (7, -1, '12:ä 3:' || char(10), x'61', x'', '\" '))";
        let row = |a, b, c: &str, d: &[u8], e: Option<&[u8]>, f: Option<&str>| Outer {
            a,
            b,
            c: c.to_owned(),
            inner: Inner { d: d.to_owned(), e: e.map(ToOwned::to_owned) },
            f: f.map(ToOwned::to_owned),
        };
        let expected = [
            row(i64::MAX, None, "x", &[0, 255], None, None),
            row(i64::MIN, Some(0), "", &[], Some(&[10]), Some("")),
            row(7, Some(-1), "12:ä 3:\n", &[0x61], Some(&[]), Some("\" ")),
        ];
        assert_eq!(rows(text).await, expected);
        assert_eq!(rows(&format!("{text} WHERE column1 = 1")).await, []);
    }

    #[tokio::test]
    async fn rows_keep_the_order_of_the_statement() {
        let text = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 500) \
             SELECT i AS a, NULL AS b, '' AS c, x'' AS d, NULL AS e, NULL AS f FROM r ORDER BY i * 7919 % 501 DESC LIMIT 400";
        let order = |i: i64| std::cmp::Reverse(i * 7919 % 501);
        let found: Vec<i64> = rows(text).await.iter().map(|row| row.a).collect();
        assert_eq!(found.len(), 400);
        assert!(found.is_sorted_by_key(|i| order(*i)));
    }

    #[test]
    fn what_is_no_packed_row_is_an_error_and_never_a_shorter_list() {
        for text in ["7", "7 1", "x 1 ", "7 1 5:abc", "7 1 -1:", "7 1 1:ä", "7 1 :"] {
            assert!(unpack::<Outer>(text).is_err(), "{text}");
        }
    }
}

//! Pages of lists: a bounded number of items and an opaque cursor to the next ones.
//!
//! A cursor is the sort key of the last item, so a page never shifts when rows are added. It carries no right: every query
//! names its tenant and visibility again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The most items of one page.
pub const MAX_LIMIT: u32 = 200;
/// The items of one step of an export.
pub const EXPORT_LIMIT: u32 = 5_000;
/// The items of a page when the request does not say.
pub const DEFAULT_LIMIT: u32 = 50;
/// The longest cursor that is looked at, in bytes.
const MAX_CURSOR: usize = 1_024;

/// Items and the way to the next ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

/// What a list request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    limit: u32,
    cursor: Option<String>,
}

/// A cursor that this system did not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one of this list")]
pub struct InvalidCursor;

/// Why a list can't be read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The request's cursor is wrong.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The database refused.
    #[error("the read model can't be queried")]
    Database(#[from] sqlx::Error),
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, cursor: None }
    }
}

impl PageRequest {
    /// A request for `limit` items after `cursor`; the limit is kept within 1 and [`MAX_LIMIT`].
    #[must_use]
    pub fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit: limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT), cursor }
    }

    /// A request of an export, which fetches page after page by itself: [`EXPORT_LIMIT`] items.
    #[must_use]
    pub fn export(cursor: Option<String>) -> Self {
        Self { limit: EXPORT_LIMIT, cursor }
    }

    /// How many items to answer at most.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How many rows to ask the database for: one more, which tells whether there is a next page.
    #[must_use]
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The sort key to go on after; `None` on the first page.
    ///
    /// # Errors
    /// [`InvalidCursor`] if the cursor is not one of this list.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, InvalidCursor> {
        self.cursor.as_deref().map(decode_cursor).transpose()
    }

    /// The page of the rows that [`PageRequest::fetch`] asked for.
    #[must_use]
    pub fn page<T, K: Serialize>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Page<T> {
        let limit = self.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(|last| encode_cursor(&key(last))) } else { None };
        Page { items: rows, next_cursor }
    }
}

/// The cursor that continues after the sort key `key`.
#[must_use]
pub fn encode_cursor<K: Serialize>(key: &K) -> String {
    // A sort key is made of numbers, texts and times; writing it to memory as JSON can't fail.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// The sort key in a cursor.
///
/// # Errors
/// [`InvalidCursor`] if it has another shape.
pub fn decode_cursor<K: DeserializeOwned>(cursor: &str) -> Result<K, InvalidCursor> {
    if cursor.len() > MAX_CURSOR {
        return Err(InvalidCursor);
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
    serde_json::from_slice(&bytes).map_err(|_| InvalidCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_where_the_next_begins() {
        let request = PageRequest::new(Some(2), None);
        assert_eq!(request.fetch(), 3);
        let page = request.page(vec![1, 2, 3], |n| *n);
        assert_eq!(page.items, [1, 2]);
        let next = PageRequest::new(Some(2), page.next_cursor);
        assert_eq!(next.after::<i64>(), Ok(Some(2)));
        assert_eq!(next.page(vec![3], |n| *n).next_cursor, None);
    }

    #[test]
    fn foreign_cursors_are_refused() {
        for cursor in ["", "x", "%%%", &encode_cursor(&"text"), &"A".repeat(2_000)] {
            assert_eq!(decode_cursor::<(i64, i64)>(cursor), Err(InvalidCursor), "{cursor}");
        }
    }

    #[test]
    fn limits_are_kept_within_bounds() {
        assert_eq!(PageRequest::new(Some(0), None).limit(), 1);
        assert_eq!(PageRequest::new(Some(u32::MAX), None).limit(), MAX_LIMIT);
    }
}

//! Pages of lists, by key and never by offset: a page costs the same wherever it is.

/// Which page of a list to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Page<K> {
    /// How many rows at most.
    pub limit: usize,
    /// Against the order of the list, from its end.
    pub backward: bool,
    /// The row that the page follows (or, backwards, precedes); `None` for the first page.
    pub from: Option<K>,
}

impl<K> Page<K> {
    /// The first rows of a list.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { limit, backward: false, from: None }
    }

    /// The same page by another form of its key.
    pub fn map<L>(self, key: impl FnOnce(K) -> L) -> Page<L> {
        Page { limit: self.limit, backward: self.backward, from: self.from.map(key) }
    }

    /// The numbers of pages by their size and direction: those that one statement can read.
    #[must_use]
    pub fn alike<'a>(pages: impl IntoIterator<Item = &'a Self>) -> Vec<(Page<()>, Vec<usize>)>
    where
        K: 'a,
    {
        let mut groups: Vec<(Page<()>, Vec<usize>)> = Vec::new();
        for (i, page) in pages.into_iter().enumerate() {
            let form = Page { limit: page.limit, backward: page.backward, from: None };
            match groups.iter_mut().find(|(known, _)| *known == form) {
                Some((_, members)) => members.push(i),
                None => groups.push((form, vec![i])),
            }
        }
        groups
    }

    /// How many rows to fetch: one more than the page has tells whether more follow.
    #[must_use]
    pub fn fetch(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX - 1) + 1
    }

    /// The page, of rows that were fetched in its direction.
    #[must_use]
    pub fn rows<T>(&self, mut fetched: Vec<T>) -> Rows<T> {
        let more = fetched.len() > self.limit;
        fetched.truncate(self.limit);
        if self.backward {
            fetched.reverse();
        }
        Rows { rows: fetched, more }
    }

    /// The page of a list that is at hand, in its order.
    pub fn of<T, O: Ord>(&self, all: Vec<T>, order: impl Fn(&T) -> O, from: impl Fn(&K) -> O) -> Rows<T> {
        let bound = self.from.as_ref().map(from);
        let is_beyond = |row: &T| {
            let order = order(row);
            bound.as_ref().is_none_or(|bound| if self.backward { order < *bound } else { order > *bound })
        };
        let mut rows: Vec<T> = all.into_iter().filter(is_beyond).collect();
        if self.backward {
            rows.reverse();
        }
        self.rows(rows)
    }
}

/// One page of a list, in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// More rows follow in the direction that was read.
    pub more: bool,
}

impl<T> Rows<T> {
    /// No rows.
    #[must_use]
    pub fn none() -> Self {
        Self { rows: Vec::new(), more: false }
    }

    /// The same page of other rows.
    pub fn map<U>(self, row: impl FnMut(T) -> U) -> Rows<U> {
        Rows { rows: self.rows.into_iter().map(row).collect(), more: self.more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_beyond_the_limit_says_that_more_follow() {
        let page: Page<i32> = Page::first(2);
        assert_eq!(page.fetch(), 3);
        assert_eq!(page.rows(vec![1, 2, 3]), Rows { rows: vec![1, 2], more: true });
        assert_eq!(page.rows(vec![1, 2]), Rows { rows: vec![1, 2], more: false });
    }

    #[test]
    fn a_page_from_the_end_is_in_the_order_of_the_list() {
        let page: Page<i32> = Page { limit: 2, backward: true, from: None };
        assert_eq!(page.rows(vec![9, 8, 7]), Rows { rows: vec![8, 9], more: true });
    }

    #[test]
    fn pages_of_a_list_at_hand_concatenate_to_it_both_ways() {
        let all: Vec<i32> = (0..7).collect();
        for backward in [false, true] {
            let mut page = Page { limit: 3, backward, from: None };
            let mut parts = Vec::new();
            loop {
                let rows = page.of(all.clone(), |row| *row, |key| *key);
                page.from = if backward { rows.rows.first() } else { rows.rows.last() }.copied();
                parts.push(rows.rows);
                if !rows.more {
                    break;
                }
            }
            if backward {
                parts.reverse();
            }
            assert_eq!(parts.concat(), all);
        }
    }
}

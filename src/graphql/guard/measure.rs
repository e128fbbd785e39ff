//! Measures a parsed document as if its fragments were expanded, each fragment once.

use std::cell::Cell;
use std::collections::HashMap;

use async_graphql::parser::types::{
    Directive, ExecutableDocument, Field, FragmentSpread, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Number, Positioned, Variables};
use async_graphql_value::{ConstValue, Value};

use super::GuardError;
use crate::graphql::limits::GuardLimits;

/// The size of a selection set with everything below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Fields, spreads and inline fragments.
    pub selections: u64,
    /// Fields on the longest way down.
    pub depth: u64,
    /// Fields at the top.
    pub fields: u64,
    /// Fields multiplied by page sizes.
    pub cost: u64,
    /// Levels of any selection on the longest way down.
    levels: usize,
    /// Whether the top has the parts of a connection.
    paged: bool,
}

enum Fragment {
    Open,
    Measured(Size),
}

/// Measures selections on behalf of one operation, whose variables decide page sizes.
pub struct Meter<'a> {
    document: &'a ExecutableDocument,
    limits: &'a GuardLimits,
    variables: &'a Variables,
    operation: Option<&'a OperationDefinition>,
    fragments: HashMap<&'a str, Fragment>,
    /// Selections looked at; grows with the text, not with its expansion.
    pub visited: u64,
    /// Whether a variable was looked at.
    asked: Cell<bool>,
}

impl<'a> Meter<'a> {
    /// A meter for the fragments of `document` and, if there is one, an operation of it.
    pub fn new(
        document: &'a ExecutableDocument,
        limits: &'a GuardLimits,
        variables: &'a Variables,
        operation: Option<&'a OperationDefinition>,
    ) -> Self {
        Self { document, limits, variables, operation, fragments: HashMap::new(), visited: 0, asked: Cell::new(false) }
    }

    /// Whether what was measured depends on variables.
    pub fn is_asked(&self) -> bool {
        self.asked.get()
    }

    /// The size of `set`, which stands `level` levels below its root.
    ///
    /// # Errors
    /// A fragment that contains itself, or more levels than the limit. Both bound the recursion.
    pub fn set(&mut self, set: &'a SelectionSet, level: usize) -> Result<Size, GuardError> {
        self.check_level(level)?;
        let mut size = Size::default();
        for selection in &set.items {
            self.visited += 1;
            let part = self.selection(&selection.node, level)?;
            size = beside(size, part);
        }
        Ok(size)
    }

    /// The size of the fragment called `name`; nothing when there is none.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn fragment(&mut self, name: &'a str, level: usize) -> Result<Size, GuardError> {
        match self.fragments.get(name) {
            Some(Fragment::Open) => return Err(GuardError::cycle(name)),
            Some(Fragment::Measured(size)) => {
                let size = *size;
                self.check_level(level + size.levels)?;
                return Ok(size);
            }
            None => {}
        }
        // An unknown fragment is left to validation, whose message names it.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Size::default());
        };
        self.fragments.insert(name, Fragment::Open);
        let size = self.set(&fragment.node.selection_set.node, level)?;
        self.fragments.insert(name, Fragment::Measured(size));
        Ok(size)
    }

    fn check_level(&self, level: usize) -> Result<(), GuardError> {
        if level > self.limits.nesting {
            return Err(GuardError::too_deep("levels", self.limits.nesting as u64));
        }
        Ok(())
    }

    fn selection(&mut self, selection: &'a Selection, level: usize) -> Result<Size, GuardError> {
        match selection {
            Selection::Field(field) => self.field(&field.node, level),
            Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, level + 1).map(inlined),
            Selection::FragmentSpread(spread) => self.fragment(spread_name(&spread.node), level + 1).map(inlined),
        }
    }

    fn field(&mut self, field: &'a Field, level: usize) -> Result<Size, GuardError> {
        let below = self.set(&field.selection_set.node, level + 1)?;
        let page = self.page(field, below.paged);
        Ok(Size {
            selections: below.selections.saturating_add(1),
            depth: below.depth + 1,
            fields: 1,
            cost: below.cost.saturating_mul(page).saturating_add(1),
            levels: below.levels + 1,
            paged: is_page_part(field),
        })
    }

    /// How many objects `field` may answer: at least one, whatever a client wrote.
    fn page(&self, field: &Field, paged: bool) -> u64 {
        self.asked_page(field)
            .or_else(|| paged.then_some(self.limits.default_page))
            .or_else(|| self.field_page(field))
            .unwrap_or(1)
            .max(1)
    }

    fn asked_page(&self, field: &Field) -> Option<u64> {
        let pages = self.limits.page_arguments.iter().filter_map(|name| {
            let argument = field.get_argument(name)?;
            let size = self.value(&argument.node);
            Some(size.unwrap_or(self.limits.default_page))
        });
        let lists = self.limits.list_arguments.iter().filter_map(|name| {
            let argument = field.get_argument(name)?;
            self.length(&argument.node)
        });
        pages.chain(lists).max()
    }

    fn field_page(&self, field: &Field) -> Option<u64> {
        let pages = self.limits.field_pages.iter();
        let mut named = pages.filter(|(name, _)| *name == field.name.node.as_str());
        named.next().map(|(_, page)| *page)
    }

    fn length(&self, argument: &Value) -> Option<u64> {
        match argument {
            Value::List(items) => u64::try_from(items.len()).ok(),
            Value::Variable(name) => match self.variable(name)? {
                ConstValue::List(items) => u64::try_from(items.len()).ok(),
                _ => None,
            },
            _ => None,
        }
    }

    fn value(&self, argument: &Value) -> Option<u64> {
        match argument {
            Value::Variable(name) => match self.variable(name)? {
                ConstValue::Number(number) => count(number),
                _ => None,
            },
            Value::Number(number) => count(number),
            _ => None,
        }
    }

    fn variable(&self, name: &Name) -> Option<&'a ConstValue> {
        self.asked.set(true);
        let default = || {
            let definitions = &self.operation?.variable_definitions;
            let mut named = definitions.iter().filter(|it| it.node.name.node == *name);
            named.next()?.node.default_value()
        };
        self.variables.get(name).or_else(default)
    }
}

/// A page size as a count; negative ones, which the resolver refuses, count as none.
fn count(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| number.as_i64().map(|_negative| 0))
}

fn beside(left: Size, right: Size) -> Size {
    Size {
        selections: left.selections.saturating_add(right.selections),
        depth: left.depth.max(right.depth),
        fields: left.fields.saturating_add(right.fields),
        cost: left.cost.saturating_add(right.cost),
        levels: left.levels.max(right.levels),
        paged: left.paged || right.paged,
    }
}

fn inlined(inner: Size) -> Size {
    Size { selections: inner.selections.saturating_add(1), levels: inner.levels + 1, ..inner }
}

/// `edges` and `nodes` make their parent a connection; `nodes(ids:)` is a look-up, not a page.
fn is_page_part(field: &Field) -> bool {
    let name = field.name.node.as_str();
    matches!(name, "edges" | "nodes") && field.arguments.is_empty()
}

fn spread_name(spread: &FragmentSpread) -> &str {
    spread.fragment_name.node.as_str()
}

/// What a document's text holds, fragments not expanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Fields with an alias.
    pub aliases: usize,
    /// Directives of any place.
    pub directives: usize,
}

impl Tally {
    /// Counts the whole document. Recursion is bounded by the brackets of its text.
    pub fn of(document: &ExecutableDocument) -> Self {
        let mut tally = Self::default();
        for (_, operation) in document.operations.iter() {
            tally.directives(&operation.node.directives);
            for variable in &operation.node.variable_definitions {
                tally.directives(&variable.node.directives);
            }
            tally.set(&operation.node.selection_set.node);
        }
        for fragment in document.fragments.values() {
            tally.directives(&fragment.node.directives);
            tally.set(&fragment.node.selection_set.node);
        }
        tally
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) {
        self.directives += directives.len();
    }

    fn set(&mut self, set: &SelectionSet) {
        for selection in &set.items {
            self.directives(selection.node.directives());
            match &selection.node {
                Selection::Field(field) => {
                    self.aliases += usize::from(field.node.alias.is_some());
                    self.set(&field.node.selection_set.node);
                }
                Selection::InlineFragment(inline) => {
                    self.set(&inline.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }
}

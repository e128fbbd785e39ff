//! What one GraphQL document may ask for.

use async_graphql::SchemaBuilder;

/// The limits of [`crate::graphql::guard::check`]. Every one is inclusive.
#[derive(Clone, Debug)]
pub struct GuardLimits {
    /// Bytes of query text: bounds the work of everything that follows.
    pub query_bytes: usize,
    /// Lexical tokens: the parser builds a node for each.
    pub tokens: usize,
    /// Open brackets in the text, and levels after fragments are expanded: parser and validator
    /// recurse once a level, and a worker's stack is small.
    pub nesting: usize,
    /// Selections after every fragment is expanded: the validator visits each.
    pub selections: u64,
    /// Fields above one another after expansion, the leaf included.
    pub depth: u64,
    /// Aliases in the text: they make one field run many times.
    pub aliases: usize,
    /// Fields of an operation's root after expansion: each is a query of its own.
    pub root_fields: u64,
    /// Directives in the text, wherever they stand: each may yield a validation error.
    pub directives: usize,
    /// Fields multiplied by the page sizes above them.
    pub cost: u64,
    /// The page size a connection uses when the query names none.
    pub default_page: u64,
    /// Arguments that hold a page size.
    pub page_arguments: &'static [&'static str],
    /// Arguments whose list length is the number of objects answered.
    pub list_arguments: &'static [&'static str],
    /// Page sizes of fields that answer many objects without being shaped as a connection.
    pub field_pages: &'static [(&'static str, u64)],
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self {
            query_bytes: 32 * 1024,
            tokens: 2_000,
            nesting: 32,
            selections: 5_000,
            depth: 15,
            aliases: 30,
            root_fields: 10,
            directives: 20,
            cost: 10_000,
            default_page: 20,
            page_arguments: &["first", "last", "limit"],
            list_arguments: &["ids"],
            // Buckets come of one statement, so that a thousand cost what a page of records does.
            // A batch of a stream is a page; the entries of logs are in memory as they are.
            field_pages: &[
                ("operationStats", 100),
                ("lineage", 500),
                ("lineagePaths", 10),
                ("recordChanges", 100),
                ("findingRaised", 100),
                ("approvalRequested", 100),
            ],
        }
    }
}

impl GuardLimits {
    /// Gives a schema the settings that belong to these limits.
    ///
    /// Suggestions ("did you mean …") spell out a schema to those who may not introspect it, so
    /// a production server turns them off.
    #[must_use]
    pub fn harden<Q, M, S>(&self, builder: SchemaBuilder<Q, M, S>, suggestions: bool) -> SchemaBuilder<Q, M, S> {
        let builder = builder.limit_recursive_depth(self.nesting);
        if suggestions { builder } else { builder.disable_suggestions() }
    }
}

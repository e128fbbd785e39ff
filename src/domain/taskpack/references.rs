//! What an expression reads, found without evaluating it.

use std::collections::BTreeSet;

use super::syntax::Node;

/// What an expression reads of its context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// The names that it begins with: `inputs`, `steps`, `item`, ….
    pub roots: BTreeSet<String>,
    /// The inputs that it names.
    pub inputs: BTreeSet<String>,
    /// The steps that it names.
    pub steps: BTreeSet<String>,
    /// The secrets that it names.
    pub secrets: BTreeSet<String>,
    /// Whether it reads the context as a whole, so that what it reads cannot be told.
    pub whole: bool,
    /// Whether it reads the steps, or what is known of a step, other than by `steps.<id>.outputs`.
    pub vague_steps: bool,
}

/// What the expression reads.
pub(super) fn of(node: &Node) -> References {
    let mut found = References::default();
    found.visit(node);
    found
}

impl References {
    /// Looks at a part that is evaluated on the context itself.
    fn visit(&mut self, node: &Node) {
        let path = path(node);
        if !path.is_empty() {
            self.note(&path);
        }
        match node {
            Node::Current => self.whole = true,
            Node::Field(_) | Node::Index(_) | Node::Slice { .. } | Node::Literal(_) => {}
            Node::List(parts) => parts.iter().for_each(|part| self.visit(part)),
            Node::Hash(parts) => parts.iter().for_each(|(_, part)| self.visit(part)),
            // An applied expression reads the elements, not the context.
            Node::Call(_, parts) => {
                parts.iter().filter(|part| !matches!(part, Node::Applied(_))).for_each(|part| self.visit(part));
            }
            Node::Not(part) | Node::Values(part) | Node::Flatten(part) | Node::Applied(part) => self.visit(part),
            Node::And(a, b) | Node::Or(a, b) | Node::Compare(_, a, b) | Node::Where(a, b) => {
                self.visit(a);
                self.visit(b);
            }
            Node::Then(a, b) if is_current(a) => self.visit(b),
            // A path was noted as a whole; what follows a value reads that value.
            Node::Then(..) if !path.is_empty() => {}
            Node::Then(a, _) | Node::Project(a, _) => self.visit(a),
        }
    }

    fn note(&mut self, path: &[&str]) {
        let root = path[0];
        self.roots.insert(root.to_owned());
        let name = path.get(1).map(|name| (*name).to_owned());
        match root {
            "inputs" => self.inputs.extend(name),
            "secrets" => self.secrets.extend(name),
            "steps" => {
                self.vague_steps |= path.get(2).is_none_or(|part| *part != "outputs");
                self.steps.extend(name);
            }
            _ => {}
        }
    }
}

/// The names of a part such as `a.b.c`, as far as they go; empty for other parts.
fn path(node: &Node) -> Vec<&str> {
    let mut chain = Vec::new();
    follow(node, &mut chain);
    chain.into_iter().map_while(|name| name).collect()
}

/// The names of an expression that is nothing else.
pub(super) fn names(node: &Node) -> Option<Vec<&str>> {
    let mut chain = Vec::new();
    follow(node, &mut chain);
    let names: Option<Vec<&str>> = chain.into_iter().collect();
    names.filter(|names| !names.is_empty())
}

/// Follows the parts of a chain in the order in which they are evaluated: the name of a member, or
/// none for everything else.
fn follow<'n>(node: &'n Node, chain: &mut Vec<Option<&'n str>>) {
    match node {
        Node::Current => {}
        Node::Field(name) => chain.push(Some(name)),
        Node::Then(left, right) => {
            follow(left, chain);
            follow(right, chain);
        }
        Node::Project(left, _) | Node::Values(left) | Node::Flatten(left) => {
            follow(left, chain);
            chain.push(None);
        }
        _ => chain.push(None),
    }
}

/// Whether a part is what it is evaluated on.
fn is_current(node: &Node) -> bool {
    match node {
        Node::Current => true,
        Node::Then(left, right) => is_current(left) && is_current(right),
        _ => false,
    }
}

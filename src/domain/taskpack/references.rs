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
            Node::Then(a, b) if **a == Node::Current => self.visit(b),
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
    match node {
        Node::Field(name) => vec![name],
        Node::Then(left, right) if **left == Node::Current => path(right),
        Node::Then(left, right) => {
            let mut names = path(left);
            let is_whole = is_path(left);
            if let (true, Node::Field(name)) = (is_whole && !names.is_empty(), &**right) {
                names.push(name);
            }
            names
        }
        _ => Vec::new(),
    }
}

/// Whether a part is names and nothing else.
fn is_path(node: &Node) -> bool {
    match node {
        Node::Field(_) => true,
        Node::Then(left, right) => (**left == Node::Current || is_path(left)) && is_path(right),
        _ => false,
    }
}

/// The names of an expression that is nothing else.
pub(super) fn names(node: &Node) -> Option<Vec<&str>> {
    is_path(node).then(|| path(node))
}

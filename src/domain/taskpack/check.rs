//! Checks what the parts of a manifest say of each other: expressions, gates, hosts.

use std::collections::HashSet;

use serde_json::Value;

use super::errors::Errors;
use super::expression::{Expression, ExpressionError};
use super::fields::{element, member};
use super::hosts;
use super::manifest::Manifest;
use super::order::{Relation, StepTable};
use super::plan::{LoopItems, OutputSource, SandboxMode};
use super::references::References;
use super::step::{KindDecl, Names, StepDecl};
use super::template::{self, Piece};

/// Checks all of it.
pub(super) fn check(manifest: &Manifest, errors: &mut Errors) {
    let table = StepTable::of(&manifest.steps, errors);
    let inputs = manifest.inputs.iter().map(|input| input.name.as_str()).collect();
    let secrets = manifest.secrets.iter().map(|secret| secret.name.as_str()).collect();
    let mut checker = Checker { manifest, table, inputs, secrets, iterators: Vec::new(), errors };
    checker.steps(&manifest.steps);
    for (path, approval) in &manifest.approvals {
        if let Some(text) = &approval.reason_template {
            checker.template(&member(path, "reasonTemplate"), text, Place::Approval);
        }
    }
    for (path, output) in &manifest.outputs {
        match &output.source {
            OutputSource::File(text) => checker.template(&member(path, "path"), text, Place::Output),
            OutputSource::Object(text) => checker.expression(&member(path, "expression"), text, Place::Output),
        }
    }
}

/// Where an expression stands.
#[derive(Clone, Copy)]
enum Place<'m> {
    /// In a step.
    Step(&'m str),
    /// In the parameters of a step, where secrets may be named.
    With(&'m str),
    /// In the items of a map, which must be known when the run is planned.
    Items,
    /// In an approval, which knows only the inputs.
    Approval,
    /// In an output, which knows all steps.
    Output,
}

/// The name of an item or of its number, and whether it is known when the run is planned.
struct Iterator<'m> {
    name: &'m str,
    is_planned: bool,
}

struct Checker<'m, 'e> {
    manifest: &'m Manifest,
    table: StepTable<'m>,
    inputs: HashSet<&'m str>,
    secrets: HashSet<&'m str>,
    /// Those of the containers around.
    iterators: Vec<Iterator<'m>>,
    errors: &'e mut Errors,
}

impl<'m> Checker<'m, '_> {
    fn steps(&mut self, steps: &'m [StepDecl]) {
        for step in steps {
            if self.errors.is_full() {
                return;
            }
            if let Some(when) = &step.when {
                self.expression(&member(&step.path, "when"), when, Place::Step(&step.id));
            }
            self.kind(step);
        }
    }

    fn kind(&mut self, step: &'m StepDecl) {
        let (path, place) = (&step.path, Place::Step(&step.id));
        match &step.kind {
            KindDecl::Run { with, egress, .. } => {
                self.templates(&format!("{path}.run.with"), with, Place::With(&step.id));
                self.egress(egress);
            }
            KindDecl::GateApproval { approval_id, message } => {
                if self.manifest.knows_approvals
                    && !approval_id.is_empty()
                    && !self.manifest.approval_ids.contains(approval_id)
                {
                    let message = format!("unknown approval '{approval_id}'");
                    self.errors.add(format!("{path}.gate.approval.id"), message);
                }
                self.message(&format!("{path}.gate.approval.message"), message.as_deref(), place);
            }
            KindDecl::GatePolicy(policy) => {
                self.message(&format!("{path}.gate.policy.message"), policy.message.as_deref(), place);
            }
            KindDecl::Parallel { steps, .. } => self.steps(steps),
            KindDecl::Map { items, names, step: steps, .. } => {
                self.items(&format!("{path}.map.items"), items);
                self.iterated(&format!("{path}.map"), names, true, steps);
            }
            KindDecl::Loop(decl) => {
                let items = format!("{path}.loop.items");
                match &decl.items {
                    Some(LoopItems::Expression(text)) => self.expression(&member(&items, "expression"), text, place),
                    Some(LoopItems::Static(values)) => {
                        for (index, value) in values.iter().enumerate() {
                            self.templates(&element(&format!("{items}.static"), index), value, place);
                        }
                    }
                    Some(LoopItems::Range { .. }) | None => {}
                }
                self.iterated(&format!("{path}.loop"), &decl.names, false, &decl.body);
            }
            KindDecl::Conditional { branches, otherwise, .. } => {
                for branch in branches {
                    if !branch.condition.is_empty() {
                        self.expression(&member(&branch.path, "condition"), &branch.condition, place);
                    }
                    self.steps(&branch.steps);
                }
                self.steps(otherwise);
            }
            KindDecl::Broken => {}
        }
    }

    /// Checks the steps of a map or a loop, which know its iterators.
    fn iterated(&mut self, path: &str, names: &'m Names, is_planned: bool, steps: &'m [StepDecl]) {
        for (field, name) in [("iterator", &names.iterator), ("index", &names.index)] {
            if self.iterators.iter().any(|iterator| iterator.name == name) {
                let message = format!("'{name}' is the name of an enclosing iterator: give this one another");
                self.errors.add(member(path, field), message);
            }
        }
        let outside = self.iterators.len();
        self.iterators.extend([&names.iterator, &names.index].map(|name| Iterator { name, is_planned }));
        self.steps(steps);
        self.iterators.truncate(outside);
    }

    /// The hosts of a step must be on the list, unless the sandbox is open. Without a sandbox there is
    /// no list.
    fn egress(&mut self, egress: &[(String, String)]) {
        let sandbox = self.manifest.sandbox.as_ref();
        let is_open = sandbox.is_some_and(|sandbox| sandbox.mode == SandboxMode::Open);
        if is_open || self.errors.any_at("spec.sandbox") {
            return;
        }
        let list = sandbox.map_or(&[][..], |sandbox| &sandbox.egress_allowlist);
        for (path, host) in egress.iter().filter(|(_, host)| !hosts::allows(list, host)) {
            self.errors.add(path.as_str(), format!("the sandbox does not allow the host '{host}'"));
        }
    }

    fn items(&mut self, path: &str, items: &Value) {
        match items {
            Value::String(text) => self.expression(path, text, Place::Items),
            items => self.templates(path, items, Place::Items),
        }
    }

    fn message(&mut self, path: &str, text: Option<&str>, place: Place<'m>) {
        if let Some(text) = text {
            self.template(path, text, place);
        }
    }

    /// Checks every string in a value.
    fn templates(&mut self, path: &str, value: &Value, place: Place<'m>) {
        match value {
            Value::String(text) if text.contains("{{") => self.template(path, text, place),
            Value::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    self.templates(&element(path, index), value, place);
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    self.templates(&member(path, name), value, place);
                }
            }
            _ => {}
        }
    }

    fn template(&mut self, path: &str, text: &str, place: Place<'m>) {
        match template::pieces(text) {
            Err(error) => self.errors.add(path, error.to_string()),
            Ok(pieces) => {
                let is_alone = pieces.len() == 1;
                for piece in &pieces {
                    if let Piece::Expression(expression) = piece {
                        self.references(path, expression, is_alone, place);
                    }
                }
            }
        }
    }

    fn expression(&mut self, path: &str, text: &str, place: Place<'m>) {
        let read: Result<Expression, ExpressionError> = template::expression(text);
        match read {
            Err(error) => self.errors.add(path, error.to_string()),
            Ok(expression) => self.references(path, &expression, false, place),
        }
    }

    fn references(&mut self, path: &str, expression: &Expression, is_alone: bool, place: Place<'m>) {
        let read = expression.references();
        if read.whole {
            self.errors.add(path, "the context cannot be used as a whole: begin with inputs, steps or an iterator");
        }
        for root in &read.roots {
            self.root(path, root, place);
        }
        let is_unknown = |input: &&String| self.manifest.knows_inputs && !self.inputs.contains(input.as_str());
        for input in read.inputs.iter().filter(is_unknown) {
            self.errors.add(path, format!("unknown input '{input}'"));
        }
        self.secrets(path, expression, &read, is_alone, place);
        self.step_references(path, &read, place);
    }

    fn root(&mut self, path: &str, root: &str, place: Place<'m>) {
        let iterator = self.iterators.iter().find(|iterator| iterator.name == root);
        let message = match (root, iterator) {
            ("inputs" | "secrets", _) => return,
            ("steps", _) => match place {
                Place::Approval => "an approval knows only the inputs".to_owned(),
                Place::Items => "the items of a map must be known before the run: use a loop".to_owned(),
                _ => return,
            },
            (_, Some(iterator)) if iterator.is_planned || !matches!(place, Place::Items) => return,
            (_, Some(_)) => "the items of a map must be known before the run: use a loop".to_owned(),
            ("true" | "false" | "null", None) => format!("a literal is written between backticks: `{root}`"),
            (_, None) => format!("unknown name '{root}': an expression begins with inputs, steps or an iterator"),
        };
        self.errors.add(path, message);
    }

    /// A secret is an opaque reference: it stands alone in a parameter.
    fn secrets(&mut self, path: &str, expression: &Expression, read: &References, is_alone: bool, place: Place<'m>) {
        if !read.roots.contains("secrets") {
            return;
        }
        let is_plain = matches!(expression.path().as_deref(), Some(["secrets", _]));
        if !(is_plain && is_alone && matches!(place, Place::With(_))) {
            self.errors.add(path, "a secret stands alone, as \"{{ secrets.<name> }}\", in the parameters of a step");
        }
        let is_unknown = |secret: &&String| self.manifest.knows_secrets && !self.secrets.contains(secret.as_str());
        for secret in read.secrets.iter().filter(is_unknown) {
            self.errors.add(path, format!("unknown secret '{secret}'"));
        }
    }

    fn step_references(&mut self, path: &str, read: &References, place: Place<'m>) {
        if read.vague_steps {
            self.errors.add(path, "steps are read as steps.<id>.outputs");
        }
        let from = match place {
            Place::Step(id) | Place::With(id) => Some(id),
            Place::Output => None,
            // Said already.
            Place::Items | Place::Approval => return,
        };
        for step in &read.steps {
            let problem = match self.table.relation(from, step) {
                Relation::Known => continue,
                Relation::Unknown => format!("unknown step '{step}'"),
                Relation::Itself => format!("step '{step}' refers to itself"),
                Relation::Around => format!("step '{step}' is around this one and ends after it"),
                Relation::Inside => format!("step '{step}' is inside this one and starts after it"),
                Relation::Iterated(container) => {
                    format!("step '{step}' runs many times in '{container}': refer to that")
                }
                Relation::Parallel => format!("step '{step}' runs at the same time"),
                Relation::OtherBranch => format!("step '{step}' is in another branch"),
                Relation::Later => format!("step '{step}' runs later"),
            };
            self.errors.add(path, problem);
        }
    }
}

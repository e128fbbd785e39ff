//! Variables as the client wrote them: the decoded ones have lost duplicate keys and long numbers.

use std::fmt;
use std::sync::Arc;

use async_graphql_value::Value;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The variables as the client wrote them, in the data of every request that has some.
///
/// A resolver that must see duplicate keys or every digit of a number reads them here.
#[derive(Clone, Debug)]
pub struct RawVariables(pub Arc<RawValue>);

/// The members of a JSON object as text, none of them twice.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &'de RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("a key comes twice"));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Why the text of an argument cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawError {
    /// It stands in the document: its parser has lost duplicate keys and long numbers.
    Literal,
    /// An object on the way to it has a key twice.
    Ambiguous,
}

impl RawVariables {
    /// The texts of the elements of a list that the document passes as member `name` of the object
    /// `argument`: by a variable for the object, for the list, or for each element.
    ///
    /// # Errors
    /// If any of it is not given by a variable.
    pub fn list<'a>(&'a self, argument: &Value, name: &str) -> Result<Vec<&'a str>, RawError> {
        let variables: Members = read(self.0.get())?;
        match argument {
            Value::Variable(variable) => {
                let whole = variables.get(variable).ok_or(RawError::Literal)?;
                let members: Members = read(whole.get())?;
                elements(members.get(name).ok_or(RawError::Literal)?)
            }
            Value::Object(members) => match members.get(name) {
                Some(Value::Variable(variable)) => elements(variables.get(variable).ok_or(RawError::Literal)?),
                Some(Value::List(items)) => items.iter().map(|item| element(&variables, item)).collect(),
                _ => Err(RawError::Literal),
            },
            _ => Err(RawError::Literal),
        }
    }
}

fn element<'a>(variables: &Members<'a>, item: &Value) -> Result<&'a str, RawError> {
    match item {
        Value::Variable(variable) => Ok(variables.get(variable).ok_or(RawError::Literal)?.get()),
        _ => Err(RawError::Literal),
    }
}

/// The elements of a list; one value alone stands for a list of it.
fn elements(list: &RawValue) -> Result<Vec<&str>, RawError> {
    if !list.get().starts_with('[') {
        return Ok(vec![list.get()]);
    }
    let items: Vec<&RawValue> = read(list.get())?;
    Ok(items.into_iter().map(RawValue::get).collect())
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, RawError> {
    serde_json::from_str(text).map_err(|_| RawError::Ambiguous)
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use async_graphql::parser::types::{DocumentOperations, Selection};

    use super::*;

    fn argument(text: &str) -> Value {
        let document = parse_query(format!("mutation {{ ingest(input: {text}) {{ seq }} }}")).unwrap();
        let DocumentOperations::Single(operation) = &document.operations else { unreachable!() };
        let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else { unreachable!() };
        field.node.arguments[0].1.node.clone()
    }

    fn list(variables: &str, text: &str) -> Result<Vec<String>, RawError> {
        let variables = RawVariables(RawValue::from_string(variables.to_owned()).unwrap().into());
        Ok(variables.list(&argument(text), "items")?.into_iter().map(ToOwned::to_owned).collect())
    }

    #[test]
    fn texts_are_found_wherever_a_variable_gives_them() {
        let items = r#"[{"a":1,"a":2}, 9007199254740993]"#;
        let expected = Ok(vec![r#"{"a":1,"a":2}"#.to_owned(), "9007199254740993".to_owned()]);
        assert_eq!(list(&format!(r#"{{"input": {{"items": {items}}}}}"#), "$input"), expected);
        assert_eq!(list(&format!(r#"{{"i": {items}}}"#), "{items: $i, mode: STRICT}"), expected);
        let each = r#"{"x": {"a":1,"a":2}, "y": 9007199254740993}"#;
        assert_eq!(list(each, "{items: [$x, $y]}"), expected);
        assert_eq!(list(r#"{"i": {"one": 1}}"#, "{items: $i}"), Ok(vec![r#"{"one": 1}"#.to_owned()]));
    }

    #[test]
    fn literals_and_doubled_keys_on_the_way_are_refused() {
        assert_eq!(list("{}", "{items: [{a: 1}]}"), Err(RawError::Literal));
        assert_eq!(list(r#"{"x": 1}"#, "{items: [$x, 2]}"), Err(RawError::Literal));
        assert_eq!(list("{}", "$input"), Err(RawError::Literal));
        let twice = r#"{"input": {"items": [1], "items": [2]}}"#;
        assert_eq!(list(twice, "$input"), Err(RawError::Ambiguous));
    }
}

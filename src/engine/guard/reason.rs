//! Evaluation errors in words.

use cel::ExecutionError;

/// The most characters of a reason: an error of the interpreter can quote whole values.
const MAX_REASON: usize = 300;

/// `error` as a reason that a person can act on.
pub(super) fn reason(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        // Names are checked at definition time, so only a variable without a value is left.
        ExecutionError::UndeclaredReference(name) => {
            format!("there is no {name}: the transition takes and reads no token")
        }
        ExecutionError::IndexOutOfBounds(index) => format!("no such index: {}", shown(index)),
        ExecutionError::NoSuchOverload(error) => {
            let types = error.argument_types().join(", ");
            let name = error.function().trim_matches(['_', '@']);
            format!("`{name}` can't be applied to ({types})")
        }
        ExecutionError::UnsupportedBinaryOperator(name, left, right) => {
            format!("can't {name} {} and {}", left.type_of(), right.type_of())
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::Overflow(name, ..) => format!("{name} leaves the range of its type"),
        ExecutionError::DuplicateKey(key) => format!("a map has the key {} twice", shown(key)),
        ExecutionError::UnsupportedKeyType(key) => {
            format!("{} can't be a key of a map", shown(key))
        }
        ExecutionError::FunctionError { function, message } => {
            clip(&format!("`{function}` fails: {message}"))
        }
        ExecutionError::InternalError(message) => message.clone(),
        other => clip(&other.to_string()),
    }
}

fn shown(value: &cel::Value) -> String {
    match value {
        cel::Value::Int(int) => int.to_string(),
        cel::Value::UInt(uint) => format!("{uint}u"),
        cel::Value::Float(double) => format!("{double:?}"),
        cel::Value::Bool(truth) => truth.to_string(),
        cel::Value::Null => "null".to_owned(),
        cel::Value::String(text) => clip(&format!("{text:?}")),
        other => clip(&format!("{other:?}")),
    }
}

/// The first line of `text`, cut at [`MAX_REASON`] characters.
pub(super) fn clip(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

//! Faults of a file that was to be a definition, in our words: the readers' own speak of their
//! types and settings.

use std::borrow::Cow;

use serde_saphyr::{Error, MessageFormatter, budget::BudgetBreach};

/// A fault of YAML, with line and column.
pub(super) fn of_yaml(error: &Error) -> String {
    error.render_with_formatter(&Words)
}

/// A fault of JSON, with line and column.
pub(super) fn of_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => format!("{}{}", plain(&text[..at]), &text[at..]),
        None => plain(&text),
    }
}

const TOO_DEEP: &str = "nests too many levels of objects and lists";

struct Words;

impl MessageFormatter for Words {
    fn format_message<'a>(&self, error: &'a Error) -> Cow<'a, str> {
        let text = match error {
            Error::Message { msg, .. } => plain(msg),
            Error::Eof { .. } => "the text ends too early".to_owned(),
            Error::MultipleDocuments { .. } => {
                "a second document begins after `---`; write one definition a file".to_owned()
            }
            Error::Unexpected { expected, .. } => needed(expected),
            Error::MergeValueNotMapOrSeqOfMaps { .. } => {
                "`<<` takes an object or a list of objects".to_owned()
            }
            Error::InvalidBinaryBase64 { .. } => "!!binary is not followed by base64".to_owned(),
            Error::BinaryNotUtf8 { .. } => "!!binary is no text in UTF-8".to_owned(),
            Error::TaggedScalarCannotDeserializeIntoString { .. } => {
                "a text is needed here; leave out the tag (`!…`), or put it in quotes".to_owned()
            }
            Error::NullIntoString { .. } => {
                "a text is needed here, not null; put it in quotes".to_owned()
            }
            Error::ExpectedStringKeyForExternallyTaggedEnum { .. }
            | Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
            | Error::ExpectedMappingEndAfterEnumVariantValue { .. } => {
                "an object with one name is needed here".to_owned()
            }
            Error::UnexpectedValueForUnitEnumVariant { .. } => {
                "a name is needed here, without a value".to_owned()
            }
            Error::AliasReplayCounterOverflow { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. } => {
                "aliases (`*…`) stand for too much: write out what they stand for".to_owned()
            }
            Error::RecursiveReferencesRequireWeakTypes { .. } => {
                "an alias (`*…`) stands for something that it is in".to_owned()
            }
            Error::UnknownAnchor { .. } => {
                "an alias (`*…`) stands for nothing: no anchor (`&…`) before it has its name"
                    .to_owned()
            }
            Error::InvalidScalar { ty, .. } => needed(ty),
            Error::NonFiniteFloat { value, .. } => format!("JSON has no number `{value}`"),
            Error::SerdeInvalidType { unexpected, expected, .. }
            | Error::SerdeInvalidValue { unexpected, expected, .. } => wrong(unexpected, expected),
            Error::SerdeInvalidLength { expected, .. } => needed(expected),
            Error::SerdeUnknownVariant { variant, expected, .. } => unknown(variant, expected),
            Error::SerdeUnknownField { field, expected, .. } => unknown(field, expected),
            Error::SerdeMissingField { field, .. } => format!("`{field}` is missing"),
            Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("an object has {key:?} twice")
            }
            Error::DuplicateMappingKey { key: None, .. } => "an object has a name twice".to_owned(),
            Error::TaggedEnumMismatch { tagged, .. } => format!("the tag `{tagged}` is unknown"),
            Error::Budget { breach, .. } => over(breach),
            Error::CannotBorrowTransformedString { .. } => "a text is needed here".to_owned(),
            other => return serde_saphyr::UserMessageFormatter.format_message(other),
        };
        Cow::Owned(text)
    }
}

/// A limit of the reader that is passed.
fn over(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => "nests too many levels of objects and lists".to_owned(),
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::MergeKeys { .. } => {
            "has too many aliases (`*…`), anchors (`&…`) or `<<`: write out what they stand for"
                .to_owned()
        }
        _ => "is too large to be a definition".to_owned(),
    }
}

/// A message of a reader's own, with serde's phrases in ours.
fn plain(message: &str) -> String {
    if message.contains("recursion limit") {
        return TOO_DEEP.to_owned();
    }
    let pair = |rest: &str| {
        let (found, wanted) = rest.split_once(", expected ")?;
        Some((found.to_owned(), wanted.to_owned()))
    };
    let rest = ["invalid type: ", "invalid value: "]
        .into_iter()
        .find_map(|phrase| message.strip_prefix(phrase))
        .and_then(pair);
    if let Some((found, wanted)) = rest {
        return wrong(&found, &wanted);
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return format!("{rest} is missing");
    }
    if let Some(rest) = message.strip_prefix("duplicate field ") {
        return format!("an object has {} twice", rest.replace('`', "\""));
    }
    let unknown = ["unknown field ", "unknown variant "]
        .into_iter()
        .find_map(|phrase| message.strip_prefix(phrase))
        .and_then(pair);
    match unknown {
        Some((found, known)) => {
            let known = known.trim_start_matches("one of ").replace('`', "");
            format!("{found} is unknown here; known are {known}")
        }
        None => message.to_owned(),
    }
}

fn wrong(found: &str, wanted: &str) -> String {
    let found = match found {
        "unit value" | "null" => "null".to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        other => [("integer ", ""), ("floating point ", ""), ("boolean ", ""), ("string ", "")]
            .into_iter()
            .find_map(|(kind, short)| Some(format!("{short}{}", other.strip_prefix(kind)?)))
            .unwrap_or_else(|| other.to_owned()),
    };
    format!("{}, not {found}", needed(wanted))
}

fn needed(wanted: &str) -> String {
    let wanted = match wanted {
        "a sequence" | "sequence" | "sequence start" => "a list",
        "a map" | "map" | "mapping" | "mapping start" => "an object",
        "a string" | "string" | "string scalar" | "string or enum" => "a text",
        "u64" | "usize" | "u32" | "unsigned integer" | "integer" => "a whole number from 0",
        "i64" | "isize" | "i32" => "a whole number",
        "f64" | "f32" | "float" | "floating point" => "a number",
        "a boolean" | "boolean" | "bool" => "true or false",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{wanted} is needed here")
}

fn unknown(found: &str, known: &[&str]) -> String {
    format!("`{found}` is unknown here; known are {}", known.join(", "))
}

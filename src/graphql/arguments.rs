//! From arguments to the types of the core. What can't be converted names its argument.

use std::str::FromStr;

use async_graphql::{ID, connection::CursorType};

use crate::{
    cases::Error,
    models::IdError,
    storage::{Consistency, Cursor, MAX_PAGE, Page},
};

/// How many items a page has when `first` is absent.
pub(super) const DEFAULT_PAGE: usize = 100;

/// `value` as an id.
pub(super) fn id<T: FromStr<Err = IdError>>(argument: &str, value: &ID) -> Result<T, Error> {
    value.parse().map_err(|error: IdError| Error::argument(argument, error.to_string()))
}

/// `value` as an id, if there is one.
pub(super) fn optional_id<T: FromStr<Err = IdError>>(
    argument: &str,
    value: Option<&ID>,
) -> Result<Option<T>, Error> {
    value.map(|value| id(argument, value)).transpose()
}

/// Each of `values` as an id.
pub(super) fn ids<T: FromStr<Err = IdError>>(
    argument: &str,
    values: &[ID],
) -> Result<Vec<T>, Error> {
    let each = values.iter().enumerate();
    each.map(|(at, value)| id(&format!("{argument}[{at}]"), value)).collect()
}

/// The number of items that `first` asks for.
pub(super) fn page_size(first: Option<i32>) -> Result<usize, Error> {
    match first.map(usize::try_from) {
        None => Ok(DEFAULT_PAGE),
        Some(Ok(first)) if (1..=MAX_PAGE).contains(&first) => Ok(first),
        _ => Err(Error::argument("first", format!("must be from 1 to {MAX_PAGE}"))),
    }
}

/// The position that an `after` stands for.
pub(super) fn position<T: CursorType>(after: Option<&str>) -> Result<Option<T>, Error> {
    let decode = |after| {
        T::decode_cursor(after).map_err(|_| {
            Error::argument("after", "is no cursor of this listing; take endCursor of a page")
        })
    };
    after.map(decode).transpose()
}

/// The page that `first` and `after` ask for.
pub(super) fn page(first: Option<i32>, after: Option<&str>) -> Result<Page, Error> {
    let after = position::<super::connection::Position<Cursor>>(after)?;
    Ok(Page { first: page_size(first)?, after: after.map(|position| position.0) })
}

/// An error of the core in the words of a mutation: `names` are the core's names of arguments
/// and those of the schema.
pub(super) fn in_words_of(error: Error, names: &[(&str, &str)]) -> Error {
    let Error::InvalidArgument { argument, reason } = error else { return error };
    let name = names.iter().find(|(core, _)| *core == argument);
    Error::InvalidArgument { argument: name.map_or(argument, |(_, ours)| (*ours).into()), reason }
}

/// What `strong` asks for.
pub(super) fn consistency(strong: Option<bool>) -> Consistency {
    if strong.unwrap_or_default() { Consistency::Strong } else { Consistency::Eventual }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::connection::OpaqueCursor;

    use crate::models::PlaceId;

    #[test]
    fn a_refused_id_names_its_argument() {
        let error = id::<PlaceId>("input.newPlace", &ID::from("a.b")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("input.newPlace: ") && text.contains("'.'"), "{text}");
        let error = ids::<PlaceId>("tokenIds", &[ID::from("a"), ID::from("")]).unwrap_err();
        assert!(error.to_string().starts_with("tokenIds[1]: "), "{error}");
    }

    #[test]
    fn a_page_has_1_to_1000_items() {
        for refused in [0, -1, 1001] {
            assert!(page(Some(refused), None).unwrap_err().to_string().starts_with("first: "));
        }
        assert_eq!(page(Some(1000), None).unwrap().first, 1000);
        assert_eq!(page(None, None).unwrap().first, 100);
    }

    #[test]
    fn a_cursor_that_was_given_is_read_and_any_other_text_is_refused() {
        let given = OpaqueCursor(Cursor(77)).encode_cursor();
        assert_eq!(page(None, Some(&given)).unwrap().after, Some(Cursor(77)));
        let error = page(None, Some("next please")).unwrap_err();
        assert!(error.to_string().starts_with("after: "), "{error}");
    }
}

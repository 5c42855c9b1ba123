//! Conversion of arguments to the types of the core. An error names its argument.

use async_graphql::{
    ID,
    connection::{CursorType, OpaqueCursor},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::graphql::{
    connection::Listing,
    global::{self, Short},
};
use crate::{
    models::WorkflowId,
    petrel::Error,
    storage::{Consistency, Cursor, MAX_PAGE, Page},
};

/// Items of a page for which `first` is absent.
pub(in crate::graphql) const DEFAULT_PAGE: usize = 100;

/// `value` as an id: a short one, or one across everything of the same type.
pub(in crate::graphql) fn id<T: Short>(argument: &str, value: &ID) -> Result<T, Error> {
    Ok(global::read(argument, value)?.1)
}

/// `value` as the id of something in `workflow`, which one across everything must name too.
pub(in crate::graphql) fn id_in<T: Short>(
    workflow: &WorkflowId,
    argument: &str,
    value: &ID,
) -> Result<T, Error> {
    Ok(located(Some(workflow.clone()), argument, value)?.1)
}

/// `value` as the id of something in `workflow`, or, where that is absent, in the one that
/// `value` names, if it names one.
pub(in crate::graphql) fn located<T: Short>(
    workflow: Option<WorkflowId>,
    argument: &str,
    value: &ID,
) -> Result<(Option<WorkflowId>, T), Error> {
    let (named, id) = global::read(argument, value)?;
    match (workflow, named) {
        (Some(given), Some(named)) if given != named => {
            let reason = format!("{} is of workflow {named}, and not of {given}", **value);
            Err(Error::argument(argument, reason))
        }
        (given, named) => Ok((given.or(named), id)),
    }
}

/// `value` as an id, if there is one.
pub(in crate::graphql) fn optional_id<T: Short>(
    argument: &str,
    value: Option<&ID>,
) -> Result<Option<T>, Error> {
    value.map(|value| id(argument, value)).transpose()
}

/// `value` as the id of something in `workflow`, if there is one.
pub(in crate::graphql) fn optional_id_in<T: Short>(
    workflow: &WorkflowId,
    argument: &str,
    value: Option<&ID>,
) -> Result<Option<T>, Error> {
    value.map(|value| id_in(workflow, argument, value)).transpose()
}

/// Each of `values` as the id of something in `workflow`, where that is known.
pub(in crate::graphql) fn ids<T: Short>(
    workflow: Option<&WorkflowId>,
    argument: &str,
    values: &[ID],
) -> Result<Vec<T>, Error> {
    let each = values.iter().enumerate();
    each.map(|(at, value)| Ok(located(workflow.cloned(), &format!("{argument}[{at}]"), value)?.1))
        .collect()
}

/// The number of items that `first` asks for.
pub(in crate::graphql) fn page_size(first: Option<i32>) -> Result<usize, Error> {
    match first.map(usize::try_from) {
        None => Ok(DEFAULT_PAGE),
        Some(Ok(first)) if (1..=MAX_PAGE).contains(&first) => Ok(first),
        _ => Err(Error::argument("first", format!("must be from 1 to {MAX_PAGE}"))),
    }
}

/// The position in `listing` that an `after` stands for.
pub(in crate::graphql) fn position<T: Serialize + DeserializeOwned + Send + Sync>(
    listing: &Listing,
    after: Option<&str>,
) -> Result<Option<T>, Error> {
    let Some(after) = after else { return Ok(None) };
    let refused = |reason| Err(Error::argument("after", reason));
    let Ok(OpaqueCursor((of, position))) = OpaqueCursor::<(String, Json)>::decode_cursor(after)
    else {
        return refused("is no cursor; take endCursor of a page of this listing");
    };
    match serde_json::from_value(position) {
        Ok(position) if of == listing.mark() => Ok(Some(position)),
        _ => refused(
            "is a cursor of another listing, or of this one with other arguments; take endCursor \
             of a page of this listing, with the same arguments except first and after",
        ),
    }
}

/// The page of `listing` that `first` and `after` ask for.
pub(in crate::graphql) fn page(
    listing: &Listing,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Page, Error> {
    Ok(Page { first: page_size(first)?, after: position::<Cursor>(listing, after)? })
}

/// An error of the core in the words of a mutation: `names` are the core's names of arguments
/// and those of the schema.
pub(in crate::graphql) fn in_words_of(error: Error, names: &[(&str, &str)]) -> Error {
    let Error::InvalidArgument { argument, reason } = error else { return error };
    let name = names.iter().find(|(core, _)| *core == argument);
    Error::InvalidArgument { argument: name.map_or(argument, |(_, ours)| (*ours).into()), reason }
}

/// The consistency that `strong` asks for.
pub(in crate::graphql) fn consistency(strong: Option<bool>) -> Consistency {
    if strong.unwrap_or_default() { Consistency::Strong } else { Consistency::Eventual }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{CaseId, PlaceId};

    #[test]
    fn a_refused_id_names_its_argument() {
        let error = id::<PlaceId>("input.newPlace", &ID::from("a.b")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("input.newPlace: ") && text.contains("'.'"), "{text}");
        let error = ids::<PlaceId>(None, "tokenIds", &[ID::from("a"), ID::from("")]).unwrap_err();
        assert!(error.to_string().starts_with("tokenIds[1]: "), "{error}");
    }

    #[test]
    fn a_page_has_1_to_1000_items() {
        let listing = Listing::new("workflows", &[]);
        for refused in [0, -1, 1001] {
            assert!(
                page(&listing, Some(refused), None).unwrap_err().to_string().starts_with("first: ")
            );
        }
        assert_eq!(page(&listing, Some(1000), None).unwrap().first, 1000);
        assert_eq!(page(&listing, None, None).unwrap().first, 100);
    }

    #[test]
    fn a_cursor_is_read_by_the_listing_that_gave_it_and_by_no_other() {
        let listing = Listing::new("tokens", &["w", "a", ""]);
        let given = OpaqueCursor((listing.mark().to_owned(), Cursor(77))).encode_cursor();
        assert_eq!(page(&listing, None, Some(&given)).unwrap().after, Some(Cursor(77)));
        let others =
            [("tokens", ["w", "", "a"]), ("tokens", ["w", "b", ""]), ("cases", ["w", "a", ""])];
        for (name, of) in others {
            let error = page(&Listing::new(name, &of), None, Some(&given)).unwrap_err().to_string();
            assert!(error.starts_with("after: ") && error.contains("another listing"), "{error}");
        }
        let error = page(&listing, None, Some("next please")).unwrap_err().to_string();
        assert!(error.starts_with("after: ") && error.contains("no cursor"), "{error}");
    }

    #[test]
    fn an_id_across_everything_stands_for_a_short_one_of_the_same_workflow() {
        let orders = WorkflowId::new("orders").unwrap();
        let case: CaseId = id_in(&orders, "caseId", &ID::from("Case.orders.a")).unwrap();
        assert_eq!(case.as_str(), "a");
        let error = id_in::<CaseId>(&orders, "caseId", &ID::from("Case.bills.a")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("of workflow bills, and not of orders"), "{text}");
    }
}

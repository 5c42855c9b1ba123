use async_graphql::parser::parse_query;
use serde_json::json;

use super::*;
use crate::graphql::schema::sdl;

/// The keys of the plain form of a query, those below in brackets.
fn of(query: &str, variables: serde_json::Value) -> Result<String, String> {
    let shape = Shape::of(&sdl()).unwrap();
    let variables = Variables::from_json(variables);
    let document = parse_query(query).unwrap();
    let plain = plain(&shape, &document, &variables).map_err(|error| error.message)?;
    let (_, operation) = plain.operations.iter().next().unwrap();
    Ok(text(&operation.node.selection_set.node))
}

fn text(set: &SelectionSet) -> String {
    let each = set.items.iter().map(|selection| match &selection.node {
        Selection::Field(field) => {
            let below = text(&field.node.selection_set.node);
            let key = &field.node.response_key().node;
            if below.is_empty() { key.to_string() } else { format!("{key}({below})") }
        }
        Selection::InlineFragment(of) => {
            let on = &of.node.type_condition.as_ref().unwrap().node.on.node;
            format!("{on}:({})", text(&of.node.selection_set.node))
        }
        Selection::FragmentSpread(_) => unreachable!("fragments are spread out"),
    });
    each.collect::<Vec<_>>().join(" ")
}

#[test]
fn fragments_are_spread_out_and_fields_of_one_key_are_one() {
    let query = "{ a: health { version } ...f ... on Query { a: health { connected } } }
        fragment f on Query { a: health { version problem } b: health { version } }";
    let plain = of(query, json!({})).unwrap();
    assert_eq!(plain, "a(version problem connected) b(version)");
}

#[test]
fn what_is_skipped_is_left_out_and_an_object_without_fields_is_still_one() {
    let query = "query($no: Boolean = false, $yes: Boolean!) {
        a: health @include(if: $no) { version } b: health @skip(if: $no) { version }
        ... @skip(if: $yes) { c: health { version } }
        d: health { version @include(if: $no) connected @skip(if: true) } }";
    assert_eq!(of(query, json!({ "yes": true })).unwrap(), "b(version) d( )");
    let given = of(query, json!({ "yes": false, "no": true })).unwrap();
    assert_eq!(given, "a(version) c(version) d(version)");
}

#[test]
fn fields_of_one_key_that_ask_for_different_things_are_refused() {
    for query in [
        "{ a: health { version } ...f } fragment f on Query { a: workflows { nodes { id } } }",
        "{ a: token(id: \"x\") { id } ... on Query { a: token(id: \"y\") { id } } }",
        "{ health { a: version } health { a: connected } }",
        "{ a: health { version } ... @skip(if: true) { a: workflows { nodes { id } } } }",
        "{ health { a: version } health @skip(if: true) { a: connected } }",
        "{ node(id: \"x\") { ... on Case { a: revision } ... on Token { a: placeId } } }",
        "{ node(id: \"x\") { ... on Case { a: history { nodes { kind } } }
            ... on Token @skip(if: true) { a: history { from } } } }",
        "{ node(id: \"x\") { ... on Case { a: workflow { b: name } }
            ... on Token { a: workflow { b: version } } } }",
    ] {
        let problem = of(query, json!({})).unwrap_err();
        assert!(problem.contains("ask for different things"), "{problem}");
    }
}

#[test]
fn a_subscription_has_one_field_wherever_it_is_written_and_it_can_not_be_skipped() {
    let event = "workflowEvents(workflowId: \"w\")";
    let one = format!(
        "subscription {{ ...x ... {{ {event} {{ kind }} }} }}
         fragment x on Subscription {{ {event} {{ sequence }} }}"
    );
    assert_eq!(of(&one, json!({})).unwrap(), "workflowEvents(sequence kind)");
    let two = format!(
        "subscription {{ {event} {{ kind }} ...x }}
         fragment x on Subscription {{ b: {event} {{ sequence }} }}"
    );
    let problem = of(&two, json!({})).unwrap_err();
    assert!(problem.contains("exactly one field") && problem.contains(", b"), "{problem}");
    let skipped = format!("subscription {{ ... @skip(if: true) {{ {event} {{ kind }} }} }}");
    assert!(of(&skipped, json!({})).unwrap_err().contains("can't be skipped"));
}

#[test]
fn what_may_be_of_several_types_has_for_each_what_is_selected_of_it() {
    let query = "{ node(id: \"x\") { id ... on Case { status } ... on Node { a: id } } }";
    let plain = of(query, json!({})).unwrap();
    assert!(plain.contains("Case:(id status a  )") && plain.contains("Token:(id a  )"), "{plain}");
}

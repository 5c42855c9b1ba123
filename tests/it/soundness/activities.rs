//! Activities in the check: their outcomes are free choices, and immediate transitions alone may run for
//! ever.

use serde_json::{Value, json};
use stormpetrel::{
    analysis::{Finding, ForEver, Report, Verdict},
    engine::Net,
    petrel::check,
};

use super::BUDGET;

fn report(places: &[&str], transitions: Value) -> Report {
    let places: Vec<_> = places.iter().map(|id| json!({ "id": id })).collect();
    let definition = json!({ "id": "w", "initial_place": "i", "places": places,
        "transitions": transitions });
    let net = Net::compile(&serde_json::from_value(definition).unwrap());
    check(&net.unwrap_or_else(|problems| panic!("{problems}")), BUDGET)
}

#[test]
fn an_activity_of_which_one_outcome_leads_nowhere_is_unsound() {
    let charge = |declined: &str| {
        json!({ "id": "charge", "from_places": ["i"], "activity": { "outcomes": {
            "paid": { "to_place": "paid" }, "declined": { "to_place": declined } } } })
    };
    // Whoever is declined waits for something that nobody does.
    let wait =
        json!({ "id": "wait", "inputs": [{"place": "lost"}, {"place": "paid"}], "to_place": "o" });
    let end = json!({ "id": "end", "from_places": ["paid"], "to_place": "o" });
    let found = report(&["i", "paid", "lost", "o"], json!([charge("lost"), end, wait]));
    assert_eq!(found.verdict, Verdict::Unsound, "{found:?}");
    let stuck = found.findings.iter().any(
        |finding| matches!(finding, Finding::Deadlock { path, .. } if *path == ["charge.declined"]),
    );
    assert!(stuck, "{found:?}");
    let end = json!({ "id": "end", "from_places": ["paid", "lost"], "to_place": "o" });
    let found = report(&["i", "paid", "lost", "o"], json!([charge("lost"), end]));
    assert_eq!(found.verdict, Verdict::Sound, "{found:?}");
}

#[test]
fn what_waits_for_a_worker_or_for_time_does_not_run_for_ever() {
    let auto = |id: &str, from: &str, to: &str| {
        json!({ "id": id, "from_places": [from], "to_place": to, "auto": true,
            "conditions": ["token.data.again"] })
    };
    let with = |back: Value| {
        let end = json!({ "id": "end", "from_places": ["b"], "to_place": "o" });
        let start = json!({ "id": "start", "from_places": ["i"], "to_place": "a" });
        report(&["i", "a", "b", "o"], json!([start, auto("go", "a", "b"), back, end])).net.endless
    };
    let endless = with(auto("back", "b", "a")).unwrap();
    assert_eq!((endless.answer, endless.transitions.len()), (ForEver::Yes, 2));
    assert_eq!(
        endless.to_string(),
        "runs by itself for ever: yes, unless conditions stop it (back, go)"
    );
    for back in [
        json!({ "id": "back", "from_places": ["b"], "to_place": "a", "activity": {} }),
        json!({ "id": "back", "from_places": ["b"], "to_place": "a", "after": "1s" }),
        json!({ "id": "back", "from_places": ["b"], "to_place": "a" }),
    ] {
        let endless = with(back).unwrap();
        assert_eq!((endless.answer, endless.transitions), (ForEver::No, vec![]));
    }
    let none = json!([{ "id": "end", "from_places": ["i"], "to_place": "o", "activity": {} }]);
    assert_eq!(report(&["i", "o"], none).net.endless, None);
}

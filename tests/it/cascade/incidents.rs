//! Cascades that can't go on: stored as incidents, shown, and tried again.

use serde_json::{Value, json};
use stormpetrel::{
    models::{FiringId, IncidentAbout, IncidentCode, WorkflowDefinition},
    petrel::{Change, Error, ExpectedVersion, Fire, NewCase},
};

use crate::support::{case, definition, petrel_at, system, transition, workflow};

pub(super) fn limited() -> WorkflowDefinition {
    definition(json!({
        "id": "limited", "initial_place": "new", "max_cascade": 10,
        "places": [{"id": "new"}, {"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "done"}],
        "transitions": [
            {"id": "go", "from_places": ["new"], "to_place": "a"},
            {"id": "there", "from_places": ["a"], "to_place": "b", "auto": true,
             "conditions": ["token.data.left > 0"], "output": "{'left': token.data.left - 1}"},
            {"id": "back", "from_places": ["b"], "to_place": "a", "auto": true},
            {"id": "leave", "from_places": ["a"], "to_place": "c", "auto": true,
             "conditions": ["token.data.left == 0"]},
            {"id": "end", "from_places": ["a", "c"], "to_place": "done"}
        ]
    }))
}

pub(super) fn go(id: &str) -> Fire {
    Fire::case(workflow("limited"), case(id), transition("go"))
}

pub(super) async fn started(petrel: &stormpetrel::petrel::Petrel, id: &str, data: Value) {
    petrel.create_workflow(limited(), ExpectedVersion::Any).await.unwrap();
    let new = NewCase { case: Some(case(id)), data, ..NewCase::of(workflow("limited")) };
    petrel.create_case(new).await.unwrap();
}

#[tokio::test]
async fn a_cascade_without_an_end_is_an_incident_until_the_marking_is_mended() {
    let (server, petrel) = system().await;
    started(&petrel, "k", json!({"left": 100})).await;
    let gone = petrel.fire(go("k")).await.unwrap();
    assert!(gone.record.value.cascade.is_empty(), "the change alone is stored");
    let [open] = &gone.case.incidents[..] else { panic!("{:?}", gone.case.incidents) };
    assert_eq!((open.number, open.code), (1, IncidentCode::CascadeTooLong));
    assert_eq!(open.sequence, Some(gone.record.sequence));
    for petrel in [&petrel, &petrel_at(server.url()).await] {
        let read = petrel.case(&workflow("limited"), &case("k")).await.unwrap();
        assert_eq!(read.incidents, gone.case.incidents);
        let said = petrel.incident_explanation(&read, &read.incidents[0]).await.unwrap();
        assert!(said.contains("there (5 times)") && said.contains("max_cascade"), "{said}");
        let why = petrel.explain(&workflow("limited"), &case("k")).await.unwrap();
        assert!(why.summary.contains("incident 1 (CASCADE_TOO_LONG)"), "{}", why.summary);
    }
    // The cause is still there: a new incident, and not the old one for ever.
    let retry = Change { firing: Some(FiringId::new("again").unwrap()), ..Change::default() };
    let (of, name) = (workflow("limited"), case("k"));
    let again = petrel.retry_incident(&of, &name, 1, retry.clone()).await.unwrap();
    let numbers: Vec<_> = again.case.incidents.iter().map(|open| open.number).collect();
    assert_eq!(numbers, [2]);
    let other = petrel_at(server.url()).await;
    assert!(other.retry_incident(&of, &name, 1, retry.clone()).await.unwrap().repeated);
    let error = other.retry_incident(&of, &name, 2, retry).await.unwrap_err();
    assert!(matches!(error, Error::IdTaken { .. }), "{error}");
    for (number, said) in [(1, "is over; open are 2"), (9, "has had no incident 9")] {
        let error = petrel.retry_incident(&of, &name, number, Change::default()).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    // A change by hand lets it try again.
    let token = gone.tokens[0].id.clone();
    let patch = json!({"left": 2});
    let mended = other.update_token_data(None, &token, patch, Change::default()).await.unwrap();
    assert_eq!(mended.record.value.cascade.len(), 5);
    assert!(mended.case.incidents.is_empty());
    assert_eq!(mended.tokens[0].place.as_str(), "c");
    let error = petrel.retry_incident(&of, &name, 2, Change::default()).await.unwrap_err();
    assert!(error.to_string().contains("is over; none is open"), "{error}");
}

#[tokio::test]
async fn a_guard_that_fails_is_an_incident_of_its_transition_and_others_go_on() {
    let (_server, petrel) = system().await;
    started(&petrel, "k", json!({})).await;
    let gone = petrel.fire(go("k")).await.unwrap();
    let about: Vec<_> =
        gone.case.incidents.iter().map(|open| (open.about.clone(), open.code)).collect();
    let guard = |id: &str| (IncidentAbout::Transition(transition(id)), IncidentCode::GuardFailed);
    assert_eq!(about, [guard("leave"), guard("there")]);
    let why = petrel.incident_explanation(&gone.case, &gone.case.incidents[1]).await.unwrap();
    assert!(why.contains("token.data.left > 0") && why.contains("no such key: left"), "{why}");
    // It goes on under its number while the cause is the same.
    let token = gone.tokens[0].id.clone();
    let update = |patch: Value| petrel.update_token_data(None, &token, patch, Change::default());
    let same = update(json!({"other": 1})).await.unwrap();
    assert_eq!(same.case.incidents, gone.case.incidents);
    // It is over by itself when the cause is gone.
    let mended = update(json!({"left": 0})).await.unwrap();
    assert!(mended.case.incidents.is_empty());
    assert_eq!(mended.tokens[0].place.as_str(), "c");
    let error = petrel
        .retry_incident(&workflow("limited"), &case("k"), 1, Change::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
}

/// The end of a case is that of its incidents.
#[tokio::test]
async fn a_case_with_an_incident_can_be_paused_resumed_and_cancelled() {
    let (_server, petrel) = system().await;
    started(&petrel, "k", json!({"left": 100})).await;
    petrel.fire(go("k")).await.unwrap();
    let (of, name) = (workflow("limited"), case("k"));
    for paused in [true, false] {
        let changed = match paused {
            true => petrel.pause(&of, &name, Change::default()).await.unwrap(),
            false => petrel.resume(&of, &name, Change::default()).await.unwrap(),
        };
        if paused {
            // It could try nothing, and would end what is still there.
            let error = petrel.retry_incident(&of, &name, 1, Change::default()).await.unwrap_err();
            assert!(matches!(error, Error::WrongStatus { .. }), "{error}");
        }
        assert_eq!(changed.case.incidents.len(), 1);
        assert!(changed.record.value.cascade.is_empty());
    }
    let ended = petrel.cancel(&of, &name, Change::default()).await.unwrap();
    assert!(ended.case.incidents.is_empty());
    let error = petrel.retry_incident(&of, &name, 1, Change::default()).await.unwrap_err();
    assert!(matches!(error, Error::WrongStatus { .. }), "{error}");
}

/// A wide net, whose cascade is more than a record takes: the change is stored, and nothing is lost.
#[tokio::test]
async fn a_cascade_that_no_record_takes_is_an_incident() {
    let (_server, petrel) = system().await;
    let wide = definition(json!({
        "id": "wide", "initial_place": "new", "max_cascade": 10_000,
        "places": [{"id": "new"}, {"id": "many"}, {"id": "moved"}, {"id": "done"}],
        "transitions": [
            {"id": "go", "inputs": [{"place": "new"}],
             "outputs": [{"place": "many", "weight": 40}]},
            {"id": "each", "inputs": [{"place": "many"}], "auto": true,
             "outputs": [{"place": "moved", "weight": 10}]},
            {"id": "end", "from_places": ["moved"], "to_place": "done"}
        ]
    }));
    petrel.create_workflow(wide, ExpectedVersion::Any).await.unwrap();
    for (id, text, is_large) in [("small", 10, false), ("large", 6_000, true)] {
        let data = json!({"text": "x".repeat(text)});
        let new = NewCase { case: Some(case(id)), data, ..NewCase::of(workflow("wide")) };
        petrel.create_case(new).await.unwrap();
        let go = Fire::case(workflow("wide"), case(id), transition("go"));
        let gone = petrel.fire(go).await.unwrap();
        let counts = gone.case.marking.counts();
        let (place, count) = if is_large { ("many", 40) } else { ("moved", 400) };
        assert_eq!(
            counts.into_iter().map(|(p, n)| (p.to_string(), n)).collect::<Vec<_>>(),
            [(place.to_owned(), count)]
        );
        let codes: Vec<_> = gone.case.incidents.iter().map(|open| open.code).collect();
        assert_eq!(codes, if is_large { vec![IncidentCode::CascadeTooLarge] } else { vec![] });
    }
}

#[tokio::test]
async fn definitions_that_can_not_run_by_themselves_are_refused_by_name() {
    let (_server, petrel) = system().await;
    let net = |transitions: Value, max: Value| {
        definition(json!({
            "id": "bad", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
            "transitions": transitions, "max_cascade": max
        }))
    };
    let auto = |id: &str, from: &str, to: &str| json!({"id": id, "from_places": [from], "to_place": to, "auto": true});
    let with = |mut of: Value, name: &str, value: Value| {
        of[name] = value;
        of
    };
    let out = json!({"id": "out", "from_places": ["b"], "to_place": "c"});
    for (transitions, max, path, said) in [
        (
            json!([auto("x", "a", "b"), auto("y", "b", "a"), out]),
            json!(null),
            "transitions[0].auto",
            "for ever",
        ),
        (
            json!([
                with(auto("x", "a", "b"), "conditions", json!(["now > token.created_at"])),
                out
            ]),
            json!(null),
            "transitions[0].conditions[0]",
            "asks for `now`",
        ),
        (
            json!([auto("x", "a", "b"), with(out.clone(), "priority", json!(3))]),
            json!(null),
            "transitions[1].priority",
            "auto: true",
        ),
        (
            json!([with(auto("x", "a", "b"), "conditions", json!(["token.revision > 0"])), out]),
            json!(null),
            "transitions[0].conditions[0]",
            "asks for the revision",
        ),
        (
            json!([with(auto("x", "a", "b"), "output", json!("{'r': tokens[0].revision}")), out]),
            json!(null),
            "transitions[0].output",
            "asks for the revision",
        ),
        (
            json!([
                {"id": "x", "auto": true, "inputs": [{"place": "a", "kind": "read"}],
                 "outputs": [{"place": "b"}]},
                out
            ]),
            json!(null),
            "transitions[0].auto",
            "since it takes none",
        ),
        (json!([auto("x", "a", "b"), out]), json!(10_001), "max_cascade", "must be 1 to 10000"),
        (json!([auto("x", "a", "b"), out]), json!(0), "max_cascade", "must be 1 to 10000"),
    ] {
        let error =
            petrel.create_workflow(net(transitions, max), ExpectedVersion::Any).await.unwrap_err();
        let Error::InvalidDefinition(problems) = &error else { panic!("{error}") };
        let found = problems.0.iter().find(|problem| problem.path == path);
        let found = found.unwrap_or_else(|| panic!("{path}: {error}"));
        assert!(found.to_string().contains(said), "{found}");
    }
    // Data that is called so is no revision of a token.
    let of_data = with(auto("x", "a", "b"), "conditions", json!(["token.data.revision > 0"]));
    petrel
        .create_workflow(net(json!([of_data, out]), json!(5)), ExpectedVersion::Any)
        .await
        .unwrap();
    // A cycle that something may stop is none of these.
    let stops = json!([
        auto("x", "a", "b"),
        with(auto("y", "b", "a"), "conditions", json!(["token.data.n < 3"])),
        out
    ]);
    petrel.create_workflow(net(stops, json!(5)), ExpectedVersion::Any).await.unwrap();
}

/// One transition whose search has no end, or whose token nobody could read, stops no other one.
#[tokio::test]
async fn what_one_transition_can_not_do_stops_no_other_one() {
    let (_server, petrel) = system().await;
    let net = definition(json!({
        "id": "odd", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "many"}, {"id": "deep"}, {"id": "b"}, {"id": "end"}],
        "transitions": [
            {"id": "seek", "auto": true, "priority": 2,
             "inputs": [{"place": "many", "weight": 6}], "outputs": [{"place": "end"}],
             "conditions": ["tokens.all(t, t.data.n < 0)"]},
            {"id": "nest", "from_places": ["deep"], "to_place": "end", "auto": true, "priority": 1,
             "output": "{'next': {'next': token.data}}"},
            {"id": "go", "from_places": ["a"], "to_place": "b", "auto": true},
            {"id": "add", "inputs": [{"place": "a", "kind": "read"}],
             "outputs": [{"place": "many", "weight": 60}, {"place": "deep"}]},
            {"id": "end", "from_places": ["b", "many"], "to_place": "end"}
        ]
    }));
    petrel.create_workflow(net, ExpectedVersion::Any).await.unwrap();
    let deep = (0..63).fold(json!({"n": 1}), |inner, _| json!({"n": 1, "in": inner}));
    let token = |place: &str, data: Value| stormpetrel::petrel::NewToken {
        workflow: workflow("odd"),
        case: case("k"),
        place: Some(crate::support::place(place)),
        data,
        metadata: Default::default(),
        change: Change::default(),
    };
    for _ in 0..60 {
        petrel.create_token(token("many", json!({"n": 1}))).await.unwrap();
    }
    petrel.create_token(token("deep", deep)).await.unwrap();
    for round in 0..12 {
        let done = petrel.create_token(token("a", json!({"n": round}))).await.unwrap();
        let fired: Vec<_> =
            done.record.value.cascade.iter().map(|step| step.transition.to_string()).collect();
        assert_eq!(fired, ["go"], "round {round}: {:?}", done.case.incidents);
        let mut open: Vec<_> =
            done.case.incidents.iter().map(|open| (open.about.clone(), open.code)).collect();
        open.sort_by_key(|(_, code)| code.as_str());
        assert_eq!(
            open,
            [
                (IncidentAbout::Transition(transition("seek")), IncidentCode::SearchStopped),
                (IncidentAbout::Transition(transition("nest")), IncidentCode::TooLarge)
            ]
        );
    }
}

/// The words about what can't follow never keep the change itself out.
#[tokio::test]
async fn a_change_is_stored_whatever_is_to_be_said_of_what_can_not_follow() {
    let (_server, petrel) = system().await;
    let long = format!("token.data.missing == '{}'", "x".repeat(4_000));
    let mut transitions: Vec<_> = (0..100)
        .map(|number| {
            json!({"id": format!("t{number}"), "from_places": ["a"], "to_place": "b", "auto": true,
                   "conditions": [long]})
        })
        .collect();
    transitions.push(json!({"id": "end", "from_places": ["a", "b"], "to_place": "c"}));
    let net = definition(json!({
        "id": "wordy", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
        "transitions": transitions
    }));
    let stored = petrel.create_workflow(net, ExpectedVersion::Any).await;
    if let Err(error) = stored {
        panic!("{error}");
    }
    let data = json!({"text": "x".repeat(985_000)});
    let new = NewCase { case: Some(case("k")), data, ..NewCase::of(workflow("wordy")) };
    let begun = petrel.create_case(new).await.unwrap();
    assert_eq!(begun.case.incidents.len(), 100);
    let read = petrel.case(&workflow("wordy"), &case("k")).await.unwrap();
    assert_eq!(read.incidents, begun.case.incidents);
}

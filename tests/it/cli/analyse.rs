//! `petrel analyse`.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{errors, output, petrel, sample};
use crate::corpus;

async fn analysed(arguments: &[&str]) -> Value {
    let found = output(petrel(&[&["--json", "analyse"], arguments].concat())).await;
    assert!(found.status.success(), "{}", errors(&found));
    serde_json::from_slice(&found.stdout).unwrap()
}

#[tokio::test]
async fn the_sample_has_a_class_invariants_and_a_few_markings() {
    let found = analysed(&[&sample()]).await;
    let of = &found["properties"];
    assert_eq!(found["name"], "order-approval");
    assert_eq!((&of["bounded"], &of["workflow_net"]), (&json!(true), &json!(false)), "two ends");
    assert_eq!(of["state_space"]["safe"], true);
    assert_eq!(of["state_space"]["live"], false);
    let printed = output(petrel(&["analyse", &sample()])).await;
    let text = String::from_utf8(printed.stdout).unwrap();
    for line in ["order-approval: 8 places", "P-invariants ", "markings ", "deadlock "] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

/// Places one after the other, and a way from each to the next.
fn chain(folder: &tempfile::TempDir, places: usize) -> String {
    let of: Vec<_> = (0..places).map(|n| json!({ "id": format!("p{n}") })).collect();
    let step = |n: usize| {
        let (from, to) = (format!("p{n}"), format!("p{}", n + 1));
        json!({ "id": format!("t{n}"), "from_places": [from], "to_place": to })
    };
    let steps: Vec<_> = (0..places - 1).map(step).collect();
    let definition =
        json!({ "id": "chain", "initial_place": "p0", "places": of, "transitions": steps });
    let file = folder.path().join("chain.json");
    fs::write(&file, definition.to_string()).unwrap();
    file.display().to_string()
}

async fn said(arguments: &[&str]) -> String {
    let found = output(petrel(&[&["analyse"], arguments].concat())).await;
    assert!(found.status.success(), "{}", errors(&found));
    String::from_utf8(found.stdout).unwrap()
}

#[tokio::test]
async fn siphons_and_traps_are_listed_and_one_that_runs_empty_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = chain(&folder, 3);
    let of = &analysed(&[&file]).await["properties"];
    assert_eq!(of["siphons"], json!({ "minimal": [["p0"]], "complete": true }));
    assert_eq!(of["traps"], json!({ "minimal": [["p2"]], "complete": true }));
    assert_eq!(
        (&of["commoner"], &of["siphon_without_marked_trap"]),
        (&json!(false), &json!(["p0"]))
    );
    let text = said(&[&file]).await;
    assert!(text.contains("siphons       1 minimal\n              p0\n"), "{text}");
    assert!(text.contains("Commoner      no: no marked trap in p0\n"), "{text}");
}

#[tokio::test]
async fn a_long_way_to_a_deadlock_is_cut_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let text = said(&[&chain(&folder, 61)]).await;
    assert!(
        text.contains("1 dead marking, the nearest after t0, t1,")
            && text.contains("t19, … 20 more …, t40"),
        "{text}"
    );
}

#[tokio::test]
async fn the_option_that_lifts_a_limit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = said(&[&chain(&folder, 20), "--max-states", "10"]).await;
    let stopped = "limit of 10 states reached; a higher limit may decide it (--max-states)";
    assert!(text.contains(stopped), "{text}");
}

#[tokio::test]
async fn a_place_that_grows_is_shown_with_its_pump() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grows.yaml");
    let definition = "{id: grows, initial_place: a, places: [{id: a}, {id: b}], transitions: \
                      [{id: more, inputs: [{place: a}], outputs: [{place: a}, {place: b}]}]}";
    fs::write(&file, definition).unwrap();
    let found = analysed(&[&file.display().to_string()]).await;
    let of = &found["properties"];
    assert_eq!(of["bounded"], false);
    assert_eq!(of["pump"], json!({ "places": ["b"], "path": [], "pump": ["more"] }));
    assert_eq!(of["state_space"], Value::Null);
}

#[tokio::test]
async fn a_limit_is_named_and_nothing_is_claimed_beyond_it() {
    let Some(folder) = corpus::folder() else { return };
    let net = folder.join("textbook/philosophers-8.pnml").display().to_string();
    let found = analysed(&[&net, "--max-states", "1000"]).await;
    let of = &found["properties"];
    assert_eq!(of["stopped"], "limit of 1000 states reached");
    assert_eq!((&of["state_space"], &of["bounded"]), (&Value::Null, &json!(true)), "invariants");
}

/// The index of the corpus says the same, and the command says it with the same words.
#[tokio::test]
async fn nets_of_others_have_the_properties_that_are_known_of_them() {
    let Some(folder) = corpus::folder() else { return };
    for entry in corpus::index() {
        let few = entry["states"].as_u64().is_some_and(|states| states < 10_000);
        if !few || !entry["expect"].as_str().unwrap().starts_with("accept") {
            continue;
        }
        let file = entry["file"].as_str().unwrap();
        let found = analysed(&[&path(&folder, file)]).await;
        let (of, space) = (&found["properties"], &found["properties"]["state_space"]);
        for (name, value) in [
            ("P", &of["places"]),
            ("T", &of["transitions"]),
            ("tokens", &of["tokens"]),
            ("wf_net", &of["workflow_net"]),
            ("rank", &of["rank"]),
            ("bounded", &of["bounded"]),
            ("states", &space["states"]),
            ("firings", &space["firings"]),
            ("distinct_edges", &space["distinct_edges"]),
            ("dead_markings", &space["dead_markings"]),
            ("k_bound", &space["k_bound"]),
            ("safe", &space["safe"]),
            ("live", &space["live"]),
            ("reversible", &space["reversible"]),
            ("max_tokens_marking", &space["max_tokens"]),
        ] {
            assert!(entry[name].is_null() || entry[name] == *value, "{file}: {name}: {found}");
        }
        let dead = space["dead_transitions"].as_array().unwrap().len();
        assert_eq!(entry["dead_transitions"], dead, "{file}");
    }
}

fn path(folder: &Path, file: &str) -> String {
    folder.join(file).display().to_string()
}

#[tokio::test]
async fn more_tokens_than_64_bits_count_are_said_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let place = |id| {
        let most = u64::MAX;
        format!("<place id='{id}'><initialMarking><text>{most}</text></initialMarking></place>")
    };
    let places: String = ["a", "b", "c"].into_iter().map(place).collect();
    let net = format!(
        "<pnml><net id='full'>{places}<transition id='t'/><arc source='a' target='t'/>\
         <arc source='t' target='b'/></net></pnml>"
    );
    let file = folder.path().join("full.pnml");
    fs::write(&file, net).unwrap();
    let file = file.display().to_string();
    let found = analysed(&[&file]).await;
    assert_eq!(found["properties"]["tokens"], "55340232221128654845");
    assert!(said(&[&file]).await.contains("55340232221128654845 tokens"));
}

/// Branches side by side that begin and end together, as a definition.
fn wide(folder: &tempfile::TempDir) -> String {
    let names = |letter| (0..8).map(move |n| format!("{letter}{n}"));
    let arcs = |letter| names(letter).map(|place| json!({ "place": place })).collect::<Vec<_>>();
    let step = |n: usize| json!({ "id": format!("t{n}"), "from_places": [format!("a{n}")], "to_place": format!("b{n}") });
    let places = ["i".to_owned(), "o".to_owned()].into_iter().chain(names('a')).chain(names('b'));
    let places: Vec<_> = places.map(|id| json!({ "id": id })).collect();
    let mut transitions: Vec<_> = (0..8).map(step).collect();
    // Neither free-choice nor bounded by what the search has seen first.
    let split = json!({ "id": "split", "inputs": [{"place": "i"}], "outputs": arcs('a') });
    let join = json!({ "id": "join", "inputs": arcs('b'), "outputs": [{"place": "o"}] });
    let odd = json!({ "id": "odd", "inputs": [{"place": "a0"}, {"place": "a1"}],
                      "outputs": [{"place": "b0"}, {"place": "b1"}] });
    transitions.extend([split, join, odd]);
    let definition = json!({
        "id": "wide", "initial_place": "i", "places": places, "transitions": transitions,
    });
    let file = folder.path().join("wide.json");
    fs::write(&file, definition.to_string()).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn what_was_seen_until_a_limit_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = wide(&folder);
    let found = analysed(&[&file, "--max-states", "50"]).await;
    let so_far = &found["properties"]["so_far"];
    assert_eq!((&so_far["states"], &so_far["bound_at_least"]), (&json!(50), &json!(1)));
    assert_eq!(so_far["deadlock"], Value::Null);
    assert_eq!(so_far["not_enabled_yet"], json!(["join"]));
    let text = said(&[&file, "--max-states", "50"]).await;
    assert!(text.contains("50 markings found") && text.contains("not enabled yet: join"), "{text}");

    let checked = output(petrel(&["check", &file, "--max-states", "50"])).await;
    let text = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(2), "{text}");
    assert!(text.contains("nothing was wrong in the 50 markings that were found"), "{text}");
    assert!(text.contains("not enabled so far: join"), "{text}");
    assert_eq!(analysed(&[&file]).await["properties"]["so_far"], Value::Null);
}

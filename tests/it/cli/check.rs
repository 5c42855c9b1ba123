//! `petrel check`, and soundness where definitions are stored.

use std::fs;

use serde_json::Value;
use stormpetrel::testing::TestServer;

use super::{errors, json, on, output, petrel, sample, text};

const SOUND: &str = "
id: sound
initial_place: start
places: [{id: start}, {id: end}]
transitions: [{id: go, from_places: [start], to_place: end}]
";

/// A choice, joined as if both branches had been taken.
const DEADLOCK: &str = "
id: stuck
initial_place: start
places: [{id: start}, {id: left}, {id: right}, {id: end}]
transitions:
  - {id: go_left, from_places: [start], to_place: left}
  - {id: go_right, from_places: [start], to_place: right}
  - {id: join, inputs: [{place: left}, {place: right}], outputs: [{place: end}]}
";

fn file(folder: &tempfile::TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

async fn check(arguments: &[&str]) -> (Option<i32>, String) {
    let checked = output(petrel(&[&["check"], arguments].concat())).await;
    let text = String::from_utf8(checked.stdout.clone()).unwrap();
    (checked.status.code(), text + &errors(&checked))
}

#[tokio::test]
async fn the_exit_code_says_sound_unsound_or_unknown_and_no_server_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let sound = file(&folder, "sound.yaml", SOUND);
    let stuck = file(&folder, "stuck.yaml", DEADLOCK);

    let (code, said) = check(&[&sound]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("sound.yaml: sound: sound, by the rank theorem"), "{said}");

    let (code, said) = check(&[&stuck]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("after go_left a case is stuck with a token in left"), "{said}");
    assert!(said.contains("transition join can never fire"), "{said}");

    let (code, said) = check(&["nowhere.yaml"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("can't read nowhere.yaml"), "{said}");
    assert_eq!(said.matches("nowhere.yaml").count(), 1, "{said}");

    assert_eq!(check(&[&sound, "nowhere.yaml"]).await.0, Some(2));
    assert_eq!(check(&[&sound, "nowhere.yaml", &stuck]).await.0, Some(1), "the worst counts");
}

#[tokio::test]
async fn what_has_too_many_markings_for_the_limit_is_unknown_and_the_limit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let branches: String = (0..12)
        .map(|n| {
            format!(
                "  - {{id: do{n}, inputs: [{{place: a{n}}}, {{place: key, kind: read}}], \
                 outputs: [{{place: b{n}}}]}}\n"
            )
        })
        .collect();
    let places: String = (0..12).map(|n| format!("  - id: a{n}\n  - id: b{n}\n")).collect();
    let arcs = |letter| (0..12).map(|n| format!("{{place: {letter}{n}}}")).collect::<Vec<_>>();
    let (begin, end) = (arcs('a').join(", "), arcs('b').join(", "));
    let definition = format!(
        "id: wide\ninitial_place: start\nplaces:\n  - id: start\n  - id: key\n  - id: end\n{places}\
         transitions:\n  - {{id: split, inputs: [{{place: start}}], outputs: [{{place: key}}, {begin}]}}\n\
         {branches}  - {{id: join, inputs: [{{place: key}}, {end}], outputs: [{{place: end}}]}}\n"
    );
    let wide = file(&folder, "wide.yaml", &definition);
    let (code, said) = check(&[&wide, "--max-states", "1000"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("limit of 1000 states reached"), "{said}");
    let (code, said) = check(&[&wide]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("4098 markings"), "two to the twelfth, and both ends: {said}");
}

#[tokio::test]
async fn the_sample_is_sound_and_applying_it_says_so() {
    let (code, said) = check(&[&sample()]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("note: guards are taken as free choices"), "{said}");

    let server = TestServer::start().await;
    let applied = json(&server, &["workflow", "apply", &sample()]).await;
    assert_eq!(applied["items"][0]["analysis"]["verdict"], "sound");
}

#[tokio::test]
async fn an_unsound_definition_is_stored_with_a_warning_unless_only_sound_ones_are_wanted() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let stuck = file(&folder, "stuck.yaml", DEADLOCK);

    let refused = on(&server, &["workflow", "apply", &stuck, "--require-sound"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains("is not sound"), "{}", errors(&refused));
    assert!(errors(&refused).contains("stuck with a token in left"), "{}", errors(&refused));
    let listed = json(&server, &["workflow", "list"]).await;
    assert_eq!(listed["items"], Value::Array(Vec::new()), "nothing was stored");

    let applied = text(&server, &["workflow", "apply", &stuck]).await;
    assert!(applied.starts_with("stuck: created v1, not sound"), "{applied}");
    assert!(applied.contains("after go_left a case is stuck"), "{applied}");
}

#[tokio::test]
async fn a_net_in_a_pnml_file_is_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let sound = file(&folder, "sound.yaml", SOUND);
    let pnml = folder.path().join("sound.pnml").display().to_string();
    let exported = output(petrel(&["export", &sound, "-o", &pnml])).await;
    assert!(exported.status.success(), "{}", errors(&exported));
    let (code, said) = check(&[&pnml]).await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn a_case_is_to_end_in_the_files_final_marking() {
    let folder = tempfile::tempdir().unwrap();
    let net = |place: &str| {
        let places = ["i", "p", "o"].map(|id| format!("<place id='{id}'/>")).concat();
        let arcs = [("i", "t"), ("t", "p"), ("p", "u"), ("u", "o")];
        let arc = |(from, to)| format!("<arc id='{from}{to}' source='{from}' target='{to}'/>");
        let arcs = arcs.map(arc).concat();
        format!(
            "<pnml><net id='n' type='http://www.pnml.org/version-2009/grammar/ptnet'><page id='g'>\
             {places}<transition id='t'/><transition id='u'/>{arcs}</page><finalmarkings><marking>\
             <place idref='{place}'><text>1</text></place></marking></finalmarkings></net></pnml>"
        )
    };
    let (code, said) = check(&[&file(&folder, "end.pnml", &net("o"))]).await;
    assert_eq!((code, said.contains("final markings")), (Some(0), false), "{said}");
    let (code, said) = check(&[&file(&folder, "other.pnml", &net("p"))]).await;
    assert_eq!(code, Some(1), "what has gone on to o never comes back: {said}");
    assert!(said.contains("final markings that are named: a token in p"), "{said}");
    assert!(said.contains("after t, u a case is stuck with a token in o"), "{said}");
}

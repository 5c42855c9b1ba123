//! `petrel import` and `petrel export`.

use std::fs;

use serde_json::Value;
use stormpetrel::testing::TestServer;

use super::{errors, json, on, output, petrel, sample, text};

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/pnml/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Its output, after it went well, without any server.
async fn printed(arguments: &[&str]) -> String {
    let output = output(petrel(arguments)).await;
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Its exit code and its complaint.
async fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = output(petrel(arguments)).await;
    assert!(output.stdout.is_empty());
    (output.status.code(), errors(&output))
}

#[tokio::test]
async fn an_imported_net_is_a_workflow_that_can_be_applied_and_exported() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claims.yaml").display().to_string();
    let net = fixture("read/prom.pnml");
    let written = printed(&["import", &net, "--id", "claims", "-o", &file]).await;
    assert_eq!(written, format!("claims: 2 places, 1 transition in {file}\n"));
    let applied = text(&server, &["workflow", "apply", &file]).await;
    assert!(applied.starts_with("claims: created v1, sound"), "{applied}");

    // The file and the stored workflow are the same net.
    let stored = text(&server, &["export", "claims", "--profile", "prom"]).await;
    assert_eq!(printed(&["export", &file, "--profile", "prom"]).await, stored);
    assert!(stored.contains("<text>register</text>") && stored.contains("<finalmarkings>"));
    let in_json = json(&server, &["export", "claims"]).await;
    assert_eq!(in_json["workflow"], "claims");
    assert!(in_json["pnml"].as_str().unwrap().contains("version-2009/grammar/ptnet"));
    let absent = on(&server, &["export", "nobody"]).await;
    assert_eq!(absent.status.code(), Some(1));
    assert!(errors(&absent).contains("there is no file nobody"), "{}", errors(&absent));
}

#[tokio::test]
async fn import_prints_yaml_or_json_with_an_id_from_the_file() {
    let yaml = printed(&["import", &fixture("read/woped.pnml")]).await;
    assert!(yaml.starts_with("id: woped\n") && yaml.contains("layout:"), "{yaml}");
    let json = printed(&["--json", "import", &fixture("read/woped.pnml"), "--id", "x"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["id"], &json["initial_place"]), (&"x".into(), &"p1".into()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.json");
    printed(&["import", &fixture("read/woped.pnml"), "-o", &file.display().to_string()]).await;
    let written: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(written["id"], "woped");
}

#[tokio::test]
async fn a_file_that_is_refused_is_named_with_line_and_reason() {
    let file = fixture("refused/dangling--arc.pnml");
    let (code, errors) = refused(&["import", &file]).await;
    assert_eq!(code, Some(1));
    for part in [&*file, "line 7, column", "\"elsewhere\"", "[dangling]"] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
    let (_, errors) = refused(&["import", &fixture("read/woped.pnml"), "--strict"]).await;
    assert!(errors.contains("without --strict"), "{errors}");
    let (code, errors) = refused(&["import", "nowhere.pnml"]).await;
    assert_eq!(code, Some(2));
    assert!(errors.contains("can't read nowhere.pnml"), "{errors}");
}

#[tokio::test]
async fn of_several_nets_one_has_to_be_chosen() {
    let file = fixture("read/several-nets.pnml");
    let (code, errors) = refused(&["import", &file]).await;
    assert_eq!(code, Some(2));
    assert!(errors.contains("--net") && errors.contains("2: two (The second"), "{errors}");
    for net in ["2", "two"] {
        let yaml = printed(&["import", &file, "--net", net]).await;
        assert!(yaml.contains("initial_place: q"), "{yaml}");
    }
    let (code, _) = refused(&["import", &file, "--net", "3"]).await;
    assert_eq!(code, Some(2));
}

#[tokio::test]
async fn a_net_that_no_definition_can_hold_is_refused_with_every_reason() {
    let (code, errors) = refused(&["import", &fixture("read/iso.pnml")]).await;
    assert_eq!(code, Some(1));
    assert!(errors.contains("place \"p1\" has 2 tokens"), "{errors}");
}

#[tokio::test]
async fn what_the_standard_cant_say_is_refused_and_prom_gets_it() {
    let (code, problems) = refused(&["export", &sample()]).await;
    assert_eq!(code, Some(1));
    for arc in ["\"stock_pending\" to transition \"reject\"", "\"reserved\" to transition"] {
        assert!(problems.contains(arc), "{arc} in {problems}");
    }
    let shown = output(petrel(&["export", &sample(), "--profile", "prom"])).await;
    assert!(errors(&shown).contains("choose one with --final"), "{}", errors(&shown));
    let file = String::from_utf8(shown.stdout).unwrap();
    // One transition for each place that `approve` may take from.
    for part in ["approve.approval_pending", "approve.on_hold", "<text>reset</text>"] {
        assert!(file.contains(part), "{part} in {file}");
    }
    assert!(!file.contains("<finalmarkings>"));
    let chosen = ["export", &sample(), "--profile", "prom", "--final", "shipped"];
    assert!(printed(&chosen).await.contains("<place idref=\"shipped\">"));
    let (code, errors) = refused(&["export", &sample(), "--final", "shipped"]).await;
    assert_eq!(code, Some(2));
    assert!(errors.contains("--profile prom"), "{errors}");
    let (code, errors) = refused(&["export", &sample(), "--profile", "prom", "--final", "x"]).await;
    assert_eq!(code, Some(2));
    assert!(errors.contains("shipped, rejected"), "{errors}");
}

#[tokio::test]
async fn what_is_passed_over_in_a_file_is_said_by_every_command() {
    let file = fixture("read/woped.pnml");
    for command in ["check", "analyse", "draw", "simulate", "import"] {
        let output = output(petrel(&[command, &file])).await;
        assert!(output.status.success(), "{command}: {}", errors(&output));
        assert!(
            errors(&output).contains("woped.pnml, line 17: <net> was passed over"),
            "{command}"
        );
    }
    let broken = fixture("refused/dangling--arc.pnml");
    for command in ["analyse", "draw", "simulate", "import"] {
        let (code, errors) = refused(&[command, &broken]).await;
        assert_eq!(code, Some(1), "{command}");
        assert!(errors.contains("line 7") && errors.contains("[dangling]"), "{command}: {errors}");
    }
}

#[tokio::test]
async fn a_file_that_is_too_long_is_refused_and_not_read_in_part() {
    let folder = tempfile::tempdir().unwrap();
    // What is read of it would be a definition, but for the rest.
    let path = folder.path().join("long.yaml");
    let mut text = "id: a\nplaces: [{id: p}]\ninitial_place: p\n#".to_owned();
    text.push_str(&" ".repeat(32 * 1024 * 1024));
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    for command in ["draw", "import"] {
        let (code, errors) = refused(&[command, &path]).await;
        assert_eq!(code, Some(1), "{command}");
        assert!(errors.contains("long.yaml: has more than 33554432 bytes"), "{command}: {errors}");
    }
}

#[tokio::test]
async fn output_that_cant_be_written_is_the_same_failure_everywhere() {
    let sample = sample();
    let nowhere = "/nowhere/at/all.svg";
    for arguments in [
        &["draw", &sample, "-o", nowhere][..],
        &["export", &sample, "--profile", "prom", "-o", nowhere],
        &["import", &fixture("read/woped.pnml"), "-o", nowhere],
        &["simulate", &sample, "--log", "/nowhere/at/all.xes"],
    ] {
        let (code, errors) = refused(arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(errors.contains("can't write /nowhere/at/all"), "{errors}");
    }
}

#[tokio::test]
async fn what_a_transition_takes_and_reads_in_one_place_is_asked_for_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("both.yaml");
    let definition = "{id: both, initial_place: i, places: [{id: i}, {id: b}, {id: o}], \
                      transitions: [{id: s, inputs: [{place: i}], outputs: [{place: b}]}, \
                      {id: t, inputs: [{place: b}, {place: b, kind: read}], \
                      outputs: [{place: o}]}]}";
    fs::write(&file, definition).unwrap();
    let file = file.display().to_string();
    let written = printed(&["export", &file, "--profile", "prom"]).await;
    assert_eq!(written.matches("source=\"b\" target=\"t\"").count(), 1, "{written}");
    assert!(written.contains("<text>2</text>"), "{written}");
}

#[tokio::test]
async fn numbers_that_readers_would_take_for_others_are_said_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.yaml");
    let definition = "{id: large, initial_place: i, places: [{id: i}, {id: o}], transitions: \
                      [{id: t, inputs: [{place: i, weight: 9007199254740993}], \
                      outputs: [{place: o}]}]}";
    fs::write(&file, definition).unwrap();
    let file = file.display().to_string();
    let (code, said) = refused(&["export", &file, "--profile", "prom"]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("weight 9007199254740993") && said.contains("ProM"), "{said}");

    let net = folder.path().join("large.pnml").display().to_string();
    let exported = output(petrel(&["export", &file, "-o", &net])).await;
    assert!(exported.status.success());
    assert!(errors(&exported).contains("32 bits"), "{}", errors(&exported));
    let imported = output(petrel(&["--json", "import", &net])).await;
    assert!(errors(&imported).contains("weight 9007199254740993"), "{}", errors(&imported));
    let found: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(found["transitions"][0]["inputs"][0]["weight"], 9_007_199_254_740_993_u64);
}

/// A net as ProM writes it: a silent transition beside a visible one, and a final marking.
fn from_prom(folder: &tempfile::TempDir, name: &str, last: &str) -> String {
    let net = format!(
        "<pnml><net id='{name}' type='http://www.pnml.org/version-2009/grammar/pnmlcoremodel'>\
         <page id='n0'><place id='i'><initialMarking><text>1</text></initialMarking></place>\
         <place id='m'/><place id='o'/><transition id='t'><name><text>a</text></name></transition>\
         <transition id='u'><name><text>tau</text></name><toolspecific tool='ProM' version='6.4' \
         activity='$invisible$' localNodeID='x'/></transition>\
         <transition id='v'><name><text>b</text></name></transition>\
         <arc id='1' source='i' target='t'/><arc id='2' source='t' target='m'/>\
         <arc id='3' source='m' target='u'/><arc id='4' source='u' target='o'/>\
         {last}</page><finalmarkings><marking><place idref='m'><text>1</text></place></marking>\
         </finalmarkings></net></pnml>"
    );
    let file = folder.path().join(format!("{name}.pnml"));
    fs::write(&file, net).unwrap();
    file.display().to_string()
}

const BACK: &str = "<arc id='5' source='o' target='v'/><arc id='6' source='v' target='m'/>";

#[tokio::test]
async fn a_final_marking_in_the_middle_decides_and_is_exported_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = from_prom(&folder, "middle", BACK);
    let said = printed(&["check", &file]).await;
    assert!(said.contains("middle: sound") && said.contains("final markings"), "{said}");
    let yaml = folder.path().join("middle.yaml").display().to_string();
    printed(&["import", &file, "-o", &yaml]).await;
    let said = printed(&["check", &yaml]).await;
    assert!(said.contains("middle: sound") && said.contains("does not complete"), "{said}");
    let exported = printed(&["export", &yaml, "--profile", "prom"]).await;
    assert!(exported.contains("<place idref=\"m\">"), "{exported}");
    let other = printed(&["export", &yaml, "--profile", "prom", "--final", "o"]).await;
    assert!(!other.contains("idref=\"m\"") && other.contains("idref=\"o\""), "{other}");
    let standard = output(petrel(&["export", &yaml])).await;
    assert!(errors(&standard).contains("no final markings"), "{}", errors(&standard));
}

#[tokio::test]
async fn a_silent_transition_is_silent_in_definitions_exports_logs_and_drawings() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = from_prom(&folder, "quiet", BACK);
    let yaml = folder.path().join("quiet.yaml").display().to_string();
    printed(&["import", &file, "-o", &yaml]).await;
    assert!(fs::read_to_string(&yaml).unwrap().contains("silent: true"));
    let exported = printed(&["export", &yaml, "--profile", "prom"]).await;
    assert_eq!(exported.matches("activity=\"$invisible$\"").count(), 1, "{exported}");
    let drawn = printed(&["draw", &yaml, "--format", "dot"]).await;
    assert!(drawn.contains("fontcolor=\"#ffffff\", label=\"tau\""), "{drawn}");

    text(&server, &["workflow", "apply", &yaml]).await;
    text(&server, &["case", "start", "quiet", "--id", "one"]).await;
    for step in ["t", "u", "v", "u"] {
        text(&server, &["fire", step, "--workflow", "quiet", "--case", "one"]).await;
    }
    for (format, activity) in [("xes", "value=\"a\""), ("csv", ",a,"), ("ocel2", "\"type\":\"a\"")]
    {
        let log = folder.path().join(format).display().to_string();
        let export = ["history", "export", "quiet", "--format", format, "-o", &log];
        let said = text(&server, &export).await;
        assert!(said.contains("events: 2, left out: 2 silent firings"), "{said}");
        let log = fs::read_to_string(&log).unwrap();
        assert!(log.contains(activity) && !log.contains("tau"), "{log}");
    }
    let log = folder.path().join("runs.csv").display().to_string();
    printed(&["simulate", &yaml, "--cases", "3", "--log", &log]).await;
    assert!(!fs::read_to_string(&log).unwrap().contains("tau"));
}

#[tokio::test]
async fn what_fires_by_itself_comes_back_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let [yaml, pnml, again] = ["w.yaml", "w.pnml", "again.yaml"]
        .map(|name| folder.path().join(name).display().to_string());
    let definition = "id: w\ninitial_place: a\nmax_cascade: 5000\nplaces: [{id: a}, {id: b}]\n\
        transitions: [{id: t, from_places: [a], to_place: b, auto: true, priority: -3}]\n";
    fs::write(&yaml, definition).unwrap();
    for profile in ["iso", "prom"] {
        printed(&["export", &yaml, "--profile", profile, "-o", &pnml]).await;
        printed(&["import", &pnml, "--id", "w", "-o", &again]).await;
        let read = fs::read_to_string(&again).unwrap();
        for kept in ["max_cascade: 5000", "auto: true", "priority: -3"] {
            assert!(read.contains(kept), "{profile}: {kept}: {read}");
        }
    }
}

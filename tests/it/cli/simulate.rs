use super::*;

const SAMPLE: &str = "samples/order-approval.yaml";

async fn simulated(arguments: &[&str]) -> Value {
    let output = output(petrel(&[&["simulate", "--json"], arguments].concat())).await;
    assert!(output.status.success(), "{}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The document without the parts that no seed decides.
fn decided(mut report: Value) -> Value {
    report.as_object_mut().unwrap().remove("firings_per_second");
    report
}

#[tokio::test]
async fn the_sample_is_played_out_the_same_for_the_same_seed() {
    let arguments = [SAMPLE, "--cases", "500", "--seed", "9"];
    let report = decided(simulated(&arguments).await);
    assert_eq!(report, decided(simulated(&arguments).await));
    assert_eq!((&report["cases"], &report["completed"]), (&Value::from(500), &Value::from(500)));
    assert_eq!(report["dead_end"], Value::Null);
    assert_eq!(report["transitions"]["submit"], 500);
    assert_ne!(report, decided(simulated(&[SAMPLE, "--cases", "500"]).await));
}

#[tokio::test]
async fn weights_change_how_often_something_happens() {
    let fired = async |weight: &str| {
        let report = simulated(&[SAMPLE, "--cases", "2000", "--weight", weight]).await;
        report["transitions"]["reject"].as_u64().unwrap()
    };
    assert_eq!(fired("reject=0").await, 0);
    assert!(fired("reject=0.1").await < fired("reject=10").await);
    // An id means all alternatives of a transition.
    let report = simulated(&[SAMPLE, "--weight", "approve=0"]).await;
    let never = &report["never_fired"];
    let expected = ["approve.approval_pending", "approve.on_hold", "ship"];
    assert_eq!(*never, Value::from(expected.to_vec()));
    let wrong = output(petrel(&["simulate", SAMPLE, "--weight", "aprove=2"])).await;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(errors(&wrong).contains("there is no transition aprove"), "{}", errors(&wrong));
    for wrong in ["approve", "approve=x", "approve=-1", "approve=nan"] {
        let wrong = output(petrel(&["simulate", SAMPLE, "--weight", wrong])).await;
        assert_eq!(wrong.status.code(), Some(2));
    }
}

#[tokio::test]
async fn a_dead_end_is_shown_with_the_way_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stuck.yaml").to_str().unwrap().to_owned();
    let definition = "
id: stuck
initial_place: i
places: [{id: i}, {id: a}, {id: b}, {id: o}]
transitions:
  - {id: left, from_places: [i], to_place: a}
  - {id: right, from_places: [i], to_place: b}
  - {id: join, inputs: [{place: a}, {place: b}], outputs: [{place: o}]}
";
    std::fs::write(&path, definition).unwrap();
    let report = simulated(&[&path]).await;
    assert_eq!((&report["completed"], &report["dead_ends"]), (&Value::from(0), &Value::from(1000)));
    assert_eq!(report["dead_end"]["firings"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["dead_end"]["marking"].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(report["never_fired"], serde_json::json!(["join"]));
    let said = output(petrel(&["simulate", &path])).await;
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("a dead end: ") && said.contains("never fired: join"), "{said}");
}

#[tokio::test]
async fn simulated_cases_are_an_event_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (csv, xes) = (path("a.csv"), path("a.xes"));
    let report = simulated(&[SAMPLE, "--cases", "20", "--log", &csv]).await;
    simulated(&[SAMPLE, "--cases", "20", "--log", &xes]).await;
    let events = report["firings"].as_u64().unwrap();
    let csv = std::fs::read_to_string(csv).unwrap();
    assert_eq!(csv.lines().count() as u64, events + 1);
    assert!(csv.contains("Submit the order") && csv.contains("2000-01-01T00:00:00"), "{csv}");
    let xes = std::fs::read_to_string(xes).unwrap();
    let document = roxmltree::Document::parse(&xes).unwrap();
    let count =
        |tag: &str| document.descendants().filter(|of| of.tag_name().name() == tag).count() as u64;
    assert_eq!((count("trace"), count("event")), (20, events));
    let wrong = output(petrel(&["simulate", SAMPLE, "--log", "a.txt"])).await;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(errors(&wrong).contains(".csv or .xes"), "{}", errors(&wrong));
}

#[tokio::test]
async fn transitions_of_a_pnml_file_are_told_apart_whatever_their_ids_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let transition = |id: &str| {
        format!(
            "<transition id='{id}'/><arc source='p' target='{id}'/><arc source='{id}' target='q'/>"
        )
    };
    let transitions: String = ["pay.cash", "pay.card", "t0"].map(transition).concat();
    let net = format!(
        "<pnml><net id='n'><place id='p'><initialMarking><text>1</text></initialMarking></place>\
         <place id='q'/>{transitions}</net></pnml>"
    );
    std::fs::write(path("n.pnml"), net).unwrap();
    simulated(&[&path("n.pnml"), "--cases", "200", "--log", &path("a.csv")]).await;
    let csv = std::fs::read_to_string(path("a.csv")).unwrap();
    let activities: std::collections::BTreeSet<_> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').skip(2).take(2).collect::<Vec<_>>().join(" is "))
        .collect();
    let expected = ["t0 is t0", "t0_ is pay.cash", "t1 is pay.card"];
    assert_eq!(activities.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let wrong = output(petrel(&["simulate", &path("n.pnml"), "--weight", "pay=0"])).await;
    assert!(errors(&wrong).contains("there is no transition pay"), "{}", errors(&wrong));
}

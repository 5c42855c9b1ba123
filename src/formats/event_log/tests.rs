use std::{
    collections::{BTreeMap, HashSet},
    io::Cursor,
};

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::models::{Fence, LogSequence, StoredDefinition, Version};

/// A record as the log would have it, with the fields of `more`.
fn stored(case: &str, sequence: u64, at: &str, more: Value) -> Stored<Record> {
    let mut record = json!({
        "format": 1, "kind": "fired", "workflow": "orders", "case": case, "definition": 1,
        "time": "2026-01-01T00:00:00Z", "firing": format!("f-{sequence}"), "marking": [],
        "status": "running", "tokens_made": 1,
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Stored {
        value: serde_json::from_value(record).unwrap(),
        sequence: LogSequence::new(sequence).unwrap(),
        timestamp: at.parse().unwrap(),
        subject: String::new(),
        fence: Fence::Unchecked,
        hash: String::new(),
    }
}

fn token(case: &str, number: u64, place: &str) -> Value {
    json!({
        "id": format!("{case}-tag-{number}"), "workflow": "orders", "case": case, "place": place,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    })
}

fn at(case: &str, number: u64, place: &str) -> Value {
    json!({"token": format!("{case}-tag-{number}"), "place": place})
}

/// Two cases: one goes through a split and a join with the server's clock going back, one is
/// cancelled at once.
fn orders() -> Vec<Stored<Record>> {
    let created = |case| json!({"kind": "created", "produced": [token(case, 1, "draft")]});
    vec![
        stored("a", 2, "2026-01-01T10:00:00.000000900Z", created("a")),
        stored(
            "a",
            4,
            "2026-01-01T10:00:01.000001900Z",
            json!({"transition": "split", "by": "Ann <ann@x.org> & \"Bob\"",
                   "consumed": [at("a", 1, "draft")],
                   "produced": [token("a", 2, "left"), token("a", 3, "right")]}),
        ),
        stored(
            "a",
            5,
            "2026-01-01T10:00:01.000001999Z",
            json!({"transition": "join", "status": "completed", "read": [at("a", 3, "right")],
                   "consumed": [at("a", 2, "left")], "removed": [at("a", 3, "right")],
                   "produced": [token("a", 2, "done")]}),
        ),
        stored("b", 3, "2026-01-01T09:00:00Z", created("b")),
        stored(
            "b",
            6,
            "2026-01-01T09:00:01Z",
            json!({"kind": "cancelled", "status": "cancelled", "removed": [at("b", 1, "draft")]}),
        ),
    ]
}

fn options(lifecycle: bool) -> Options {
    let definition = json!({
        "id": "orders", "initial_place": "draft", "places": [{"id": "draft"}],
        "transitions": [{"id": "split", "name": "Split, \"both\""}, {"id": "join"}],
    });
    let definition = StoredDefinition {
        definition: serde_json::from_value(definition).unwrap(),
        version: Version::FIRST,
        sequence: LogSequence::FIRST,
        stored_at: DateTime::default(),
    };
    Options {
        name: "orders".to_owned(),
        labels: Labels::of([&definition]),
        lifecycle,
        raw_cells: true,
    }
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Xes,
    Csv,
    Ocel2,
}

fn export(format: Format, lifecycle: bool, records: &[Stored<Record>]) -> (String, Written) {
    export_with(format, options(lifecycle), records)
}

fn export_with(format: Format, options: Options, records: &[Stored<Record>]) -> (String, Written) {
    let mut sink = Vec::new();
    let to = &mut sink;
    let mut log: Box<dyn EventLog> = match format {
        Format::Xes => Box::new(Xes::new(to, options).unwrap()),
        Format::Csv => Box::new(Csv::new(to, options).unwrap()),
        Format::Ocel2 => Box::new(Ocel2::new(to, Cursor::new(Vec::new()), options).unwrap()),
    };
    records.iter().for_each(|record| log.record(record.into()).unwrap());
    let written = log.finish().unwrap();
    (String::from_utf8(sink).unwrap(), written)
}

#[test]
fn an_example_in_every_format() {
    for format in [Format::Xes, Format::Csv, Format::Ocel2] {
        let (text, written) = export(format, false, &orders());
        assert_eq!(written, Written { cases: 2, events: 2, silent: 0 });
        insta::assert_snapshot!(format!("{format:?}"), text.replace("\r\n", "⏎\n"));
        let (text, written) = export(format, true, &orders());
        assert_eq!(written, Written { cases: 2, events: 5, silent: 0 });
        assert!(text.contains("cancelled"));
    }
}

#[test]
fn an_empty_log_is_a_whole_document() {
    assert!(export(Format::Xes, false, &[]).0.ends_with("</log>\n"));
    assert_eq!(export(Format::Csv, false, &[]).0.lines().count(), 1);
    let ocel: Value = serde_json::from_str(&export(Format::Ocel2, false, &[]).0).unwrap();
    assert_eq!((&ocel["events"], &ocel["objects"]), (&json!([]), &json!([])));
}

#[test]
fn what_xml_cant_have_is_replaced_and_the_rest_comes_back() {
    let who = "a\u{0}b\u{b}c\u{fffe}\t\r\n<&>\"'é🦀";
    let record = stored("a", 1, "2026-01-01T00:00:00Z", json!({"by": who, "transition": "t"}));
    let (text, _) = export(Format::Xes, false, &[record]);
    let expected = "value=\"a\u{fffd}b\u{fffd}c\u{fffd}&#9;&#13;&#10;&lt;&amp;&gt;&quot;'é🦀\"";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_token_that_no_case_can_have_made_is_an_error_in_ocel() {
    let mut forged = token("a", 1, "draft");
    forged["id"] = json!("forged");
    let record = stored("a", 1, "2026-01-01T00:00:00Z", json!({"produced": [forged]}));
    let mut log = Ocel2::new(Vec::new(), Cursor::new(Vec::new()), options(true)).unwrap();
    let error = log.record((&record).into()).unwrap_err();
    assert!(error.to_string().contains("token forged has no number"), "{error}");
}

/// Events of some cases, by case, at any times.
fn logs() -> impl Strategy<Value = Vec<Stored<Record>>> {
    let step = (0..3usize, 0..2_000u64, ".{0,12}");
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let mut cases: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for (sequence, (case, nanoseconds, by)) in (1..).zip(steps) {
            let nanoseconds = i64::try_from(nanoseconds).unwrap() * 7;
            let time: DateTime<Utc> = DateTime::from_timestamp_nanos(nanoseconds);
            let more = json!({"transition": "split", "by": by, "consumed": [at("x", 1, "p")]});
            let record = stored(&format!("-c{case}"), sequence, &time.to_rfc3339(), more);
            cases.entry(case).or_default().push(record);
        }
        cases.into_values().flatten().collect()
    })
}

#[test]
fn no_cell_of_csv_is_a_formula_unless_cells_are_wanted_raw() {
    let hostile = ["=HYPERLINK(\"http://evil\")", "+1", "-1", "@a", "\t=1", "\r=1", "＝1", "a=1"];
    for raw_cells in [false, true] {
        let options = Options { raw_cells, ..options(true) };
        let mut text = Vec::new();
        let mut log = Box::new(Csv::new(&mut text, options).unwrap());
        for (number, by) in (10..).zip(hostile) {
            let record = stored("-c", number, "2026-01-01T00:00:00Z", json!({ "by": by }));
            log.record((&record).into()).unwrap();
        }
        log.finish().unwrap();
        let mut reader = ::csv::Reader::from_reader(&text[..]);
        for (row, by) in reader.records().map(Result::unwrap).zip(hostile) {
            let sign = if raw_cells || by == "a=1" { "" } else { "'" };
            assert_eq!(row[5], format!("{sign}{by}"));
            assert_eq!(&row[0], if raw_cells { "-c" } else { "'-c" });
        }
    }
}

proptest! {
    #[test]
    fn times_strictly_increase_in_a_case_and_cells_come_back(records in logs()) {
        let (text, written) = export(Format::Csv, false, &records);
        prop_assert_eq!(written.events, records.len() as u64);
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        prop_assert_eq!(rows.len(), records.len());
        let mut last: Option<(String, DateTime<Utc>, u64)> = None;
        for (row, record) in rows.iter().zip(&records) {
            prop_assert_eq!(&row[0], record.value.case.as_str());
            prop_assert_eq!(&row[5], record.value.by.as_deref().unwrap());
            let time: DateTime<Utc> = row[4].parse().unwrap();
            let number: u64 = row[1].parse().unwrap();
            match &last {
                Some((case, before, count)) if *case == row[0] => {
                    prop_assert!(time > *before);
                    prop_assert_eq!(number, count + 1);
                }
                _ => prop_assert_eq!(number, 1),
            }
            last = Some((row[0].to_owned(), time, number));
        }
    }

    #[test]
    fn every_value_in_xes_is_one_attribute(records in logs()) {
        let (text, _) = export(Format::Xes, false, &records);
        prop_assert!(text.chars().all(|c| c == '\n' || c >= ' '));
        for line in text.lines().filter(|line| line.contains("org:resource")) {
            let value = line.split_once("value=\"").unwrap().1.strip_suffix("\"/>").unwrap();
            prop_assert!(!value.contains(['<', '>', '"']));
        }
        prop_assert_eq!(text.matches("<event>").count(), records.len());
        prop_assert_eq!(text.matches("<trace>").count(), text.matches("</trace>").count());
    }
}

#[test]
fn in_ocel_every_object_and_type_that_is_named_is_there_once() {
    let (text, _) = export(Format::Ocel2, true, &orders());
    let ocel: Value = serde_json::from_str(&text).unwrap();
    let names = |list: &str, key: &str| -> Vec<String> {
        let list = ocel[list].as_array().unwrap().iter();
        list.map(|item| item[key].as_str().unwrap().to_owned()).collect()
    };
    let objects: HashSet<_> = names("objects", "id").into_iter().collect();
    assert_eq!(objects.len(), names("objects", "id").len());
    assert_eq!(objects.len(), 2 + 4);
    for item in ocel["events"].as_array().unwrap().iter().chain(ocel["objects"].as_array().unwrap())
    {
        for related in item["relationships"].as_array().unwrap() {
            assert!(objects.contains(related["objectId"].as_str().unwrap()), "{related}");
        }
    }
    for (list, types) in [("events", "eventTypes"), ("objects", "objectTypes")] {
        let types = names(types, "name");
        assert!(names(list, "type").iter().all(|name| types.contains(name)));
    }
    let join = &ocel["events"][2];
    let qualifiers: Vec<_> = join["relationships"].as_array().unwrap().iter().collect();
    let qualifiers: Vec<_> =
        qualifiers.iter().map(|related| related["qualifier"].as_str().unwrap()).collect();
    assert_eq!(qualifiers, ["case", "consumed", "read", "removed", "produced"]);
}

#[test]
fn a_silent_firing_is_no_event_and_the_log_is_whole_without_it() {
    for format in [Format::Xes, Format::Csv, Format::Ocel2] {
        for (lifecycle, events, silent) in [(false, 1, 1), (true, 5, 0)] {
            let mut options = options(lifecycle);
            let definition = json!({
                "id": "orders", "initial_place": "draft", "places": [{"id": "draft"}],
                "transitions": [{"id": "split", "silent": true}, {"id": "join"}],
            });
            let definition = StoredDefinition {
                definition: serde_json::from_value(definition).unwrap(),
                version: Version::FIRST,
                sequence: LogSequence::FIRST,
                stored_at: DateTime::default(),
            };
            options.labels = Labels::of([&definition]);
            let (text, written) = export_with(format, options, &orders());
            assert_eq!(written, Written { cases: 2, events, silent }, "{format:?}");
            assert_eq!(text.contains("split"), lifecycle, "{text}");
            if let Format::Ocel2 = format {
                let ocel: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(ocel["objects"].as_array().unwrap().len(), 2 + 4, "tokens stay");
            }
        }
    }
}

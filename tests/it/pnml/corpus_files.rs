use std::fs;

use serde_json::Value;
use stormpetrel::formats::pnml::{self, Document, Kind, Mode, PnmlError};

use crate::corpus;

/// The difference from the index, if any.
fn difference(read: &Result<Document, PnmlError>, known: &Value) -> Option<String> {
    let document = match read {
        Ok(document) => document,
        Err(error) => return Some(format!("refused: {error}")),
    };
    let [net] = &document.nets[..] else {
        return Some(format!("{} nets", document.nets.len()));
    };
    let tokens: u64 = net.petri().initial().iter().sum();
    let counts = [net.places.len(), net.transitions.len(), net.arcs.len()];
    let found = counts.map(|count| count as u64).into_iter().chain([tokens]);
    found.zip(["P", "T", "A", "tokens"]).find_map(|(found, what)| {
        let known = known[what].as_u64().expect("the index says it of every net that is accepted");
        (found != known).then(|| format!("{what} is {found}, not {known}"))
    })
}

/// The fault of a refusal, if any.
fn wrong_refusal(read: &Result<Document, PnmlError>, reason: &str, text: &str) -> Option<String> {
    match read {
        Ok(_) => Some("accepted".to_owned()),
        Err(error) if error.kind.code() != reason => Some(format!("refused as {error:?}")),
        Err(error) if error.line < 1 || error.line > text.lines().count().max(1) => {
            Some(format!("line {} of {}", error.line, text.lines().count()))
        }
        Err(_) => None,
    }
}

#[test]
fn every_file_of_the_corpus_is_accepted_or_refused_as_its_index_says() {
    let mut wrong = Vec::new();
    for known in corpus::index() {
        let file = known["file"].as_str().unwrap();
        let bytes = fs::read(corpus::folder().unwrap().join(file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let lenient = pnml::read(&bytes, Mode::Lenient);
        let strict = pnml::read(&bytes, Mode::Strict);
        let problem = match known["expect"].as_str().unwrap().split_once(':') {
            Some(("reject", reason)) => wrong_refusal(&lenient, reason, &text)
                .or_else(|| strict.is_ok().then(|| "strict mode accepts it".to_owned())),
            Some(("reject-strict", reason)) => {
                difference(&lenient, &known).or_else(|| wrong_refusal(&strict, reason, &text))
            }
            _ if known["iso_rng_valid"] == true => {
                difference(&lenient, &known).or_else(|| match &strict {
                    // The grammar was checked without ids, and one file has one twice.
                    Err(error) if error.kind == Kind::DuplicateId => None,
                    _ => difference(&strict, &known),
                })
            }
            _ => difference(&lenient, &known),
        };
        wrong.extend(problem.map(|problem| format!("{file}: {problem}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_industrial_nets_are_read() {
    let nets = corpus::industrial();
    assert!(corpus::folder().is_none() || nets.len() == 1386, "{} nets", nets.len());
    for (net, _) in nets {
        assert_eq!(net.petri().initial().iter().sum::<u64>(), 1, "{}", net.id);
    }
}

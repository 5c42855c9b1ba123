//! Files that are made to harm end soon.

use std::time::{Duration, Instant};

use stormpetrel::formats::pnml::{
    self, Document, Kind, MAX_BYTES, MAX_DEPTH, MAX_NETS, Mode, PnmlError,
};

use super::standard;

/// Far more than any of them takes, even in a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn read(text: &str) -> Result<Document, PnmlError> {
    let before = Instant::now();
    let read = pnml::read(text.as_bytes(), Mode::Lenient);
    assert!(before.elapsed() < SOON, "{:?}", before.elapsed());
    read
}

#[test]
fn endless_nesting_is_refused_of_whatever_element_it_is() {
    for (open, within) in [
        ("<page>", ""),
        ("<page><net>", ""),
        ("<a>", "<toolspecific>"),
        ("<a>", "<place id='p'><graphics>"),
    ] {
        let text = standard(&format!("{within}{}", open.repeat(20_000)));
        assert_eq!(read(&text).unwrap_err().kind, Kind::Depth, "{within}{open}");
    }
    let deep = MAX_DEPTH - 3;
    let text = standard(&("<page>".repeat(deep) + &"</page>".repeat(deep)));
    assert_eq!(read(&text).unwrap().nets[0].pages.len(), deep + 1);
}

#[test]
fn a_file_over_the_limit_is_refused_before_it_is_read() {
    let error = read(&" ".repeat(MAX_BYTES + 1)).unwrap_err();
    assert_eq!(error.kind, Kind::Size);
    let nets = format!("<pnml>{}</pnml>", "<net/>".repeat(MAX_NETS + 1));
    assert_eq!(read(&nets).unwrap_err().kind, Kind::Size);
}

#[test]
fn long_chains_and_many_of_one_thing_take_no_more_than_their_length() {
    let count = 50_000;
    let chain: String =
        (0..count).map(|n| format!("<referencePlace id='r{n}' ref='r{}'/>", n + 1)).collect();
    let chain = standard(&format!("{chain}<place id='r{count}'/>"));
    assert_eq!(read(&chain).unwrap().nets[0].references.len(), count);

    let attributes: String = (0..count).map(|n| format!(" a{n}=''")).collect();
    let read_one = read(&standard(&format!("<place id='p'{attributes}/>"))).unwrap();
    assert!(read_one.notes.len() <= 100, "{} notes", read_one.notes.len());

    let namespaces: String = (0..count).map(|n| format!(" xmlns:a{n}='b'")).collect();
    assert_eq!(read(&standard(&format!("<page{namespaces}/>"))).unwrap_err().kind, Kind::Xml);

    let entry = "<place idref='p'/>".repeat(count);
    let marking = format!("<finalmarkings><marking>{entry}</marking></finalmarkings>");
    let error = read(&format!("<pnml><net><place id='p'/>{marking}</net></pnml>")).unwrap_err();
    assert_eq!(error.kind, Kind::DuplicateLabel);
}

#[test]
fn entities_are_never_expanded() {
    let laughs = "<!DOCTYPE pnml [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    assert_eq!(read(&format!("{laughs}{}", standard(""))).unwrap_err().kind, Kind::Dtd);
    let used = standard("<place id='p'><name><text>&b;</text></name></place>");
    assert_eq!(read(&used).unwrap_err().kind, Kind::Dtd);
    let in_attribute = standard("<place id='&b;'/>");
    assert!(read(&in_attribute).is_err());
}

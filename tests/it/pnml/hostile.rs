//! Files that are made to harm: reading them ends. A step that takes time in the square of
//! their length would hang here.

use stormpetrel::formats::pnml::{
    self, Document, Kind, MAX_BYTES, MAX_DEPTH, MAX_NETS, Mode, PnmlError,
};

use super::standard;

/// Reads a file, and makes nets of an accepted one.
fn read(text: &str) -> Result<Document, PnmlError> {
    let read = pnml::read(text.as_bytes(), Mode::Lenient)?;
    for net in &read.nets {
        assert_eq!(net.petri().places.len(), net.places.len());
    }
    Ok(read)
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
    let notes = read_one.notes;
    assert_eq!(notes.len(), 101);
    assert_eq!(
        notes[100].message,
        format!("and {} more, of other kinds, from here on", count - 100)
    );

    let namespaces: String = (0..count).map(|n| format!(" xmlns:a{n}='b'")).collect();
    assert_eq!(read(&standard(&format!("<page{namespaces}/>"))).unwrap_err().kind, Kind::Xml);

    let arc = "<arc source='p' target='t'><type value='read'/></arc>".repeat(count);
    let reading = read(&standard(&format!("<place id='p'/><transition id='t'/>{arc}"))).unwrap();
    assert_eq!(reading.nets[0].petri().transitions[0].arcs.inputs.len(), 1);
    assert!(pnml::write(&reading.nets, pnml::Profile::Prom).is_ok());

    let drawn = "<line/>".repeat(count) + &"<fill/>".repeat(count);
    let drawn = format!("<place id='p'><graphics>{drawn}</graphics></place>");
    assert!(read(&standard(&drawn)).is_ok());

    let entry = "<place idref='p'/>".repeat(count);
    let marking = format!("<finalmarkings><marking>{entry}</marking></finalmarkings>");
    let error = read(&format!("<pnml><net><place id='p'/>{marking}</net></pnml>")).unwrap_err();
    assert_eq!(error.kind, Kind::DuplicateLabel);
}

#[test]
fn a_namespace_is_not_copied_into_notes_without_end() {
    let notes = "<toolspecific tool='t'><x:a/></toolspecific>".repeat(1000);
    let file = |namespace: &str| format!("<pnml xmlns:x='{namespace}'><net>{notes}</net></pnml>");
    assert_eq!(read(&file("urn:x")).unwrap().nets[0].tool_specific.len(), 1000);
    assert_eq!(read(&file(&"x".repeat(100_000))).unwrap_err().kind, Kind::Size);
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

use stormpetrel::formats::pnml::{self, Kind, Mode};

use super::standard;

/// A file whose one place has the name Prüfung, with this encoding named.
fn text(encoding: &str) -> String {
    let page = "<place id=\"p\"><name><text>Prüfung</text></name></place>";
    format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n{}", standard(page))
}

fn name(bytes: &[u8], mode: Mode) -> String {
    let document = pnml::read(bytes, mode).unwrap();
    document.nets[0].places[0].name.clone().unwrap()
}

#[test]
fn every_encoding_that_xml_files_come_in_is_read() {
    let utf16 = |units: fn(u16) -> [u8; 2], mark: bool| -> Vec<u8> {
        let mark = if mark { "\u{FEFF}" } else { "" };
        (mark.to_owned() + &text("UTF-16")).encode_utf16().flat_map(units).collect()
    };
    let latin1 = |encoding: &str| -> Vec<u8> {
        text(encoding).chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
    };
    for bytes in [
        text("UTF-8").into_bytes(),
        ("\u{FEFF}".to_owned() + &text("UTF-8")).into_bytes(),
        text("utf-8").replace('"', "'").into_bytes(),
        standard("<place id=\"p\"><name><text>Prüfung</text></name></place>").into_bytes(),
        utf16(u16::to_le_bytes, true),
        utf16(u16::to_be_bytes, true),
        utf16(u16::to_le_bytes, false),
        utf16(u16::to_be_bytes, false),
        latin1("ISO-8859-1"),
        latin1("iso-8859-15"),
        latin1("windows-1252"),
    ] {
        assert_eq!(name(&bytes, Mode::Strict), "Prüfung", "{:?}", &bytes[..40]);
    }
    // What some writers do, who name the encoding of the string that they had in memory.
    assert_eq!(name(text("UTF-16").as_bytes(), Mode::Lenient), "Prüfung");
    let refused = pnml::read(text("UTF-16").as_bytes(), Mode::Strict).unwrap_err();
    assert_eq!(refused.kind, Kind::Encoding);
}

#[test]
fn bytes_that_are_not_in_the_encoding_are_refused_where_they_are() {
    let bytes: Vec<u8> =
        text("UTF-8").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let refused = pnml::read(&bytes, Mode::Lenient).unwrap_err();
    assert_eq!((refused.kind, refused.line), (Kind::Encoding, 2));
    assert!(refused.message.contains("ISO-8859-1"), "{refused}");

    let unknown = pnml::read(text("EBCDIC-9").as_bytes(), Mode::Lenient).unwrap_err();
    assert_eq!(unknown.kind, Kind::Encoding);
    let odd = pnml::read(b"\xFF\xFE<\0p", Mode::Lenient).unwrap_err();
    assert_eq!(odd.kind, Kind::Encoding);
    let marks = "\u{FEFF}\u{FEFF}<pnml/>";
    assert_eq!(pnml::read(marks.as_bytes(), Mode::Lenient).unwrap_err().kind, Kind::Encoding);
    let wide = pnml::read(b"\xFF\xFE\0\0<\0\0\0", Mode::Lenient).unwrap_err();
    assert!(wide.message.contains("UTF-32"));
}

#[test]
fn characters_that_xml_has_no_place_for_are_refused() {
    for character in ["\u{1}", "\u{B}", "\u{FFFE}", "\u{FFFF}", "&#0;", "&#1;", "&#xFFFE;"] {
        for part in ["<name><text>{}</text></name>", "<place id=\"{}\"/>", "<toolspecific>{}"] {
            let part = part.replace("{}", character);
            let text = standard(&format!("<place id=\"p\"/>\n{part}"));
            let refused = pnml::read(text.as_bytes(), Mode::Lenient).unwrap_err();
            assert_eq!((refused.kind, refused.line), (Kind::Xml, 2), "{part:?}");
        }
    }
    let name = "<place id=\"p\"><name><text>a&#9;b&#x1F600;</text></name></place>";
    let read = pnml::read(standard(name).as_bytes(), Mode::Strict).unwrap();
    assert_eq!(read.nets[0].places[0].name.as_deref(), Some("a\tb😀"));
}

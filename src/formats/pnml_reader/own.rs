//! Our own notes: one element each, however another tool has written it again.

use quick_xml::{
    Reader, XmlVersion,
    escape::unescape,
    events::{BytesStart, Event},
};

use super::{Work, position::excerpt};
use crate::{
    formats::xml_text::escaped,
    models::{
        ActivityDefaults, IdError,
        petri::{Timed, Way},
    },
};

/// A note of ours.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::formats) enum Own {
    /// The id that the file's stands for.
    Id(String),
    /// The transition is no activity.
    Silent,
    /// The transition fires by itself, with this rank.
    Immediate(i32),
    /// The transition fires by itself at this time.
    Timed(Timed),
    /// A worker does something before the transition fires.
    Activity(Work),
    /// Defaults of activities.
    Defaults(Box<ActivityDefaults>),
    /// The most firings by themselves that may follow one change.
    MaxCascade(u32),
}

impl Own {
    /// The content of the note.
    pub(in crate::formats) fn content(&self) -> String {
        match self {
            Self::Id(id) => format!("<id>{}</id>", escaped(id)),
            Self::Silent => "<silent/>".to_owned(),
            Self::Immediate(rank) => format!("<immediate priority=\"{rank}\"/>"),
            Self::Timed(Timed::After(after)) => format!("<timed after=\"{}\"/>", escaped(after)),
            Self::Timed(Timed::At(at)) => format!("<timed at=\"{}\"/>", escaped(at)),
            Self::Activity(work) => activity(work),
            Self::Defaults(defaults) => format!("<defaults>{}</defaults>", json(defaults)),
            Self::MaxCascade(most) => format!("<cascade most=\"{most}\"/>"),
        }
    }

    /// Reads the content of a note of ours; `None` if a later version wrote it. It has the reason
    /// if a number is none.
    pub(in crate::formats) fn read(content: &str) -> Result<Option<Self>, String> {
        let mut reader = Reader::from_str(content);
        loop {
            return match reader.read_event() {
                Ok(Event::Text(text)) if text.trim().is_empty() => continue,
                Ok(Event::Comment(_) | Event::PI(_)) => continue,
                Ok(Event::Empty(tag)) => Self::of(&tag, ""),
                Ok(Event::Start(tag)) => match reader.read_text(tag.name()) {
                    Ok(text) => Self::of(&tag, &text),
                    Err(_) => Ok(None),
                },
                _ => Ok(None),
            };
        }
    }

    fn of(tag: &BytesStart<'_>, text: &str) -> Result<Option<Self>, String> {
        Ok(Some(match tag.local_name().as_ref() {
            "id" => match unescape(text) {
                Ok(id) => Self::Id(id.into_owned()),
                Err(_) => return Ok(None),
            },
            "silent" => Self::Silent,
            "immediate" => Self::Immediate(number(tag, "priority")?),
            "timed" => match (attribute(tag, "after"), attribute(tag, "at")) {
                (Some(after), None) => Self::Timed(Timed::After(after)),
                (None, Some(at)) => Self::Timed(Timed::At(at)),
                _ => {
                    let reason = "our note <timed> has one of the attributes after and at";
                    return Err(reason.to_owned());
                }
            },
            "activity" => Self::Activity(work(tag, text)?),
            "defaults" => match read_json(tag, text)? {
                Some(defaults) => Self::Defaults(defaults),
                None => return Err("our note <defaults> is empty; remove it".to_owned()),
            },
            "cascade" => Self::MaxCascade(number(tag, "most")?),
            _ => return Ok(None),
        }))
    }
}

/// A way is in attributes, and the activity in JSON, as definitions have it.
fn activity(work: &Work) -> String {
    let mut note = "<activity".to_owned();
    let mut attribute = |name: &str, value: &str| {
        note.push_str(&format!(" {name}=\"{}\"", escaped(value)));
    };
    if let Some(Way { of, from, outcome }) = &work.way {
        attribute("of", of.as_str());
        from.iter().for_each(|from| attribute("from", from.as_str()));
        outcome.iter().for_each(|outcome| attribute("outcome", outcome.as_str()));
    }
    match &work.activity {
        Some(activity) => note.push_str(&format!(">{}</activity>", json(activity))),
        None => note.push_str("/>"),
    }
    note
}

fn work(tag: &BytesStart<'_>, text: &str) -> Result<Work, String> {
    fn id<T: std::str::FromStr<Err = IdError>>(
        tag: &BytesStart<'_>,
        name: &str,
    ) -> Result<Option<T>, String> {
        let value = attribute(tag, name).map(|value| value.trim().parse()).transpose();
        value.map_err(|error| format!("{name} of our note <activity>: {error}"))
    }
    let (of, from, outcome) = (id(tag, "of")?, id(tag, "from")?, id(tag, "outcome")?);
    let way = match of {
        Some(of) => Some(Way { of, from, outcome }),
        None if from.is_some() || outcome.is_some() => {
            return Err(
                "our note <activity> lacks the attribute of; add it, or remove the note".to_owned()
            );
        }
        None => None,
    };
    let activity = read_json(tag, text)?;
    if way.is_none() && activity.is_none() {
        return Err("our note <activity> is empty; write {} into it, or remove it".to_owned());
    }
    Ok(Work { way, activity })
}

/// A value as JSON for the content of an element. What XML has no place for is spelled in JSON's way.
fn json(of: &impl serde::Serialize) -> String {
    // Invariant: parts of definitions were read from JSON, or could have been.
    let json = serde_json::to_string(of).expect("a part of a definition");
    let json = json.replace('\u{FFFE}', "\\ufffe").replace('\u{FFFF}', "\\uffff");
    escaped(&json).replace("&quot;", "\"")
}

/// The value in the content of an element; `None` if it has none.
fn read_json<T: serde::de::DeserializeOwned>(
    tag: &BytesStart<'_>,
    text: &str,
) -> Result<Option<T>, String> {
    let element = tag.local_name();
    let element: &str = element.as_ref();
    let wrong =
        |reason: String| format!("our note <{element}>: {reason}; mend it, or remove the note");
    let text = text.trim();
    let plain = text.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>"));
    let text = match plain {
        Some(plain) => plain.to_owned(),
        None => unescape(text).map_err(|error| wrong(error.to_string()))?.into_owned(),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str(&text).map(Some).map_err(|error| wrong(error.to_string()))
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).ok().flatten()?;
    Some(attribute.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}

fn number<T: std::str::FromStr>(tag: &BytesStart<'_>, name: &str) -> Result<T, String> {
    let element = tag.local_name();
    let element: &str = element.as_ref();
    let Some(value) = attribute(tag, name) else {
        let advice = "add it, or remove the note";
        return Err(format!("our note <{element}> lacks the attribute {name}; {advice}"));
    };
    value.trim().parse().map_err(|_| {
        format!("{name} of our note <{element}> is {}; write a whole number", excerpt(&value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Activity, OutcomeId, PlaceId, TransitionId};

    fn way(from: Option<&str>, outcome: Option<&str>) -> Way {
        Way {
            of: TransitionId::new("t").unwrap(),
            from: from.map(|from| PlaceId::new(from).unwrap()),
            outcome: outcome.map(|outcome| OutcomeId::new(outcome).unwrap()),
        }
    }

    #[test]
    fn a_note_is_read_as_xml() {
        for (content, own) in [
            ("<immediate priority=\"3\"/>", Some(Own::Immediate(3))),
            ("<immediate priority='-3' />", Some(Own::Immediate(-3))),
            ("\n <ns0:immediate\n priority = \" 3 \"></ns0:immediate>\n", Some(Own::Immediate(3))),
            ("<!-- first --><immediate priority=\"&#51;\"/>", Some(Own::Immediate(3))),
            ("<silent></silent>", Some(Own::Silent)),
            ("<ns0:silent />", Some(Own::Silent)),
            ("<ns0:id >a&lt;b&#xE4;</ns0:id>", Some(Own::Id("a<b\u{e4}".to_owned()))),
            ("<cascade most=\"10000\" />", Some(Own::MaxCascade(10_000))),
            ("<later x=\"1\"/>", None),
            ("text", None),
            ("", None),
        ] {
            assert_eq!(Own::read(content), Ok(own), "{content}");
        }
        for content in [
            "<immediate/>",
            "<immediate priority=\"\"/>",
            "<immediate priority=\"high\"/>",
            "<immediate priority=\"2147483648\"/>",
            "<cascade most=\"-1\"/>",
        ] {
            let reason = Own::read(content).unwrap_err();
            assert!(reason.contains("priority") || reason.contains("most"), "{reason}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for own in [
            Own::Id("<a&\"b\u{fc}>".to_owned()),
            Own::Silent,
            Own::Immediate(i32::MIN),
            Own::Timed(Timed::After("30s".to_owned())),
            Own::Timed(Timed::At("timestamp(token.data.at) < \"x\"\n".to_owned())),
            Own::MaxCascade(1),
            Own::Activity(Work { way: None, activity: Some(Box::default()) }),
            Own::Activity(Work {
                way: Some(way(None, None)),
                activity: Some(Box::new(Activity {
                    input: Some("{'a': \"<&quot;\u{FFFE}\n]]>\"}".to_owned()),
                    ..Activity::default()
                })),
            }),
            Own::Activity(Work { way: Some(way(Some("p"), Some("yes"))), activity: None }),
            Own::Defaults(Box::default()),
        ] {
            assert_eq!(Own::read(&own.content()), Ok(Some(own)));
        }
    }
}

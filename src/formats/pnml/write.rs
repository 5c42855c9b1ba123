//! Writing nets, in one of two profiles.

use super::{
    Direction, NodeGraphics, Part, PnmlNet, Point, ToolSpecific, arc_kind,
    id::{Ids, TOOL},
    net_type,
    own::Own,
    read::NAMESPACE,
    representable::{self, Unwritable},
    silent,
    written_arcs::{self, WrittenArc},
    xml_out::{XmlOut, only_elements},
};
use crate::models::ArcKind;

/// The readers that a file is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The standard's place/transition nets. It has no read, inhibitor and reset arcs, no
    /// capacities and no final markings.
    Iso,
    /// The dialect of ProM and PM4Py: names as labels of activities, the final marking, inhibitor
    /// and reset arcs. A read arc is written as two arcs, one that takes and one that gives back.
    Prom,
}

/// A node's size for readers that want one with a position, in their own default.
const DIMENSION: Point = Point { x: 25.0, y: 25.0 };

/// Writes a file with these nets; the reasons if a net can't be written exactly.
///
/// Arcs that lead the same way between the same two are one, whose weight is their sum. There is
/// one page; references are not written, since the arcs lead to their targets. An id that is no
/// plain XML name is spelled out, and read back as it was.
pub fn write(nets: &[PnmlNet], profile: Profile) -> Result<String, Unwritable> {
    representable::check(nets, profile)?;
    let mut writing = Writing { xml: XmlOut::new(), profile, ids: Ids::default() };
    match profile {
        Profile::Iso => writing.xml.start("pnml", &[("xmlns", NAMESPACE)]),
        // They read their own files, which name no namespace, most surely.
        Profile::Prom => writing.xml.start("pnml", &[]),
    }
    for net in nets {
        writing.net(net);
    }
    Ok(writing.xml.finish())
}

struct Writing {
    xml: XmlOut,
    profile: Profile,
    ids: Ids,
}

impl Writing {
    fn net(&mut self, net: &PnmlNet) {
        let net_type = match self.profile {
            Profile::Iso => net_type::STANDARD,
            Profile::Prom => net_type::CORE,
        };
        let places: Vec<_> = net.places.iter().map(|place| self.ids.take(&place.id)).collect();
        let transitions: Vec<_> = net.transitions.iter().map(|t| self.ids.take(&t.id)).collect();
        let id = self.ids.take(if net.id.is_empty() { "net" } else { &net.id });
        let page = self.ids.take("page");
        let mut noted = vec![Vec::new(); 2 + net.places.len() + net.transitions.len()];
        let mut of_arcs = vec![Vec::new(); net.arcs.len()];
        for note in &net.tool_specific {
            match note.part {
                Part::Net | Part::Page(_) | Part::Reference(_) => noted[0].push(note),
                Part::Place(place) => noted[1 + place].push(note),
                Part::Transition(t) => noted[1 + net.places.len() + t].push(note),
                Part::Arc(arc) => of_arcs[arc].push(note),
            }
        }
        self.xml.start("net", &[("id", &id), ("type", net_type)]);
        if let Some(name) = &net.name {
            self.name(name, None);
        }
        if let Some(most) = net.max_cascade {
            self.own(&Own::MaxCascade(most));
        }
        if let Some(defaults) = &net.defaults {
            self.own(&Own::Defaults(Box::new(defaults.clone())));
        }
        self.noted(&noted[0]);
        self.xml.start("page", &[("id", &page)]);
        for (index, place) in net.places.iter().enumerate() {
            self.xml.start("place", &[("id", &places[index])]);
            self.node(&place.id, &places[index], place.name.as_deref(), place.graphics.as_deref());
            if place.tokens > 0 {
                self.label("initialMarking", &place.tokens.to_string(), None);
            }
            self.noted(&noted[1 + index]);
            self.xml.end();
        }
        for (index, transition) in net.transitions.iter().enumerate() {
            let id = &transitions[index];
            self.xml.start("transition", &[("id", id)]);
            let name = transition.name.as_deref();
            self.node(&transition.id, id, name, transition.graphics.as_deref());
            if transition.silent {
                self.silent();
            }
            if let Some(rank) = transition.immediate {
                self.own(&Own::Immediate(rank));
            }
            if let Some(timed) = &transition.timed {
                self.own(&Own::Timed(timed.clone()));
            }
            if let Some(work) = &transition.work {
                self.own(&Own::Activity(work.clone()));
            }
            let mut noted = std::mem::take(&mut noted[1 + net.places.len() + index]);
            noted.retain(|note| self.profile == Profile::Iso || !silent::misread(note));
            self.noted(&noted);
            self.xml.end();
        }
        for arc in written_arcs::of(net) {
            let ends = (&*places[arc.first.place], &*transitions[arc.first.transition]);
            let noted = arc.of.iter().flat_map(|of| std::mem::take(&mut of_arcs[*of]));
            self.arc(&arc, ends, &noted.collect::<Vec<_>>());
        }
        self.xml.end();
        if self.profile == Profile::Prom {
            self.final_marking(net, &places);
        }
        self.xml.end();
    }

    fn node(
        &mut self,
        original: &str,
        id: &str,
        name: Option<&str>,
        graphics: Option<&NodeGraphics>,
    ) {
        let offset = graphics.and_then(|graphics| graphics.name_offset);
        match name {
            Some(name) => self.name(name, offset),
            // Process mining takes the name for the activity.
            None if self.profile == Profile::Prom => self.name(original, offset),
            None => {}
        }
        if id != original {
            self.own(&Own::Id(original.to_owned()));
        }
        let Some(NodeGraphics { position: Some(position), dimension, .. }) = graphics else {
            return;
        };
        self.xml.start("graphics", &[]);
        self.point("position", *position);
        match (self.profile, dimension) {
            (Profile::Iso, Some(dimension)) => self.dimension(*dimension),
            (Profile::Iso, None) => {}
            (Profile::Prom, dimension) => self.point("dimension", dimension.unwrap_or(DIMENSION)),
        }
        self.xml.end();
    }

    /// The note that a transition is no activity: ours in files of the standard, whose notes have
    /// no attributes of their own.
    fn silent(&mut self) {
        let activity = ("activity", silent::INVISIBLE);
        let prom = [("tool", silent::PROM), ("version", "6.4"), activity];
        match self.profile {
            Profile::Iso => self.own(&Own::Silent),
            Profile::Prom => self.xml.raw("toolspecific", &prom, ""),
        }
    }

    fn own(&mut self, note: &Own) {
        let ours = [("tool", TOOL), ("version", "1")];
        self.xml.raw("toolspecific", &ours, &note.content());
    }

    /// Writes an arc between a place and a transition.
    fn arc(
        &mut self,
        arc: &WrittenArc<'_>,
        (place, transition): (&str, &str),
        noted: &[&ToolSpecific],
    ) {
        let (source, target) = match arc.direction {
            Direction::ToTransition => (place, transition),
            Direction::ToPlace => (transition, place),
        };
        let id = if arc.first.id.is_empty() { "arc" } else { &arc.first.id };
        let id = match arc.gives_back {
            true => self.ids.take(&format!("{id}_back")),
            false => self.ids.take(id),
        };
        self.xml.start("arc", &[("id", &id), ("source", source), ("target", target)]);
        let graphics = arc.first.graphics.as_deref().filter(|_| !arc.gives_back);
        let offset = graphics.and_then(|graphics| graphics.weight_offset);
        if let Some(weight) = arc.weight.filter(|weight| *weight != 1) {
            self.label("inscription", &weight.to_string(), offset);
        }
        let points = graphics.map_or(&[][..], |graphics| &graphics.points);
        if !points.is_empty() {
            self.xml.start("graphics", &[]);
            points.iter().for_each(|point| self.point("position", *point));
            self.xml.end();
        }
        if matches!(arc.kind, ArcKind::Inhibitor | ArcKind::Reset) {
            self.label("arctype", arc_kind::name(arc.kind), None);
        }
        self.noted(noted);
        self.xml.end();
    }

    fn final_marking(&mut self, net: &PnmlNet, places: &[String]) {
        let Some(entries) = net.final_marking_entries.first() else { return };
        self.xml.start("finalmarkings", &[]);
        self.xml.start("marking", &[]);
        for (place, tokens) in entries {
            self.xml.start("place", &[("idref", &places[*place])]);
            self.xml.element("text", &tokens.to_string());
            self.xml.end();
        }
        self.xml.end();
        self.xml.end();
    }

    /// Writes a name. PM4Py takes everything in it for the name, the graphics too.
    fn name(&mut self, name: &str, offset: Option<Point>) {
        self.label("name", name, offset.filter(|_| self.profile == Profile::Iso));
    }

    fn label(&mut self, label: &'static str, text: &str, offset: Option<Point>) {
        self.xml.start(label, &[]);
        self.xml.element("text", text);
        if let Some(offset) = offset {
            self.xml.start("graphics", &[]);
            self.point("offset", offset);
            self.xml.end();
        }
        self.xml.end();
    }

    fn point(&mut self, name: &str, point: Point) {
        self.xml.empty(name, &[("x", &point.x.to_string()), ("y", &point.y.to_string())]);
    }

    /// Writes a size: four digits in the standard, one after the point, and above 0.
    fn dimension(&mut self, Point { x, y }: Point) {
        let [x, y] = [x, y].map(|size| (size * 10.0).round() / 10.0);
        if [x, y].iter().all(|size| (0.1..=999.9).contains(size)) {
            self.point("dimension", Point { x, y });
        }
    }

    /// Writes the notes of tools, except where the standard's grammar has no place for one.
    fn noted(&mut self, noted: &[&ToolSpecific]) {
        for note in noted {
            let foreign = note.attributes.iter().any(|(key, _)| !key.starts_with("xmlns:"));
            if self.profile == Profile::Iso && (foreign || !only_elements(&note.content)) {
                continue;
            }
            let mut attributes = vec![("tool", &*note.tool), ("version", &*note.version)];
            attributes.extend(note.attributes.iter().map(|(key, value)| (&**key, &**value)));
            self.xml.raw("toolspecific", &attributes, &note.content);
        }
    }
}

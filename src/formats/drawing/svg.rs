//! SVG.

use std::fmt::Write;

use super::super::xml_text::escaped;
use super::{
    Drawing,
    geometry::{Area, Path, Point, Step},
    label::{self, FONT, LINE},
    scene::{Arc, Node, Scene, TITLE_FONT},
    shape::Mark,
    tokens::{self, Tokens},
};

// Colours: the picture has a background of its own, so it can be read on any page.
const BACKGROUND: &str = "#ffffff";
const INK: &str = "#1f2937";
const LINES: &str = "#475569";
const BOX: &str = "#eef2f7";
const MARKED: (&str, &str) = ("#fef3c7", "#b45309");
const ENABLED: (&str, &str) = ("#dcfce7", "#15803d");
const SILENT: &str = "#334155";

/// An arrow head's length and half its width.
const HEAD: (f64, f64) = (9.0, 3.6);

/// The radius of an inhibitor arc's circle.
const CIRCLE: f64 = 4.0;

/// The whole document.
pub(super) fn document(drawing: &Drawing<'_>) -> String {
    let scene = Scene::of(drawing);
    let enabled = tokens::enabled(drawing);
    let mut out = String::new();
    let (width, height) = (number(scene.width.ceil()), number(scene.height.ceil()));
    let named = match (drawing.title, drawing.net.name.as_str()) {
        ("", "") => "Petri net",
        ("", name) => name,
        (title, _) => title,
    };
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" \
         font-size=\"{FONT}\" text-anchor=\"middle\">\n<title>{}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"{BACKGROUND}\"/>",
        escaped(named)
    );
    if !scene.title.is_empty() {
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" font-size=\"{TITLE_FONT}\" font-weight=\"bold\" fill=\"{INK}\">{}</text>",
            number(scene.width / 2.0),
            number(TITLE_FONT + 8.0),
            escaped(&scene.title)
        );
    }
    let places = drawing.net.places.len();
    let _ = writeln!(out, "<g fill=\"none\" stroke=\"{LINES}\" stroke-width=\"1.3\">");
    scene.arcs.iter().for_each(|arc| write_arc(&mut out, drawing, arc));
    out.push_str("</g>\n");
    let _ = writeln!(out, "<g fill=\"{INK}\" stroke=\"{INK}\">");
    for (number, node) in scene.nodes.iter().enumerate() {
        match number.checked_sub(places) {
            None => write_place(&mut out, drawing, number, node),
            Some(transition) => {
                write_transition(&mut out, drawing, transition, node, enabled[transition]);
            }
        }
    }
    out.push_str("</g>\n");
    out.push_str(&halo());
    for (text, area) in scene.arcs.iter().filter_map(|arc| arc.weight.as_ref()) {
        write_text(&mut out, std::slice::from_ref(text), area, FONT);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Opens a group of texts that can be read on top of lines.
fn halo() -> String {
    format!(
        "<g fill=\"{INK}\" stroke=\"{BACKGROUND}\" stroke-width=\"4\" stroke-linejoin=\"round\" paint-order=\"stroke\">\n"
    )
}

fn write_place(out: &mut String, drawing: &Drawing<'_>, index: usize, node: &Node) {
    let place = &drawing.net.places[index];
    let count = drawing.tokens(index);
    let (fill, stroke) = match drawing.marking {
        Some(_) if count > 0 => MARKED,
        _ => (BACKGROUND, INK),
    };
    let mut about = match &place.name {
        Some(name) => format!("{name} ({})", place.id),
        None => place.id.clone(),
    };
    let _ = write!(about, ": {count} token{}", if count == 1 { "" } else { "s" });
    if let Some(capacity) = place.capacity {
        let _ = write!(about, ", capacity {capacity}");
    }
    let Point { x, y } = node.body.middle;
    let _ = write!(
        out,
        "<g class=\"place\" data-id=\"{}\"><title>{}</title>\
         <circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"1.6\"/>",
        escaped(&place.id),
        escaped(&about),
        number(x),
        number(y),
        number(node.body.width / 2.0)
    );
    out.push_str("<g stroke=\"none\">");
    match tokens::tokens(count) {
        Tokens::Dots(dots) => {
            for (dx, dy) in dots {
                let (x, y) = (number(x + dx), number(y + dy));
                let _ = write!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\"/>");
            }
        }
        Tokens::Number(text) => {
            let room = node.body.width - 6.0;
            let size = (room / label::width(&text, 1.0)).min(15.0);
            write_text(out, &[text], &Area::new(node.body.middle, room, LINE), size);
        }
    }
    out.push_str("</g>");
    if let Some(area) = &node.label {
        out.push_str(halo().trim_end());
        write_text(out, &node.shape.label, area, FONT);
        out.push_str("</g>");
    }
    out.push_str("</g>\n");
}

fn write_transition(
    out: &mut String,
    drawing: &Drawing<'_>,
    index: usize,
    node: &Node,
    enabled: bool,
) {
    let transition = &drawing.net.transitions[index];
    let (fill, stroke) = if enabled { ENABLED } else { (BOX, INK) };
    // As everybody draws them: filled, in an enabled one's outline if it is that.
    let (fill, text) = if transition.silent { (SILENT, BACKGROUND) } else { (fill, INK) };
    let mut about = match &transition.name {
        Some(name) => format!("{name} ({})", transition.id),
        None => transition.id.clone(),
    };
    if transition.silent {
        about.push_str(", silent");
    }
    if transition.immediate.is_some() {
        about.push_str(", fires by itself");
    }
    if let Some(timed) = &transition.timed {
        let _ = write!(about, ", fires by itself {}", label::timed(timed));
    }
    if let Some(work) = &transition.work {
        let _ = write!(about, ", {}", label::work(work));
    }
    if enabled {
        about.push_str(": enabled");
    }
    let (left, top, _, _) = node.body.sides();
    let _ = write!(
        out,
        "<g class=\"transition\" data-id=\"{}\"><title>{}</title>\
         <rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\" fill=\"{fill}\" stroke=\"{stroke}\" \
         stroke-width=\"{}\"/>",
        escaped(&transition.id),
        escaped(&about),
        number(left),
        number(top),
        number(node.body.width),
        number(node.body.height),
        if enabled { "2.2" } else { "1.6" }
    );
    if transition.immediate.is_some() {
        // A bar, as textbooks draw those that take no time.
        let (x, y, height) = (number(left), number(top), number(node.body.height));
        let _ = write!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"5\" height=\"{height}\" fill=\"{INK}\" stroke=\"none\"/>"
        );
    }
    if transition.timed.is_some() {
        // A clock in the corner, as business process diagrams draw timers.
        let right = left + node.body.width;
        let _ = write!(
            out,
            "<g fill=\"{BACKGROUND}\" stroke=\"{INK}\" stroke-width=\"1.2\"><circle cx=\"{0}\" \
             cy=\"{1}\" r=\"6\"/><path d=\"M{0} {2}V{1}H{3}\" fill=\"none\"/></g>",
            number(right),
            number(top),
            number(top - 4.0),
            number(right + 3.0)
        );
    }
    if transition.work.is_some() {
        write_gear(out, Point::new(left + node.body.width, top));
    }
    if !node.shape.label.is_empty() {
        let colour = if text == INK { String::new() } else { format!(" fill=\"{text}\"") };
        let _ = write!(out, "<g stroke=\"none\"{colour}>");
        write_text(out, &node.shape.label, &node.body, FONT);
        out.push_str("</g>");
    }
    out.push_str("</g>\n");
}

/// Writes a gear around a point, as business process diagrams draw what a service does.
fn write_gear(out: &mut String, middle: Point) {
    /// The teeth, and the radii of their tips and roots.
    const TEETH: u32 = 8;
    const TIP: f64 = 8.0;
    const ROOT: f64 = 5.6;
    let around = |part: f64, radius: f64| {
        let angle = part / f64::from(TEETH) * std::f64::consts::TAU;
        point(Point::new(middle.x + angle.sin() * radius, middle.y - angle.cos() * radius))
    };
    let tooth = |tooth: u32| {
        let tooth = f64::from(tooth);
        // Wider at the root than at the tip.
        [(-0.28, ROOT), (-0.17, TIP), (0.17, TIP), (0.28, ROOT)]
            .map(|(part, radius)| around(tooth + part, radius))
            .join("L")
    };
    let outline = (0..TEETH).map(tooth).collect::<Vec<_>>().join("L");
    let _ = write!(
        out,
        "<g class=\"gear\" fill=\"{BACKGROUND}\" stroke=\"{INK}\" stroke-width=\"1.2\" \
         stroke-linejoin=\"round\"><path d=\"M{outline}Z\"/><circle cx=\"{}\" cy=\"{}\" r=\"2.2\"/></g>",
        number(middle.x),
        number(middle.y)
    );
}

/// Writes lines around the middle of an area.
fn write_text(out: &mut String, lines: &[String], area: &Area, size: f64) {
    let Point { x, y } = area.middle;
    // Letters without descenders are about 0.7 of the size high.
    let first = y + size * 0.35 - (lines.len() as f64 - 1.0) * LINE / 2.0;
    for (at, line) in lines.iter().enumerate() {
        let y = number(first + at as f64 * LINE);
        let size =
            if size == FONT { String::new() } else { format!(" font-size=\"{}\"", number(size)) };
        let _ = write!(out, "<text x=\"{}\" y=\"{y}\"{size}>{}</text>", number(x), escaped(line));
    }
    if area.height == LINE && lines.len() == 1 {
        out.push('\n');
    }
}

fn write_arc(out: &mut String, drawing: &Drawing<'_>, arc: &Arc) {
    let (place, transition) =
        (&drawing.net.places[arc.link.place].id, &drawing.net.transitions[arc.link.transition].id);
    let (from, to) = match arc.link.mark {
        Mark::Produce => (transition, place),
        _ => (place, transition),
    };
    let _ = write!(
        out,
        "<g class=\"arc {}\" data-from=\"{}\" data-to=\"{}\">",
        arc.link.mark.name(),
        escaped(from),
        escaped(to)
    );
    let tip = arc.path.end();
    let back = arc.path.before_end();
    let behind = |length: f64| tip.moved(tip, back, length);
    let (line, dashes) = match arc.link.mark {
        Mark::Consume | Mark::Produce => (behind(HEAD.0 - 1.0), ""),
        Mark::Reset => (behind(HEAD.0 * 2.0 - 2.0), ""),
        Mark::Inhibitor => (behind(CIRCLE * 2.0), ""),
        Mark::Read => (tip, " stroke-dasharray=\"5 3\""),
    };
    let _ = write!(out, "<path d=\"{}\"{dashes}/>", d(&arc.path, line));
    match arc.link.mark {
        Mark::Consume | Mark::Produce => head(out, tip, back),
        Mark::Reset => {
            head(out, tip, back);
            head(out, behind(HEAD.0 - 1.0), back);
        }
        Mark::Inhibitor => {
            let Point { x, y } = behind(CIRCLE);
            let (x, y) = (number(x), number(y));
            let _ =
                write!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{CIRCLE}\" fill=\"{BACKGROUND}\"/>");
        }
        Mark::Read => {}
    }
    out.push_str("</g>\n");
}

fn head(out: &mut String, tip: Point, back: Point) {
    let base = tip.moved(tip, back, HEAD.0);
    let length = tip.distance(base).max(1e-9);
    let (nx, ny) = ((tip.y - base.y) / length * HEAD.1, (base.x - tip.x) / length * HEAD.1);
    let _ = write!(
        out,
        "<path d=\"M{}L{}L{}Z\" fill=\"{LINES}\" stroke=\"none\"/>",
        point(tip),
        point(Point::new(base.x + nx, base.y + ny)),
        point(Point::new(base.x - nx, base.y - ny))
    );
}

/// The path's data, ending at `end` instead of its own end.
fn d(path: &Path, end: Point) -> String {
    let mut d = format!("M{}", point(path.start));
    for (at, step) in path.steps.iter().enumerate() {
        let last = at + 1 == path.steps.len();
        match step {
            Step::Line(to) => d.push_str(&format!("L{}", point(if last { end } else { *to }))),
            Step::Curve(first, second, to) => d.push_str(&format!(
                "C{} {} {}",
                point(*first),
                point(*second),
                point(if last { end } else { *to })
            )),
        }
    }
    d
}

fn point(point: Point) -> String {
    format!("{} {}", number(point.x), number(point.y))
}

/// A number to a tenth, without needless characters.
fn number(value: f64) -> String {
    let tenths = (value * 10.0).round() / 10.0;
    // Minus zero is zero.
    let text = format!("{:.1}", tenths + 0.0);
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

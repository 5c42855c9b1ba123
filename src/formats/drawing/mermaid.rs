//! Mermaid's flowcharts. They have no read, inhibitor or reset arcs: a read arc is a dotted
//! line, an inhibitor arc ends in a circle, and a reset arc says `reset`. Mermaid refuses to
//! draw more than 500 arcs unless the page that shows them allows it.

use std::fmt::Write;

use super::{
    Drawing, label,
    shape::{self, Mark},
    tokens,
};

/// The whole flowchart.
pub(super) fn flowchart(drawing: &Drawing<'_>) -> String {
    let net = drawing.net;
    let enabled = tokens::enabled(drawing);
    let mut out = String::new();
    let title = label::shown(drawing.title);
    if !title.is_empty() {
        // A JSON string is a YAML string; what HTML could read as a tag is escaped too.
        let title = serde_json::Value::from(title).to_string().replace('<', "\\u003c");
        let _ = writeln!(out, "---\ntitle: {title}\n---");
    }
    out.push_str("flowchart LR\n");
    for (number, place) in net.places.iter().enumerate() {
        let count = drawing.tokens(number);
        let mut lines = vec![label::shown(place.label())];
        lines.extend((count > 0).then(|| tokens::text(count)));
        lines.extend(place.capacity.map(|capacity| format!("k={capacity}")));
        let class = if drawing.marking.is_some() && count > 0 { ":::marked" } else { "" };
        let _ = writeln!(out, "  p{number}(({})){class}", quoted(&lines));
    }
    for (number, transition) in net.transitions.iter().enumerate() {
        let class = match (enabled[number], transition.silent) {
            (true, _) => ":::enabled",
            (false, true) => ":::silent",
            (false, false) if transition.immediate.is_some() => ":::immediate",
            (false, false) => "",
        };
        let mut lines = vec![label::shown(transition.label())];
        let timed = transition.timed.iter();
        lines.extend(timed.flat_map(|of| label::wrap(&label::timed(of), 160.0, 1)));
        lines.extend(label::outcome(transition).iter().flat_map(|of| label::wrap(of, 160.0, 1)));
        let text = quoted(&lines);
        // A box with double sides, as flowcharts draw what is done elsewhere. It has no tooltip.
        let _ = match transition.work.is_some() {
            true => writeln!(out, "  t{number}[[{text}]]{class}"),
            false => writeln!(out, "  t{number}[{text}]{class}"),
        };
    }
    for link in shape::links(net) {
        let (place, transition) = (format!("p{}", link.place), format!("t{}", link.transition));
        let weight = link.weight_shown();
        let (from, to, arrow, text) = match link.mark {
            Mark::Consume => (place, transition, "-->", weight),
            Mark::Produce => (transition, place, "-->", weight),
            Mark::Read => (place, transition, "-.-", weight),
            Mark::Inhibitor => (place, transition, "--o", weight),
            Mark::Reset => (place, transition, "-->", Some("reset".to_owned())),
        };
        let text = text.map_or_else(String::new, |text| format!("|{}|", quoted(&[text])));
        let _ = writeln!(out, "  {from} {arrow}{text} {to}");
    }
    if net.transitions.iter().any(|transition| transition.silent) {
        out.push_str("  classDef silent fill:#334155,stroke:#1f2937,color:#ffffff\n");
    }
    if net.transitions.iter().any(|transition| transition.immediate.is_some()) {
        out.push_str("  classDef immediate stroke-width:4px\n");
    }
    if drawing.marking.is_some() {
        out.push_str("  classDef marked fill:#fef3c7,stroke:#b45309,color:#1f2937\n");
        out.push_str("  classDef enabled fill:#dcfce7,stroke:#15803d,color:#1f2937\n");
    }
    out
}

/// A quoted text. Letters, digits and harmless signs stay; all else is written by its number,
/// since Mermaid reads Markdown, HTML and icons in texts.
fn quoted(lines: &[String]) -> String {
    let mut out = String::from("\"");
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            out.push_str("<br/>");
        }
        // An empty text would be no text.
        let line = if line.is_empty() { " " } else { line };
        for (at, c) in line.char_indices() {
            // `1. ` and `- ` would begin a list.
            let lists = matches!(c, '.' | '-') && line[at + 1..].starts_with(' ');
            let harmless =
                matches!(c, ' ' | '_' | '-' | '.' | ',' | '=' | '(' | ')' | '?' | '!' | '/' | '\'');
            match c {
                c if c.is_ascii() && (lists || !(harmless || c.is_ascii_alphanumeric())) => {
                    let _ = write!(out, "#{};", u32::from(c));
                }
                c => out.push(c),
            }
        }
    }
    out.push('"');
    out
}

//! The language of Graphviz. `dot` is told in its own words of everything that it can draw; it
//! makes the layout itself.

use std::fmt::Write;

use super::{
    Drawing, label,
    shape::{self, Mark},
    tokens,
};

/// The whole graph.
pub(super) fn digraph(drawing: &Drawing<'_>) -> String {
    let net = drawing.net;
    let enabled = tokens::enabled(drawing);
    let name = if drawing.title.is_empty() { &net.name } else { drawing.title };
    let mut out = format!(
        "digraph {} {{\n  rankdir=LR;\n  node [fontname=\"Helvetica\", fontsize=11];\n  \
         edge [fontname=\"Helvetica\", fontsize=10, arrowsize=0.8];\n",
        quoted(name)
    );
    if !drawing.title.is_empty() {
        let _ = writeln!(out, "  label={};\n  labelloc=t;", quoted(drawing.title));
    }
    for (number, place) in net.places.iter().enumerate() {
        let count = drawing.tokens(number);
        let mut below = label::wrap(place.label(), 100.0, 2);
        below.extend(place.capacity.map(|capacity| format!("k={capacity}")));
        let colour = match drawing.marking {
            Some(_) if count > 0 => ", style=filled, fillcolor=\"#fef3c7\"",
            _ => "",
        };
        let _ = writeln!(
            out,
            "  p{number} [shape=circle, fixedsize=true, width=0.55, label={}, xlabel={}, tooltip={}{colour}];",
            quoted(&tokens::text(count)),
            quoted(&below.join("\n")),
            quoted(&place.id)
        );
    }
    for (number, transition) in net.transitions.iter().enumerate() {
        let colour = match (transition.silent, enabled[number]) {
            (true, true) => "#334155\", fontcolor=\"#ffffff\", color=\"#15803d",
            (true, false) => "#334155\", fontcolor=\"#ffffff",
            (false, true) => "#dcfce7",
            (false, false) => "#eef2f7",
        };
        let mut lines = label::wrap(transition.label(), 100.0, 3);
        let timed = transition.timed.iter();
        lines.extend(timed.flat_map(|of| label::wrap(&label::timed(of), 160.0, 1)));
        lines.extend(label::outcome(transition).iter().flat_map(|of| label::wrap(of, 160.0, 1)));
        // Graphviz has no gear among its shapes; a box with tabs is its box for components.
        let shape = if transition.work.is_some() { "component" } else { "box" };
        let work = transition.work.as_ref().map(label::work);
        let about = std::iter::once(transition.id.clone()).chain(work).collect::<Vec<_>>();
        let bar = if transition.immediate.is_some() { ", penwidth=3" } else { "" };
        let _ = writeln!(
            out,
            "  t{number} [shape={shape}, style=filled, fillcolor=\"{colour}\", label={}, tooltip={}{bar}];",
            quoted(&lines.join("\n")),
            quoted(&about.join("\n"))
        );
    }
    for link in shape::links(net) {
        let (place, transition) = (format!("p{}", link.place), format!("t{}", link.transition));
        let (from, to, mut looks) = match link.mark {
            Mark::Consume => (place, transition, Vec::new()),
            Mark::Produce => (transition, place, Vec::new()),
            Mark::Read => {
                (place, transition, vec!["style=dashed".to_owned(), "arrowhead=none".to_owned()])
            }
            Mark::Inhibitor => (place, transition, vec!["arrowhead=odot".to_owned()]),
            Mark::Reset => (place, transition, vec!["arrowhead=normalnormal".to_owned()]),
        };
        looks.extend(link.weight_shown().map(|weight| format!("label={}", quoted(&weight))));
        let looks =
            if looks.is_empty() { String::new() } else { format!(" [{}]", looks.join(", ")) };
        let _ = writeln!(out, "  {from} -> {to}{looks};");
    }
    out.push_str("}\n");
    out
}

/// A quoted string: nothing in it is read as an escape but a new line. Graphviz reads entities of
/// HTML in every text, `&copy;` too, but tags only in texts that begin with `<` instead of a quote.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '&' => out.push_str("&amp;"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

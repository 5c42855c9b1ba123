//! The layout of a net that brings no positions: columns from left to right. Between two
//! columns arcs are curves, within one they are level, so none goes through a node.

use std::collections::{BTreeMap, HashMap};

use super::{
    geometry::{Path, Point, Step},
    label,
    layers::columns,
    rows::{Vertex, rows},
    shape::{self, Link, Shape},
};

/// The places of all nodes and arcs.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layout {
    /// The middle of each node's circle or box.
    pub(super) middles: Vec<Point>,
    /// The way of each arc, from the edge of a node to the edge of another.
    pub(super) paths: Vec<Path>,
}

/// The level part at both ends of a column, so that an arrow head stands straight.
const LEVEL: f64 = 14.0;

/// The least distance between two columns, level ends not counted.
const GAP: f64 = 26.0;

/// The distance between the arcs that end at one side of a node.
const PORT: f64 = 11.0;

/// The distance between two separate parts of a net.
const BETWEEN: f64 = 40.0;

/// Free places that edges may need in all on their way. Beyond that they go straight, through
/// everything there: such a picture is for nobody's eyes, but it has to end.
const MOST_VERTICES: usize = 100_000;

/// The layered graph: nodes come first, then the vertices that keep the ways of long edges free.
struct Layered {
    vertices: Vec<Vertex>,
    /// Edges between neighbouring columns, from left to right.
    edges: Vec<(usize, usize)>,
    /// The vertices from the left one to the right one of each pair of connected nodes.
    chains: HashMap<(usize, usize), Vec<usize>>,
}

/// Lays out a net. `marked` is true for the nodes that hold a token at the beginning.
pub(super) fn layout(shapes: &[Shape], links: &[Link], marked: &[bool]) -> Layout {
    let places = shapes.iter().filter(|shape| shape.is_place).count();
    let layered = layered(shapes, links, places, marked);
    let mut middles = vec![Point::default(); layered.vertices.len()];
    let mut spans = vec![(0.0, 0.0); layered.vertices.len()];
    let mut parts = Vec::new();
    for part in parts_of(&layered) {
        parts.push(place(&part, &layered, shapes, links, places, &mut middles, &mut spans));
    }
    pack(&parts, &mut middles, &mut spans);
    let paths = paths(shapes, links, places, &layered, &middles, &spans);
    middles.truncate(shapes.len());
    Layout { middles, paths }
}

fn pair(link: &Link, places: usize) -> (usize, usize) {
    (link.place, places + link.transition)
}

fn layered(shapes: &[Shape], links: &[Link], places: usize, marked: &[bool]) -> Layered {
    let mut together: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut edges = Vec::new();
    for link in links {
        let count = together.entry(pair(link, places)).or_default();
        *count += 1;
        if *count == 1 {
            edges.push(link.ends(places));
        }
    }
    let columns = columns(shapes.len(), &edges, marked);
    let vertex = |(number, shape): (usize, &Shape)| {
        let half = shape.height / 2.0;
        Vertex { column: columns[number], above: half, below: half + shape.label_height() }
    };
    let mut vertices: Vec<Vertex> = shapes.iter().enumerate().map(vertex).collect();
    let (mut short, mut chains) = (Vec::new(), HashMap::new());
    for ((place, transition), count) in together {
        let (left, right) = match columns[place] < columns[transition] {
            true => (place, transition),
            false => (transition, place),
        };
        let mut chain = vec![left];
        if vertices.len() < MOST_VERTICES {
            for column in columns[left] + 1..columns[right] {
                let half = (count - 1) as f64 * PORT / 2.0;
                chain.push(vertices.len());
                vertices.push(Vertex { column, above: half, below: half });
            }
        }
        chain.push(right);
        short.extend(chain.windows(2).map(|two| (two[0], two[1])));
        chains.insert((place, transition), chain);
    }
    Layered { vertices, edges: short, chains }
}

/// The connected parts, each with its vertices in order.
fn parts_of(layered: &Layered) -> Vec<Vec<usize>> {
    let mut neighbours = vec![Vec::new(); layered.vertices.len()];
    for (from, to) in &layered.edges {
        neighbours[*from].push(*to);
        neighbours[*to].push(*from);
    }
    let mut seen = vec![false; neighbours.len()];
    let mut parts = Vec::new();
    for first in 0..neighbours.len() {
        if std::mem::replace(&mut seen[first], true) {
            continue;
        }
        let (mut part, mut next) = (vec![first], 0);
        while let Some(&vertex) = part.get(next) {
            next += 1;
            for &to in &neighbours[vertex] {
                if !std::mem::replace(&mut seen[to], true) {
                    part.push(to);
                }
            }
        }
        part.sort_unstable();
        parts.push(part);
    }
    parts
}

/// A connected part: its vertices, and its size with the upper left corner at the origin.
struct Part {
    vertices: Vec<usize>,
    width: f64,
    height: f64,
}

/// Places one connected part; `spans` are the left and right ends of each vertex's column.
fn place(
    part: &[usize],
    layered: &Layered,
    shapes: &[Shape],
    links: &[Link],
    places: usize,
    middles: &mut [Point],
    spans: &mut [(f64, f64)],
) -> Part {
    let index: HashMap<usize, usize> = part.iter().enumerate().map(|(at, of)| (*of, at)).collect();
    let first = part.iter().map(|of| layered.vertices[*of].column).min().unwrap_or(0);
    let vertices: Vec<Vertex> = part
        .iter()
        .map(|of| Vertex { column: layered.vertices[*of].column - first, ..layered.vertices[*of] })
        .collect();
    let within = |(from, to): &(usize, usize)| Some((*index.get(from)?, *index.get(to)?));
    let edges: Vec<_> = layered.edges.iter().filter_map(within).collect();
    let rows = rows(&vertices, &edges);
    let count = vertices.iter().map(|vertex| vertex.column + 1).max().unwrap_or(0);
    let mut half = vec![0.0_f64; count];
    for (of, vertex) in part.iter().zip(&vertices) {
        let width = shapes.get(*of).map_or(0.0, Shape::half_width);
        half[vertex.column] = half[vertex.column].max(width + LEVEL);
    }
    // Steep curves get more room, and so do weights, which are written between columns.
    let mut gaps = vec![GAP; count];
    for (from, to) in &edges {
        let steep = (rows[*from] - rows[*to]).abs() * 0.12;
        let gap = &mut gaps[vertices[*from].column];
        *gap = gap.max(GAP + steep.min(110.0));
    }
    for link in links {
        let chain = &layered.chains[&pair(link, places)];
        if let (Some(text), Some(at)) = (link.weight_shown(), index.get(&chain[0])) {
            let gap = &mut gaps[vertices[*at].column];
            *gap = gap.max(label::width(&text, label::FONT) + 12.0);
        }
    }
    let (mut left, mut middle) = (0.0, Vec::with_capacity(count));
    for (half, gap) in half.iter().zip(&gaps) {
        middle.push(left + half);
        left += half * 2.0 + gap;
    }
    let top = rows.iter().zip(&vertices).map(|(row, of)| row - of.above).fold(f64::MAX, f64::min);
    let bottom =
        rows.iter().zip(&vertices).map(|(row, of)| row + of.below).fold(f64::MIN, f64::max);
    for ((of, vertex), row) in part.iter().zip(&vertices).zip(&rows) {
        let (middle, half) = (middle[vertex.column], half[vertex.column]);
        middles[*of] = Point::new(middle, row - top);
        spans[*of] = (middle - half, middle + half);
    }
    let width = left - gaps.last().copied().unwrap_or(0.0);
    Part { vertices: part.to_vec(), width, height: bottom - top }
}

/// Puts the parts beside and below one another, in lines about as wide as all is high.
fn pack(parts: &[Part], middles: &mut [Point], spans: &mut [(f64, f64)]) {
    let room: f64 = parts.iter().map(|part| (part.width + BETWEEN) * (part.height + BETWEEN)).sum();
    let widest = parts.iter().map(|part| part.width).fold((room * 1.6).sqrt(), f64::max);
    let (mut x, mut y, mut line) = (0.0, 0.0, 0.0_f64);
    for part in parts {
        if x > 0.0 && x + part.width > widest {
            (x, y, line) = (0.0, y + line + BETWEEN, 0.0);
        }
        for &vertex in &part.vertices {
            middles[vertex].x += x;
            middles[vertex].y += y;
            spans[vertex].0 += x;
            spans[vertex].1 += x;
        }
        x += part.width + BETWEEN;
        line = line.max(part.height);
    }
}

/// The heights from the middle of a node at which an arc ends, for each arc at its left and right
/// end: the arcs at one side of a node are in the order of the heights that they come from.
fn ports(
    shapes: &[Shape],
    links: &[Link],
    places: usize,
    layered: &Layered,
    middles: &[Point],
) -> Vec<(f64, f64)> {
    let mut sides: BTreeMap<(usize, bool), Vec<(f64, usize)>> = BTreeMap::new();
    for (number, link) in links.iter().enumerate() {
        let chain = &layered.chains[&pair(link, places)];
        let (left, right) = (chain[0], chain[chain.len() - 1]);
        sides.entry((left, true)).or_default().push((middles[chain[1]].y, number));
        let before = middles[chain[chain.len() - 2]].y;
        sides.entry((right, false)).or_default().push((before, number));
    }
    let mut ports = vec![(0.0, 0.0); links.len()];
    for ((node, is_left_end), mut ends) in sides {
        ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let gaps = (ends.len() - 1) as f64;
        let shape = &shapes[node];
        let room = if shape.is_place { shape.height * 0.8 } else { shape.height - 12.0 };
        let apart = PORT.min(room / gaps.max(1.0));
        for (at, (_, number)) in ends.into_iter().enumerate() {
            let port = (at as f64 - gaps / 2.0) * apart;
            let end = &mut ports[number];
            *(if is_left_end { &mut end.0 } else { &mut end.1 }) = port;
        }
    }
    ports
}

fn paths(
    shapes: &[Shape],
    links: &[Link],
    places: usize,
    layered: &Layered,
    middles: &[Point],
    spans: &[(f64, f64)],
) -> Vec<Path> {
    let ports = ports(shapes, links, places, layered, middles);
    let mut paths = Vec::with_capacity(links.len());
    for ((link, (left_port, right_port)), aside) in links.iter().zip(ports).zip(shape::aside(links))
    {
        let chain = &layered.chains[&pair(link, places)];
        let (left, right) = (chain[0], chain[chain.len() - 1]);
        let border = |node: usize, port: f64| {
            let shape = &shapes[node];
            match shape.is_place {
                true => (shape.width * shape.width / 4.0 - port * port).max(0.0).sqrt(),
                false => shape.width / 2.0,
            }
        };
        let mut y = middles[left].y + left_port;
        let start = Point::new(middles[left].x + border(left, left_port), y);
        let mut x = spans[left].1;
        let mut steps = vec![Step::Line(Point::new(x, y))];
        let mut curve = |steps: &mut Vec<Step>, to: Point| {
            let half = f64::midpoint(x, to.x);
            steps.push(match (y - to.y).abs() < 0.05 {
                true => Step::Line(to),
                false => Step::Curve(Point::new(half, y), Point::new(half, to.y), to),
            });
            (x, y) = (to.x, to.y);
        };
        for &vertex in &chain[1..chain.len() - 1] {
            let level = middles[vertex].y + aside * PORT;
            curve(&mut steps, Point::new(spans[vertex].0, level));
            curve(&mut steps, Point::new(spans[vertex].1, level));
        }
        let end =
            Point::new(middles[right].x - border(right, right_port), middles[right].y + right_port);
        curve(&mut steps, Point::new(spans[right].0, end.y));
        steps.push(Step::Line(end));
        let path = Path { start, steps };
        paths.push(if link.ends(places).0 == left { path } else { path.reversed() });
    }
    paths
}

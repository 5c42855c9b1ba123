//! The layout of a net that brings positions: nodes stay where they were drawn, larger if
//! their labels need it, and arcs are straight where nothing is in the way.

use super::{
    geometry::{Area, Path, Point, Step},
    layered::Layout,
    positions::Positions,
    shape::{self, Link, Shape},
};

/// Factors by which a picture may become larger than it was drawn.
const LARGER: [f64; 6] = [1.0, 1.25, 1.5, 2.0, 2.5, 3.0];

/// The least distance between two nodes.
const APART: f64 = 8.0;

/// Pairs of arcs and nodes beyond which nobody looks for a way of an arc around a node.
const MOST_PAIRS: usize = 1_000_000;

/// The layout, unless nodes without a position, or two at one point, leave none.
pub(super) fn layout(shapes: &[Shape], links: &[Link], positions: &Positions) -> Option<Layout> {
    let places = positions.places.len();
    let given = positions.places.iter().chain(&positions.transitions);
    let given: Vec<Point> = given.copied().collect::<Option<_>>()?;
    if given.len() != shapes.len() || given.is_empty() {
        return None;
    }
    let middles = LARGER.iter().map(|by| larger(&given, *by)).find(|at| is_clear(at, shapes))?;
    let paths = paths(shapes, links, places, &middles);
    Some(Layout { middles, paths })
}

fn larger(given: &[Point], by: f64) -> Vec<Point> {
    given.iter().map(|at| Point::new(at.x * by, at.y * by)).collect()
}

/// Returns true if no two nodes are too close. Labels find their own room.
fn is_clear(middles: &[Point], shapes: &[Shape]) -> bool {
    let mut order: Vec<usize> = (0..middles.len()).collect();
    order.sort_by(|a, b| middles[*a].x.total_cmp(&middles[*b].x));
    let widest = shapes.iter().map(|shape| shape.width).fold(0.0, f64::max) + APART;
    order.iter().enumerate().all(|(at, &node)| {
        let near = order[at + 1..]
            .iter()
            .take_while(|other| middles[**other].x - middles[node].x < widest);
        let area =
            |of: usize| Area::new(middles[of], shapes[of].width + APART, shapes[of].height + APART);
        near.into_iter().all(|other| !area(node).overlaps(&area(*other)))
    })
}

fn paths(shapes: &[Shape], links: &[Link], places: usize, middles: &[Point]) -> Vec<Path> {
    let few = links.len().saturating_mul(shapes.len()) <= MOST_PAIRS;
    let path = |(link, side): (&Link, f64)| {
        let of = (link.place, places + link.transition);
        let straight = side == 0.0;
        let bends: &[f64] =
            if straight { &[0.0, 30.0, -30.0, 60.0, -60.0, 110.0, -110.0] } else { &[0.0] };
        let from_place = bends
            .iter()
            .map(|bend| bent(of, side * 28.0 + bend, shapes, middles))
            .find(|path| !few || is_free(path, of, shapes, middles))
            .unwrap_or_else(|| bent(of, side * 28.0, shapes, middles));
        if link.ends(places).0 == link.place { from_place } else { from_place.reversed() }
    };
    links.iter().zip(shape::aside(links)).map(path).collect()
}

/// A line between the edges of two nodes that bends aside by `bend` in its middle.
fn bent((from, to): (usize, usize), bend: f64, shapes: &[Shape], middles: &[Point]) -> Path {
    let (a, b) = (middles[from], middles[to]);
    let length = a.distance(b).max(1e-9);
    let (nx, ny) = ((b.y - a.y) / length, (a.x - b.x) / length);
    let half = a.between(b, 0.5);
    // A curve's middle is three quarters of the way to its control points.
    let control = Point::new(half.x + nx * bend * 4.0 / 3.0, half.y + ny * bend * 4.0 / 3.0);
    let start = edge(&shapes[from], a, control);
    let end = edge(&shapes[to], b, control);
    let step = match bend == 0.0 {
        true => Step::Line(end),
        false => Step::Curve(start.between(control, 0.75), end.between(control, 0.75), end),
    };
    Path { start, steps: vec![step] }
}

/// The point where the line from the middle of a node towards another point leaves the node.
fn edge(shape: &Shape, middle: Point, towards: Point) -> Point {
    let (dx, dy) = ((towards.x - middle.x).abs(), (towards.y - middle.y).abs());
    let length = match shape.is_place {
        true => shape.width / 2.0,
        false => {
            let part = (shape.width / 2.0 / dx.max(1e-9)).min(shape.height / 2.0 / dy.max(1e-9));
            dx.hypot(dy) * part
        }
    };
    middle.moved(middle, towards, length)
}

fn is_free(path: &Path, of: (usize, usize), shapes: &[Shape], middles: &[Point]) -> bool {
    let points = path.points();
    let hit = |(node, shape): (usize, &Shape)| {
        let area = Area::new(middles[node], shape.width + 4.0, shape.height + 4.0);
        node != of.0 && node != of.1 && points.iter().any(|point| area.contains(*point))
    };
    !shapes.iter().enumerate().any(hit)
}

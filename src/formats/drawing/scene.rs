//! Everything of a picture with its final coordinates, as [`svg`](super::svg) writes it.

use std::collections::HashMap;

use super::{
    Drawing,
    geometry::{Area, Path, Point},
    given,
    label::{self, FONT, LINE},
    layered::{self, Layout},
    shape::{self, BELOW, Link, Shape},
};

/// The room between the picture and its frame.
const MARGIN: f64 = 16.0;

/// The size of the title.
pub(super) const TITLE_FONT: f64 = 15.0;

/// A laid-out net. The upper left corner is the origin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scene {
    /// The width of the whole.
    pub width: f64,
    /// The height of the whole.
    pub height: f64,
    /// The title in one line; empty for none.
    pub title: String,
    /// Places, then transitions, in the order of the net.
    pub nodes: Vec<Node>,
    /// The arcs, transition by transition.
    pub arcs: Vec<Arc>,
}

/// A node with its place in the picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Its look.
    pub shape: Shape,
    /// Its circle or box.
    pub body: Area,
    /// The room of a place's label; `None` if it has none or there is no room for one.
    pub label: Option<Area>,
}

/// An arc with its way through the picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arc {
    /// The nodes that it connects, and its kind.
    pub link: Link,
    /// Its way, from the edge of one node to the edge of the other.
    pub path: Path,
    /// Its weight with the room of the text, where it is written.
    pub weight: Option<(String, Area)>,
}

impl Scene {
    /// Lays out a drawing.
    pub(super) fn of(drawing: &Drawing<'_>) -> Self {
        let net = drawing.net;
        let (shapes, links) = (shape::shapes(net), shape::links(net));
        let given = drawing.positions.and_then(|at| given::layout(&shapes, &links, at));
        let mut lines = Taken::default();
        if let Some(layout) = &given {
            layout.paths.iter().for_each(|path| lines.add_line(path));
        }
        let Layout { middles, paths } = given.unwrap_or_else(|| {
            let marked: Vec<bool> = net.places.iter().map(|place| place.tokens > 0).collect();
            let transitions = std::iter::repeat_n(false, net.transitions.len());
            let marked: Vec<bool> = marked.into_iter().chain(transitions).collect();
            layered::layout(&shapes, &links, &marked)
        });
        let mut taken = Taken::default();
        let bodies: Vec<Area> = shapes
            .iter()
            .zip(&middles)
            .map(|(shape, middle)| Area::new(*middle, shape.width, shape.height))
            .collect();
        bodies.iter().for_each(|body| taken.add(*body));
        let node = |(mut shape, body): (Shape, Area)| {
            let label = place_label(&mut shape, &body, &mut taken, &lines);
            Node { shape, body, label }
        };
        let nodes: Vec<Node> = shapes.into_iter().zip(bodies).map(node).collect();
        let arc = |(link, path): (Link, Path)| {
            let weight = link.weight_shown().map(|text| {
                let area = place_weight(&text, &path, &mut taken);
                (text, area)
            });
            Arc { link, path, weight }
        };
        let arcs = links.into_iter().zip(paths).map(arc).collect();
        let mut scene =
            Self { width: 0.0, height: 0.0, title: label::shown(drawing.title), nodes, arcs };
        scene.fit();
        scene
    }

    /// Moves everything to the origin and finds the size.
    fn fit(&mut self) {
        let (mut low, mut high) = (Point::new(f64::MAX, f64::MAX), Point::new(f64::MIN, f64::MIN));
        let mut include = |area: &Area| {
            let (left, top, right, bottom) = area.sides();
            low = Point::new(low.x.min(left), low.y.min(top));
            high = Point::new(high.x.max(right), high.y.max(bottom));
        };
        for node in &self.nodes {
            include(&node.body);
            node.label.iter().for_each(&mut include);
        }
        for arc in &self.arcs {
            arc.weight.iter().for_each(|(_, area)| include(area));
            arc.path.points().iter().for_each(|point| include(&Area::new(*point, 2.0, 2.0)));
        }
        if self.nodes.is_empty() {
            (low, high) = (Point::default(), Point::default());
        }
        let (width, height) = (high.x - low.x, high.y - low.y);
        self.width = width + 2.0 * MARGIN;
        self.height = height + 2.0 * MARGIN;
        let (mut by_x, mut by_y) = (MARGIN - low.x, MARGIN - low.y);
        if !self.title.is_empty() {
            self.title = fitting(&self.title, width.max(420.0));
            let wide = label::width(&self.title, TITLE_FONT) + 2.0 * MARGIN;
            by_x += ((wide - self.width) / 2.0).max(0.0);
            self.width = self.width.max(wide);
            by_y += TITLE_FONT + 12.0;
            self.height += TITLE_FONT + 12.0;
        }
        let shift = |point: &mut Point| *point = Point::new(point.x + by_x, point.y + by_y);
        for node in &mut self.nodes {
            shift(&mut node.body.middle);
            node.label.iter_mut().for_each(|area| shift(&mut area.middle));
        }
        for arc in &mut self.arcs {
            arc.path.all_points(shift);
            arc.weight.iter_mut().for_each(|(_, area)| shift(&mut area.middle));
        }
    }
}

/// The text, or its beginning and an ellipsis, as a title of at most this width.
fn fitting(title: &str, widest: f64) -> String {
    let lines = label::wrap(title, widest * FONT / TITLE_FONT, 1);
    lines.into_iter().next().unwrap_or_default()
}

/// The room of a place's label: below it as a rule, or where no arc is. A shorter one is tried
/// too; none is better than one that can't be read.
fn place_label(shape: &mut Shape, body: &Area, taken: &mut Taken, arcs: &Taken) -> Option<Area> {
    if !shape.is_place || shape.label.is_empty() {
        return None;
    }
    let shorter = |widest: f64| label::wrap(&shape.label.join(" "), widest, 1);
    let whole = shape.label.clone();
    let tries =
        [(whole.clone(), true), (whole, false), (shorter(100.0), false), (shorter(60.0), false)];
    for (lines, beside_arcs) in tries {
        let (width, height) = (label::widest(&lines), lines.len() as f64 * LINE);
        let (dx, dy) = ((body.width + width) / 2.0 + BELOW, (body.height + height) / 2.0 + BELOW);
        let aslant = (body.width * 0.35 + width / 2.0, body.height * 0.35 + height / 2.0);
        let sides = [(0.0, dy), (0.0, -dy), (dx, 0.0), (-dx, 0.0)];
        let corners = [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)];
        // The corners of the square around a circle are free.
        let corners = corners.map(|(x, y)| (x * (aslant.0 + 6.0), y * (aslant.1 + 6.0)));
        for (dx, dy) in sides.into_iter().chain(corners) {
            let middle = Point::new(body.middle.x + dx, body.middle.y + dy);
            let area = Area::new(middle, width, height);
            if taken.is_free(&area) && (!beside_arcs || arcs.is_free(&area)) {
                taken.add(area);
                shape.label = lines;
                return Some(area);
            }
        }
    }
    shape.label.clear();
    None
}

/// The room of an arc's weight: on the arc, as near to its middle as possible, or beside it.
fn place_weight(text: &str, path: &Path, taken: &mut Taken) -> Area {
    let (width, height) = (label::width(text, FONT) + 4.0, LINE);
    let points = path.points();
    let middle = points.len() / 2;
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|at| at.abs_diff(middle));
    let on = |at: &usize, dx: f64, dy: f64| {
        Area::new(Point::new(points[*at].x + dx, points[*at].y + dy), width, height)
    };
    let step =
        |far: f64| [(0.0, -far * LINE), (0.0, far * LINE), (-far * width, 0.0), (far * width, 0.0)];
    let beside = [0.0, 0.6, 1.2, 2.0, 3.0, 4.5].into_iter().flat_map(step);
    let found = beside
        .flat_map(|(dx, dy)| order.iter().map(move |at| on(at, dx, dy)))
        .find(|area| taken.is_free(area));
    let area = found.unwrap_or_else(|| on(&middle, 0.0, 0.0));
    taken.add(area);
    area
}

/// The room that is taken, in cells, so that a look at it is cheap.
#[derive(Debug, Default)]
struct Taken(HashMap<(i64, i64), Vec<Area>>);

/// The side of a cell.
const CELL: f64 = 80.0;

impl Taken {
    fn add(&mut self, area: Area) {
        for cell in cells(&area) {
            self.0.entry(cell).or_default().push(area);
        }
    }

    /// Takes the room under a line.
    fn add_line(&mut self, path: &Path) {
        let points = path.points();
        for two in points.windows(2) {
            let pieces = (two[0].distance(two[1]) / 5.0).ceil().clamp(1.0, 200.0);
            for piece in 0..=pieces as u32 {
                let at = two[0].between(two[1], f64::from(piece) / pieces);
                self.add(Area::new(at, 2.0, 2.0));
            }
        }
    }

    fn is_free(&self, area: &Area) -> bool {
        let clear =
            |cell| self.0.get(&cell).is_none_or(|in_it| !in_it.iter().any(|of| of.overlaps(area)));
        cells(area).into_iter().all(clear)
    }
}

fn cells(area: &Area) -> Vec<(i64, i64)> {
    let (left, top, right, bottom) = area.sides();
    let cell = |at: f64| (at / CELL).floor() as i64;
    let rows = cell(top)..=cell(bottom);
    rows.flat_map(|row| (cell(left)..=cell(right)).map(move |column| (column, row))).collect()
}

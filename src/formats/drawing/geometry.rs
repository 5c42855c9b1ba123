//! Points, boxes and paths. Lengths are SVG's user units, `y` grows downwards.

pub(super) use super::super::Point;

/// A box with upright sides, by its middle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    /// Its middle.
    pub middle: Point,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// A piece of a path, from where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// A straight line to a point.
    Line(Point),
    /// A cubic Bézier curve: two control points and the end.
    Curve(Point, Point, Point),
}

/// A line from one node to another.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Path {
    /// Its start.
    pub start: Point,
    /// The pieces from there on.
    pub steps: Vec<Step>,
}

impl Point {
    pub(super) fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// This point moved by `length` in the direction from `from` to `to`.
    pub(super) fn moved(self, from: Self, to: Self, length: f64) -> Self {
        let far = from.distance(to).max(1e-9);
        let by = length / far;
        Self::new(self.x + (to.x - from.x) * by, self.y + (to.y - from.y) * by)
    }

    pub(super) fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    pub(super) fn between(self, other: Self, part: f64) -> Self {
        Self::new(self.x + (other.x - self.x) * part, self.y + (other.y - self.y) * part)
    }
}

impl Area {
    pub(super) fn new(middle: Point, width: f64, height: f64) -> Self {
        Self { middle, width, height }
    }

    /// Returns true if the two have more in common than an edge.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (dx, dy) = (self.middle.x - other.middle.x, self.middle.y - other.middle.y);
        dx.abs() * 2.0 < self.width + other.width - 1e-6
            && dy.abs() * 2.0 < self.height + other.height - 1e-6
    }

    /// Returns true if a point is within.
    pub(super) fn contains(&self, point: Point) -> bool {
        (self.middle.x - point.x).abs() * 2.0 < self.width
            && (self.middle.y - point.y).abs() * 2.0 < self.height
    }

    /// The left, upper, right and lower side.
    pub(super) fn sides(&self) -> (f64, f64, f64, f64) {
        let Self { middle, width, height } = self;
        (
            middle.x - width / 2.0,
            middle.y - height / 2.0,
            middle.x + width / 2.0,
            middle.y + height / 2.0,
        )
    }
}

impl Path {
    /// Its end.
    pub(super) fn end(&self) -> Point {
        self.steps.last().map_or(self.start, |step| step.end())
    }

    /// A point from which it comes to its end.
    pub(super) fn before_end(&self) -> Point {
        let end = self.end();
        let control = match self.steps.last() {
            Some(Step::Curve(_, second, _)) => *second,
            _ => end,
        };
        let ends = self.steps.iter().rev().skip(1).map(Step::end).chain([self.start]);
        std::iter::once(control).chain(ends).find(|at| at.distance(end) > 0.5).unwrap_or(end)
    }

    /// Does something to every point that defines it.
    pub(super) fn all_points(&mut self, change: impl Fn(&mut Point)) {
        change(&mut self.start);
        for step in &mut self.steps {
            match step {
                Step::Line(end) => change(end),
                Step::Curve(first, second, end) => {
                    [first, second, end].into_iter().for_each(&change)
                }
            }
        }
    }

    /// The same from its end to its start.
    pub(super) fn reversed(&self) -> Self {
        let mut ends = vec![self.start];
        ends.extend(self.steps.iter().map(Step::end));
        let back = |(step, from): (&Step, &Point)| match *step {
            Step::Line(_) => Step::Line(*from),
            Step::Curve(first, second, _) => Step::Curve(second, first, *from),
        };
        let steps = self.steps.iter().zip(&ends).rev().map(back).collect();
        Self { start: self.end(), steps }
    }

    /// Points on it, close enough to one another to stand for it.
    pub(super) fn points(&self) -> Vec<Point> {
        const PIECES: u32 = 12;
        let (mut points, mut from) = (vec![self.start], self.start);
        for step in &self.steps {
            for piece in 1..=PIECES {
                points.push(step.at(from, f64::from(piece) / f64::from(PIECES)));
            }
            from = step.end();
        }
        points
    }
}

impl Step {
    pub(super) fn end(&self) -> Point {
        match self {
            Self::Line(end) | Self::Curve(_, _, end) => *end,
        }
    }

    fn at(&self, from: Point, part: f64) -> Point {
        match self {
            Self::Line(end) => from.between(*end, part),
            Self::Curve(first, second, end) => {
                let (a, b) = (from.between(*first, part), first.between(*second, part));
                let c = second.between(*end, part);
                a.between(b, part).between(b.between(c, part), part)
            }
        }
    }
}

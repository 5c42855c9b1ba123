//! The height of each vertex of a layered graph in its column.

use rust_sugiyama::configure::{Config, CrossingMinimization, RankingType};

use super::label::LINE;

/// A node, or the place that an edge keeps free on its way through a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Vertex {
    /// Its column.
    pub(super) column: usize,
    /// The distance that it goes above its middle.
    pub(super) above: f64,
    /// The distance that it goes below its middle.
    pub(super) below: f64,
}

/// The least room between two vertices of a column.
const APART: f64 = 14.0;

/// The largest graph for the library, which goes down a graph by calling itself: 3,000 vertices
/// take up to half a MiB of stack, and threads have two.
const LIBRARY_VERTICES: usize = 2_000;

/// The largest graph in which the library may try to swap neighbours, which is dearer still.
const SWAP_VERTICES: usize = 400;

/// The middles of the vertices of one connected graph, whose edges go to the right.
pub(super) fn rows(vertices: &[Vertex], edges: &[(usize, usize)]) -> Vec<f64> {
    let mut rows = match vertices.len() {
        0 | 1 => vec![0.0; vertices.len()],
        few if few <= LIBRARY_VERTICES => by_library(vertices, edges),
        _ => by_means(vertices, edges),
    };
    upright(vertices, &mut rows);
    spread(vertices, &mut rows);
    rows
}

/// Takes, of a picture and its mirror image, the one in which more neighbours of a column are in
/// the order of the net.
fn upright(vertices: &[Vertex], rows: &mut [f64]) {
    let columns = columns(vertices, rows);
    let pairs = columns.iter().flat_map(|column| column.windows(2));
    let balance: i64 = pairs.map(|two| if two[0] < two[1] { 1 } else { -1 }).sum();
    if balance < 0 {
        rows.iter_mut().for_each(|row| *row = -*row);
    }
}

/// The vertices of each column, from the top.
fn columns(vertices: &[Vertex], rows: &[f64]) -> Vec<Vec<usize>> {
    let count = vertices.iter().map(|vertex| vertex.column + 1).max().unwrap_or(0);
    let mut columns = vec![Vec::new(); count];
    for (number, vertex) in vertices.iter().enumerate() {
        columns[vertex.column].push(number);
    }
    for column in &mut columns {
        column.sort_by(|a, b| rows[*a].total_cmp(&rows[*b]).then(a.cmp(b)));
    }
    columns
}

/// Sugiyama's method: few crossings by barycentres, then Brandes and Köpf's coordinates.
fn by_library(vertices: &[Vertex], edges: &[(usize, usize)]) -> Vec<f64> {
    let config = Config {
        minimum_length: 1,
        vertex_spacing: APART,
        // Every edge goes to the next column already.
        dummy_vertices: false,
        dummy_size: 1.0,
        ranking_type: RankingType::MinimizeEdgeLength,
        c_minimization: CrossingMinimization::Barycenter,
        transpose: vertices.len() <= SWAP_VERTICES,
    };
    // The library goes downwards and the picture to the right. Its vertices are as much above
    // their middles as below: half of a label at least is added, the rest is for `spread`.
    let index = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let size = |vertex: &Vertex| match vertex.above + vertex.below {
        free if free < LINE => (free, 1.0),
        node => (node + LINE, 1.0),
    };
    let sizes: Vec<_> =
        vertices.iter().enumerate().map(|(number, of)| (index(number), size(of))).collect();
    let edges: Vec<_> = edges.iter().map(|(from, to)| (index(*from), index(*to))).collect();
    let mut rows = vec![0.0; vertices.len()];
    for (layout, _, _) in rust_sugiyama::from_vertices_and_edges(&sizes, &edges, &config) {
        for (number, (row, _)) in layout {
            rows[number] = row;
        }
    }
    rows
}

/// The simple way for a graph that is too large: every column once in the order of its neighbours'
/// means, from left to right.
fn by_means(vertices: &[Vertex], edges: &[(usize, usize)]) -> Vec<f64> {
    let mut before = vec![Vec::new(); vertices.len()];
    for (from, to) in edges {
        before[*to].push(*from);
    }
    let mut rows = vec![0.0; vertices.len()];
    for mut column in columns(vertices, &rows) {
        for &number in &column {
            let near = &before[number];
            if !near.is_empty() {
                let sum: f64 = near.iter().map(|from| rows[*from]).sum();
                rows[number] = sum / near.len() as f64;
            }
        }
        column.sort_by(|a, b| rows[*a].total_cmp(&rows[*b]).then(a.cmp(b)));
        let heights = |number: &usize| vertices[*number].above + vertices[*number].below + APART;
        let mut top = -column.iter().map(heights).sum::<f64>() / 2.0;
        for number in column {
            rows[number] = top + vertices[number].above;
            top += heights(&number);
        }
    }
    rows
}

/// Moves the vertices of each column apart where they are too close, as little as possible:
/// least squares under the order, by pooling neighbours that violate it.
fn spread(vertices: &[Vertex], rows: &mut [f64]) {
    for column in columns(vertices, rows) {
        // The rows without the least distances must not decrease.
        let (mut offset, mut offsets) = (0.0, Vec::with_capacity(column.len()));
        for (at, number) in column.iter().enumerate() {
            if at > 0 {
                offset += vertices[column[at - 1]].below + APART + vertices[*number].above;
            }
            offsets.push(offset);
        }
        let mut pools: Vec<(f64, usize)> = Vec::new();
        for (number, offset) in column.iter().zip(&offsets) {
            pools.push((rows[*number] - offset, 1));
            while let [.., (first, some), (second, more)] = pools[..]
                && first > second
            {
                let all = some + more;
                let mean = (first * some as f64 + second * more as f64) / all as f64;
                pools.truncate(pools.len() - 2);
                pools.push((mean, all));
            }
        }
        let values = pools.iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, *count));
        for ((number, offset), value) in column.iter().zip(&offsets).zip(values) {
            rows[*number] = value + offset;
        }
    }
}

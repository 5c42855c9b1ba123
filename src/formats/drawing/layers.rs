//! The column of each node: cycles are opened, then every edge goes to the right.

use petgraph::{algo::kosaraju_scc, graph::DiGraph};

/// The column of each node, from 0, such that no edge has both ends in one column.
///
/// `edges` are pairs of nodes, each pair once and in one direction, and no node with itself.
/// Things begin at a marked place: an edge into it that closes a cycle goes back. Other cycles are
/// opened where a depth-first search from the beginnings comes back.
pub(super) fn columns(nodes: usize, edges: &[(usize, usize)], marked: &[bool]) -> Vec<usize> {
    let mut edges = edges.to_vec();
    back_to_marked(nodes, &mut edges, marked);
    back_edges(nodes, &mut edges, marked);
    let (before, after) = neighbours(nodes, &edges);
    let order = topological(&before, &after);
    let mut columns = vec![0_usize; nodes];
    for &node in &order {
        columns[node] = before[node].iter().map(|from| columns[*from] + 1).max().unwrap_or(0);
    }
    // A node with more ways out than in stands next to what it leads to.
    for &node in order.iter().rev() {
        let room = after[node].iter().map(|to| columns[*to] - 1).min();
        if let Some(room) = room.filter(|_| after[node].len() > before[node].len()) {
            columns[node] = room;
        }
    }
    columns
}

fn back_to_marked(nodes: usize, edges: &mut [(usize, usize)], marked: &[bool]) {
    let mut graph = DiGraph::<(), (), usize>::default();
    let ids: Vec<_> = (0..nodes).map(|_| graph.add_node(())).collect();
    for (from, to) in &*edges {
        graph.add_edge(ids[*from], ids[*to], ());
    }
    let mut cycle = vec![0; nodes];
    for (number, component) in kosaraju_scc(&graph).iter().enumerate() {
        for node in component {
            cycle[node.index()] = number;
        }
    }
    for edge in edges {
        let (from, to) = *edge;
        if marked[to] && cycle[from] == cycle[to] {
            *edge = (to, from);
        }
    }
}

/// Turns round the edges that lead back to a node on the way of the search.
fn back_edges(nodes: usize, edges: &mut [(usize, usize)], marked: &[bool]) {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        OnTheWay,
        Done,
    }
    let (mut out, mut is_target) = (vec![Vec::new(); nodes], vec![false; nodes]);
    for (number, (from, to)) in edges.iter().enumerate() {
        out[*from].push(number);
        is_target[*to] = true;
    }
    let mut roots: Vec<usize> = (0..nodes).collect();
    roots.sort_by_key(|node| (is_target[*node], !marked[*node]));
    let mut seen = vec![Seen::No; nodes];
    for root in roots {
        if seen[root] != Seen::No {
            continue;
        }
        let mut way = vec![(root, 0)];
        seen[root] = Seen::OnTheWay;
        while let Some((node, next)) = way.last_mut() {
            let Some(&number) = out[*node].get(*next) else {
                seen[*node] = Seen::Done;
                way.pop();
                continue;
            };
            *next += 1;
            let (from, to) = edges[number];
            match seen[to] {
                Seen::No => {
                    seen[to] = Seen::OnTheWay;
                    way.push((to, 0));
                }
                Seen::OnTheWay => edges[number] = (to, from),
                Seen::Done => {}
            }
        }
    }
}

/// The nodes before and after each node.
fn neighbours(nodes: usize, edges: &[(usize, usize)]) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let (mut before, mut after) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
    for (from, to) in edges {
        before[*to].push(*from);
        after[*from].push(*to);
    }
    (before, after)
}

fn topological(before: &[Vec<usize>], after: &[Vec<usize>]) -> Vec<usize> {
    let mut waits: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (0..waits.len()).filter(|node| waits[*node] == 0).collect();
    let mut next = 0;
    while let Some(&node) = order.get(next) {
        next += 1;
        for &to in &after[node] {
            waits[to] -= 1;
            if waits[to] == 0 {
                order.push(to);
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_loop_goes_back_to_where_the_token_is() {
        // 0 -> 3 -> 1 -> 4 -> 2 -> 5 -> 0, and the token is in 1.
        let edges = [(0, 3), (3, 1), (1, 4), (4, 2), (2, 5), (5, 0)];
        let marked = [false, true, false, false, false, false];
        assert_eq!(columns(6, &edges, &marked), [4, 0, 2, 5, 1, 3]);
    }

    proptest! {
        #[test]
        fn no_edge_stays_in_its_column(
            pairs in proptest::collection::btree_set((0_usize..12, 0_usize..12), 0..40),
            marked in proptest::collection::vec(any::<bool>(), 12),
        ) {
            let edges: Vec<_> = pairs
                .iter()
                .filter(|(a, b)| a < b || (a > b && !pairs.contains(&(*b, *a))))
                .copied()
                .collect();
            let columns = columns(12, &edges, &marked);
            for (from, to) in edges {
                prop_assert_ne!(columns[from], columns[to]);
            }
        }
    }
}

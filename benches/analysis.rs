//! State spaces: states a second of exploration, and of the graph with liveness and
//! reversibility.
//!
//! ```sh
//! cargo bench --bench analysis
//! ```

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stormpetrel::{
    analysis::state_space::{Limits, explore, unwatched},
    models::{
        ArcKind,
        petri::{Arcs, Input, Net, Place, Transition},
    },
};

/// A net of places with so many tokens, and of transitions that take and give one token at each
/// of the places named.
fn net(tokens: Vec<u64>, transitions: Vec<(Vec<usize>, Vec<usize>)>) -> Net {
    let input = |place| Input { place, weight: 1, kind: ArcKind::Consume };
    let transition = |(inputs, outputs): (Vec<usize>, Vec<usize>)| Transition {
        arcs: Arcs {
            inputs: inputs.into_iter().map(input).collect(),
            outputs: outputs.into_iter().map(|place| (place, 1)).collect(),
        },
        ..Transition::default()
    };
    Net {
        name: String::new(),
        places: tokens.into_iter().map(|tokens| Place { tokens, ..Place::default() }).collect(),
        transitions: transitions.into_iter().map(transition).collect(),
    }
}

/// Few places with many tokens.
fn ring(places: usize, tokens: u64) -> Net {
    let mut all = vec![0; places];
    all[0] = tokens;
    net(all, (0..places).map(|at| (vec![at], vec![(at + 1) % places])).collect())
}

/// Many places with one token at most: branches of some steps between a split and a join.
fn parallel(branches: usize, steps: usize) -> Net {
    let place = |branch: usize, step: usize| 2 + branch * (steps + 1) + step;
    let ends = |step| (0..branches).map(|branch| place(branch, step)).collect::<Vec<_>>();
    let mut transitions = vec![(vec![0], ends(0)), (ends(steps), vec![1])];
    for branch in 0..branches {
        for step in 0..steps {
            transitions.push((vec![place(branch, step)], vec![place(branch, step + 1)]));
        }
    }
    let mut tokens = vec![0; 2 + branches * (steps + 1)];
    tokens[0] = 1;
    net(tokens, transitions)
}

/// A kanban system (Ciardo and Tilgner 1996): four cells, each with so many cards, in which a
/// part is worked on, may have to be reworked, and is done; the second and third cell between
/// the first and the last, synchronised.
fn kanban(cards: u64) -> Net {
    // Of each cell: free cards, in work, to be reworked, done.
    let [free, work, rework, done] = [0, 1, 2, 3].map(|kind| move |cell: usize| 4 * cell + kind);
    let mut transitions = vec![
        (vec![free(0)], vec![work(0)]),
        (vec![done(0), free(1), free(2)], vec![free(0), work(1), work(2)]),
        (vec![done(1), done(2), free(3)], vec![free(1), free(2), work(3)]),
        (vec![done(3)], vec![free(3)]),
    ];
    for cell in 0..4 {
        transitions.push((vec![work(cell)], vec![rework(cell)]));
        transitions.push((vec![rework(cell)], vec![work(cell)]));
        transitions.push((vec![work(cell)], vec![done(cell)]));
    }
    net([cards, 0, 0, 0].repeat(4), transitions)
}

fn state_spaces(criterion: &mut Criterion) {
    let limits = Limits::default();
    let nets = [
        ("ring of 6 places, 24 tokens", ring(6, 24)),
        ("11 branches of 2 steps, 35 places", parallel(11, 2)),
        ("5 branches of 10 steps, 57 places", parallel(5, 10)),
        ("kanban, 3 cards", kanban(3)),
        ("kanban, 5 cards", kanban(5)),
    ];
    for (name, net) in &nets {
        let space = explore(net, &limits, unwatched).unwrap();
        let mut group = criterion.benchmark_group(*name);
        group.sample_size(10).throughput(Throughput::Elements(space.states() as u64));
        group.bench_function("explore", |bench| {
            bench.iter(|| black_box(explore(net, &limits, unwatched).unwrap().states()));
        });
        group.bench_function("graph", |bench| {
            bench.iter(|| {
                let graph = space.graph(&limits, unwatched).unwrap();
                black_box((graph.is_live(), graph.is_reversible()))
            });
        });
        group.finish();
    }
}

criterion_group!(benches, state_spaces);
criterion_main!(benches);

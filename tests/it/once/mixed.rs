//! Mixtures of users' calls: changes with and without ids, several processes, cold and warm,
//! answers lost, ids repeated soon and late, and used for something else.

use std::{collections::HashMap, sync::Arc};
use stormpetrel::models::LogSequence;

use proptest::prelude::*;
use serde_json::json;
use stormpetrel::{
    petrel::{Change, Error, Petrel},
    storage::{MemoryStorage, Storage},
    testing::FaultyStorage,
};

use super::fixtures::{What, create, is_sound, log, loops, named};

#[derive(Debug, Clone)]
struct Step {
    process: usize,
    what: What,
    /// One of a few ids; none where absent.
    id: Option<u8>,
    /// The process is another one than before, which knows nothing.
    cold: bool,
    /// The answer of the append is lost.
    unanswered: bool,
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        4 => (0..2_u64).prop_map(|data| What::Fire("tick", data)),
        2 => Just(What::Fire("go", 0)),
        2 => Just(What::Fire("back", 0)),
        1 => Just(What::FireToken("tick")),
        1 => (0..2_u64).prop_map(|data| What::Add("a", data)),
        2 => (0..2_u64).prop_map(What::Edit),
        1 => Just(What::Pause),
        2 => Just(What::Resume),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let id = prop_oneof![1 => Just(None), 3 => (0..12_u8).prop_map(Some)];
    let parts = (0..3_usize, what(), id, prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    parts.prop_map(|(process, what, id, cold, unanswered)| Step {
        process,
        what,
        id,
        cold,
        unanswered,
    })
}

struct Process {
    faults: FaultyStorage,
    petrel: Petrel,
}

impl Process {
    fn of(store: &Arc<dyn Storage>) -> Self {
        let faults = FaultyStorage::new(Arc::clone(store));
        Self { petrel: Petrel::new(Arc::new(faults.clone())), faults }
    }
}

async fn run(steps: &[Step], padding: usize) {
    let store: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let mut processes: Vec<_> = (0..3).map(|_| Process::of(&store)).collect();
    loops(&processes[0].petrel).await;
    create(&processes[0].petrel, "k", json!({})).await.unwrap();
    let mut used: HashMap<u8, (What, LogSequence)> = HashMap::new();
    for (number, step) in steps.iter().enumerate() {
        if step.cold {
            processes[step.process] = Process::of(&store);
        }
        let Process { faults, petrel } = &processes[step.process];
        // A page may begin anywhere between two steps.
        if number == steps.len() / 2 {
            for _ in 0..padding {
                let _ = What::Fire("tick", 0).ask(petrel, "k", Change::default()).await;
            }
        }
        let change = step.id.map_or_else(Change::default, |id| named(&format!("id-{id}")));
        let before = log(&store, "k").await.len();
        faults.lose_append_answers(step.unanswered);
        let answer = step.what.ask(petrel, "k", change).await;
        faults.lose_append_answers(false);
        let after = log(&store, "k").await;
        let first = step.id.and_then(|id| used.get(&id));
        match (answer, first) {
            (Ok(changed), Some((what, sequence))) => {
                assert!(changed.repeated, "{step:?}");
                assert_eq!((what, sequence), (&step.what, &changed.record.sequence));
                assert_eq!(after.len(), before, "{step:?}");
            }
            (Ok(changed), None) => {
                let stored = after.last().unwrap().sequence == changed.record.sequence;
                // Without an id, what is so already is not stored.
                let is_so = step.id.is_none() && changed.repeated && after.len() == before;
                assert!(
                    is_so || (stored && !changed.repeated && after.len() == before + 1),
                    "{step:?}"
                );
                assert_eq!(changed.case.sequence, after.last().unwrap().sequence);
                if let Some(id) = step.id {
                    used.insert(id, (step.what.clone(), changed.record.sequence));
                }
            }
            (Err(Error::IdTaken { first, .. }), Some((what, sequence))) => {
                assert_ne!(*what, step.what, "{step:?}");
                assert_eq!(first.sequence, *sequence);
                assert_eq!(after.len(), before);
            }
            (Err(error), None) => {
                assert!(!matches!(error, Error::IdTaken { .. }), "{step:?}: {error}");
                assert_eq!(after.len(), before, "{step:?}: {error}");
            }
            (Err(error), Some(_)) => panic!("{step:?}: {error}"),
        }
    }
    is_sound(&log(&store, "k").await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn an_id_names_one_request_whatever_is_mixed(
        steps in prop::collection::vec(step(), 1..60),
        padding in prop_oneof![Just(0_usize), 50..150_usize],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(&steps, padding));
    }
}

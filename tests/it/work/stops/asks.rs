//! Questions to a case after a stop, and to its records after its end.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use stormpetrel::{
    models::{Case, Ended, IncidentAbout, Item},
    petrel::Lookup,
};

use super::{
    scenario::{CASE, Scenario},
    *,
};
use crate::cascade::audited::audited;

/// Items by what they wait for that could be worked on, and for which nobody would ever come.
pub(super) async fn forgotten(petrel: &Petrel) -> Vec<String> {
    let now = match petrel.case(&workflow("steps"), &case(CASE)).await {
        Ok(now) => now,
        Err(Error::NotFound(Lookup::Case(_))) => return Vec::new(),
        Err(error) => panic!("{error}"),
    };
    let mut forgotten = Vec::new();
    if now.status == CaseStatus::Running {
        for item in &now.items {
            if !is_seen_to(petrel, &now, item).await {
                forgotten.push(format!("{item:?}"));
            }
        }
        for timer in &now.timers {
            let armed = petrel
                .storage()
                .armed_in(&now.workflow, std::slice::from_ref(&now.id))
                .await
                .unwrap();
            if !timer.elapsed && !armed.iter().any(|arming| arming.timer == timer.number) {
                forgotten.push(format!("{timer:?}"));
            }
        }
    }
    forgotten
}

/// Returns true if an open item has an incident, a timer, a message, or a live beat.
async fn is_seen_to(petrel: &Petrel, now: &Case, item: &Item) -> bool {
    let (storage, lease) = (petrel.storage(), item.lease());
    let about = IncidentAbout::Item(item.number);
    if item.done.is_some() || now.incidents.iter().any(|open| open.about == about) {
        return true;
    }
    let offered = storage.offered_in(&now.workflow, &now.id).await.unwrap();
    if offered.iter().any(|offer| offer.item == lease.message) {
        return true;
    }
    if let Some(timer) = item.wait.as_ref().and_then(|wait| wait.timer) {
        let armed = storage.armed_in(&now.workflow, std::slice::from_ref(&now.id)).await.unwrap();
        return armed.iter().any(|arming| arming.timer == timer);
    }
    let beat = storage.last_beat(&now.workflow, &now.id, lease.message).await.unwrap();
    item.running.is_some() && beat.is_some_and(|last| last.beat.claim == lease.claim)
}

/// The claims of a case, as its records tell of them.
#[derive(Debug, Default)]
struct Claims {
    begun: BTreeSet<(u64, u64)>,
    /// Those that ended by an answer of their own.
    answered: BTreeSet<(u64, u64)>,
    /// Those that were given back: their attempts do not count.
    released: BTreeSet<(u64, u64)>,
    lost: usize,
}

impl Claims {
    /// Reads them, and checks that each attempt is counted once.
    fn of(records: &[Stored<Record>]) -> Self {
        let (mut claims, mut attempts) = (Self::default(), BTreeMap::<u64, u64>::new());
        let mut present = BTreeMap::new();
        for record in records.iter().map(|record| &record.value) {
            let Some(work) = &record.work else { continue };
            let begun = match record.kind {
                RecordKind::Begun => work.claim.map(|claim| (work.item, claim, work.attempt)),
                _ => work.next.as_ref().map(|next| (next.item, next.claim, next.attempt)),
            };
            let ended = work.claim.filter(|_| record.kind != RecordKind::Begun);
            if let Some(claim) = ended {
                let now = present.get(&work.item).copied();
                assert_eq!(
                    now,
                    Some(claim),
                    "{work:?} answers, and another claim is the present one"
                );
                let fresh = claims.answered.insert((work.item, claim));
                assert!(fresh, "{work:?} is the second answer of its claim");
            }
            if record.kind == RecordKind::Released {
                claims.released.extend(ended.map(|claim| (work.item, claim)));
                *attempts.entry(work.item).or_default() -= 1;
            }
            if let Some((item, claim, attempt)) = begun {
                assert!(claims.begun.insert((item, claim)), "claim {claim} of {item} began twice");
                present.insert(item, claim);
                let count = attempts.entry(item).or_default();
                *count += 1;
                assert_eq!(attempt, *count, "attempts of item {item}");
            }
            claims.lost += usize::from(work.ended == Some(Ended::Lost));
        }
        claims
    }
}

/// Checks the records of a case that has ended against its scenario, and what was executed against both.
/// Returns the number of attempts that were lost.
pub(super) async fn agrees(
    petrel: &Petrel,
    scenario: &Scenario,
    ledger: &Ledger,
    stop: Stop,
) -> usize {
    let records = history(petrel, "steps", &case(CASE)).await;
    let told = || format!("{:?}", kinds(&records));
    let (mut fired, mut effects) = (BTreeMap::<String, usize>::new(), HashSet::new());
    for record in records.iter().map(|record| &record.value) {
        let own = record
            .transition
            .iter()
            .map(|of| (of, None))
            .chain(record.cascade.iter().map(|step| (&step.transition, step.item)));
        for (transition, item) in own {
            *fired.entry(transition.to_string()).or_default() += 1;
            assert!(item.is_none_or(|item| effects.insert(item)), "{item:?} twice: {}", told());
        }
        if record.kind == RecordKind::Fired
            && let Some(work) = &record.work
        {
            assert!(effects.insert(work.item), "{} twice: {}", work.item, told());
        }
    }
    let wanted: BTreeMap<_, _> =
        scenario.fires.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect();
    assert_eq!(fired, wanted, "{}", told());
    assert_eq!(records.last().unwrap().value.status, scenario.ends);

    let claims = Claims::of(&records);
    ledger.is_once_a_claim();
    let executed: BTreeSet<_> = ledger.claims();
    assert!(executed.is_subset(&claims.begun), "{executed:?} of {claims:?}: {}", told());
    let unexecuted = || claims.begun.difference(&executed).collect::<Vec<_>>();
    let is_told = |of: &&(u64, u64)| claims.answered.contains(of) && !claims.released.contains(of);
    // An attempt ends by its own answer only if it has run; one that a stop came before is lost.
    assert!(!unexecuted().iter().any(is_told), "{:?} of {claims:?}: {}", unexecuted(), told());
    match stop {
        Stop::Repeat => assert_eq!((unexecuted(), claims.lost), (vec![], 0), "{}", told()),
        _ => {
            // What runs when the process stops, or is held; and one more where a machine is so busy that
            // a process that lives is late with its beats.
            let open = if scenario.name == "fork" { 2 } else { 1 };
            assert!(claims.lost <= open + 1, "{} are lost: {}", claims.lost, told());
        }
    }
    claims.lost
}

/// Checks that the log, the view and the stores of timers and work agree, as
/// [`is_whole`](super::super::is_whole) does. Where servers that are busy with streams say that something
/// may be asked again, it is.
pub(super) async fn is_whole(petrel: &Petrel) {
    let found = answered(async || audited(petrel).await).await;
    assert_eq!(found, Vec::<String>::new());
    let rebuilt = answered(async || petrel.rebuild(&|_, _| {}).await).await;
    assert_eq!(rebuilt.mended, 0, "{rebuilt:?}");
}

async fn answered<T>(mut ask: impl AsyncFnMut() -> Result<T>) -> T {
    eventually("an answer", async || match ask().await {
        Err(error) if error.retryable() => None,
        answer => Some(answer.unwrap()),
    })
    .await
}

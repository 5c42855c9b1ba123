//! The suite of beats and of progress.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use futures::{StreamExt, future::join_all};

use super::{
    Behaviour, behaviour, each,
    fixture::{PATIENCE, case, workflow},
};
use crate::storage::{Beat, BeatSequence, Beats as Trait, Hint, Progress, StorageError};

/// Beats to be tested.
pub type Beats = Arc<dyn Trait>;

/// The behaviours of all beats.
pub fn behaviours() -> impl Iterator<Item = &'static Behaviour<Beats>> {
    BEHAVIOURS.iter()
}

/// Checks every behaviour, one after the other. `make` is called before each and returns
/// beats among which that behaviour has not run: always the same ones, or new ones.
///
/// # Panics
///
/// When a behaviour does not hold. Standard error names the one that was being checked.
pub async fn all(make: impl AsyncFn() -> Beats) {
    each(behaviours(), make).await;
}

const BEHAVIOURS: &[Behaviour<Beats>] = &[
    behaviour!(the_last_beat_is_found_as_it_was_made),
    behaviour!(a_beat_upon_another_one_than_the_last_is_refused_and_not_stored),
    behaviour!(of_eight_who_beat_upon_the_same_one_does),
    behaviour!(a_beat_is_gone_when_its_life_is_over_and_none_is_expected_then),
    behaviour!(beats_that_go_on_keep_the_last_one_alive),
    behaviour!(what_is_ended_is_gone_and_none_is_expected_then),
    behaviour!(progress_stays_and_has_a_condition_of_its_own),
    behaviour!(a_turn_is_one_askers_until_its_time_is_over),
    behaviour!(a_hint_comes_to_all_who_listen),
    behaviour!(items_of_any_size_and_ids_of_any_length_have_beats_of_their_own),
];

const LONG: Duration = Duration::from_secs(60);

fn beat(of: &str, claim: u64) -> Beat {
    Beat {
        workflow: workflow(of),
        case: case("c"),
        item: 1,
        claim,
        holder: "a holder".to_owned(),
        worker: "Grüße > * $JS \"of\" 世界".to_owned(),
    }
}

fn progress(of: &str, claim: u64, json: &'static str) -> Progress {
    let Beat { workflow, case, item, .. } = beat(of, claim);
    Progress { workflow, case, item, claim, json: Bytes::from_static(json.as_bytes()) }
}

fn is_lost_race(refused: &Result<BeatSequence, StorageError>) -> bool {
    matches!(refused, Err(StorageError::LostRace { .. }))
}

/// With the store's time, and the life that it was given.
pub async fn the_last_beat_is_found_as_it_was_made(beats: &Beats) {
    let (first, begun) = (beat("beats-made", 3), Utc::now());
    assert_eq!(beats.last_beat(&first.workflow, &first.case, 1).await.unwrap(), None);
    let one = beats.beat(&first, LONG, None).await.unwrap();
    let found = beats.last_beat(&first.workflow, &first.case, 1).await.unwrap().expect("a beat");
    assert_eq!((&found.beat, found.sequence, found.life), (&first, one, LONG));
    let moment = TimeDelta::milliseconds(200);
    let around = begun - moment..Utc::now() + moment;
    assert!(around.contains(&found.at), "{found:?} {around:?}");
    let second = Beat { claim: 4, ..first };
    let two = beats.beat(&second, Duration::from_millis(30_001), Some(one)).await.unwrap();
    assert!(two > one);
    let found = beats.last_beat(&second.workflow, &second.case, 1).await.unwrap().expect("a beat");
    let life = Duration::from_secs(31);
    assert_eq!((found.beat, found.sequence, found.life), (second, two, life));
}

/// Presence of a beat: there is one or none.
pub async fn a_beat_upon_another_one_than_the_last_is_refused_and_not_stored(beats: &Beats) {
    let (old, new) = (beat("beats-refused", 1), beat("beats-refused", 2));
    let refused = beats.beat(&old, LONG, Some(BeatSequence(1))).await;
    assert!(is_lost_race(&refused), "{refused:?}");
    assert_eq!(beats.last_beat(&old.workflow, &old.case, 1).await.unwrap(), None);
    let first = beats.beat(&old, LONG, None).await.unwrap();
    let second = beats.beat(&new, LONG, Some(first)).await.unwrap();
    for wrong in [None, Some(first), Some(BeatSequence(second.0 + 1))] {
        let refused = beats.beat(&old, LONG, wrong).await;
        assert!(is_lost_race(&refused), "{wrong:?}: {refused:?}");
    }
    let found = beats.last_beat(&old.workflow, &old.case, 1).await.unwrap().expect("a beat");
    assert_eq!((found.beat, found.sequence), (new, second));
}

/// Upon none, and upon one.
pub async fn of_eight_who_beat_upon_the_same_one_does(beats: &Beats) {
    let mut last = None;
    for _ in 0..5 {
        let all: Vec<_> = (0..8).map(|claim| beat("beats-race", claim)).collect();
        let done = join_all(all.iter().map(|beat| beats.beat(beat, LONG, last))).await;
        let won: Vec<_> = done.iter().zip(&all).filter(|(done, _)| done.is_ok()).collect();
        assert_eq!(won.len(), 1, "{done:?}");
        assert_eq!(done.iter().filter(|done| is_lost_race(done)).count(), 7, "{done:?}");
        let found = beats.last_beat(&all[0].workflow, &all[0].case, 1).await.unwrap();
        let found = found.expect("a beat");
        assert_eq!((&found.beat, Ok(found.sequence)), (won[0].1, won[0].0.clone()));
        last = Some(found.sequence);
    }
}

/// Not long before, and not long after.
pub async fn a_beat_is_gone_when_its_life_is_over_and_none_is_expected_then(beats: &Beats) {
    let (one, life) = (beat("beats-over", 1), Duration::from_secs(1));
    let mut last = None;
    for _ in 0..3 {
        let begun = Instant::now();
        last = Some(beats.beat(&one, life, None).await.unwrap());
        let mut seen = begun;
        while beats.last_beat(&one.workflow, &one.case, 1).await.unwrap().is_some() {
            seen = Instant::now();
            assert!(begun.elapsed() < PATIENCE, "it lives");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(begun.elapsed() >= life.mul_f64(0.9), "{:?}", begun.elapsed());
        // As it was seen last: a busy machine may have looked late.
        let lived = seen - begun;
        assert!(lived < 3 * life, "{lived:?}");
    }
    tokio::time::sleep(life).await;
    let refused = beats.beat(&one, life, last).await;
    assert!(is_lost_race(&refused), "{refused:?}");
}

/// Each begins a life of its own.
pub async fn beats_that_go_on_keep_the_last_one_alive(beats: &Beats) {
    let (one, mut last, begun) = (beat("beats-go-on", 1), None, Instant::now());
    let life = Duration::from_secs(2);
    let mut before = begun;
    while begun.elapsed() < 2 * life {
        let done = beats.beat(&one, life, last).await;
        // A busy machine may have let its life pass.
        assert!(done.is_ok() || before.elapsed() > life / 2, "the last one is alive: {done:?}");
        (last, before) = (done.ok(), Instant::now());
        tokio::time::sleep(life / 5).await;
    }
    let last = match last {
        Some(last) => Some(last),
        None => Some(beats.beat(&one, life, None).await.unwrap()),
    };
    let found = beats.last_beat(&one.workflow, &one.case, 1).await.unwrap();
    assert!(found.is_some() || before.elapsed() > life / 2, "the last one is alive");
    assert!(found.is_none_or(|found| Some(found.sequence) == last));
}

/// Both, and no other item's.
pub async fn what_is_ended_is_gone_and_none_is_expected_then(beats: &Beats) {
    let (one, other) = (beat("beats-end", 1), Beat { item: 11, ..beat("beats-end", 1) });
    let made = progress("beats-end", 1, "{}");
    beats.end_beats(&one.workflow, &one.case, 1).await.unwrap();
    beats.beat(&other, LONG, None).await.unwrap();
    for _ in 0..2 {
        let first = beats.beat(&one, LONG, None).await.unwrap();
        let of_it = beats.progress(&made, None).await.unwrap();
        beats.end_beats(&one.workflow, &one.case, 1).await.unwrap();
        beats.end_beats(&one.workflow, &one.case, 1).await.unwrap();
        assert_eq!(beats.last_beat(&one.workflow, &one.case, 1).await.unwrap(), None);
        assert_eq!(beats.last_progress(&one.workflow, &one.case, 1).await.unwrap(), None);
        let refused = beats.beat(&one, LONG, Some(first)).await;
        assert!(is_lost_race(&refused), "{refused:?}");
        let refused = beats.progress(&made, Some(of_it)).await;
        assert!(is_lost_race(&refused), "{refused:?}");
    }
    let found = beats.last_beat(&one.workflow, &one.case, 11).await.unwrap().expect("a beat");
    assert_eq!(found.beat, other);
}

/// However long ago the last beat was.
pub async fn progress_stays_and_has_a_condition_of_its_own(beats: &Beats) {
    let one = beat("beats-progress", 1);
    let steps = [
        progress("beats-progress", 1, r#"{"done": [1, 2],  "as":"written"}"#),
        progress("beats-progress", 2, "null"),
    ];
    let first = beats.progress(&steps[0], None).await.unwrap();
    beats.beat(&one, Duration::from_secs(1), None).await.unwrap();
    let begun = Instant::now();
    while beats.last_beat(&one.workflow, &one.case, 1).await.unwrap().is_some() {
        assert!(begun.elapsed() < PATIENCE, "it lives");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = beats.last_progress(&one.workflow, &one.case, 1).await.unwrap().expect("progress");
    assert_eq!((&found.progress, found.sequence), (&steps[0], first));
    for wrong in [None, Some(BeatSequence(first.0 + 1))] {
        let refused = beats.progress(&steps[1], wrong).await;
        assert!(is_lost_race(&refused), "{refused:?}");
    }
    let second = beats.progress(&steps[1], Some(first)).await.unwrap();
    let found = beats.last_progress(&one.workflow, &one.case, 1).await.unwrap().expect("progress");
    assert_eq!((&found.progress, found.sequence), (&steps[1], second));
}

/// Of eight who ask all the time, each time one.
pub async fn a_turn_is_one_askers_until_its_time_is_over(beats: &Beats) {
    let life = Duration::from_secs(2);
    let other = beats.take_turn("another", LONG).await.unwrap();
    assert!(other && !beats.take_turn("another", LONG).await.unwrap());
    let begun = Instant::now();
    let mut taken: Vec<Instant> = Vec::new();
    while taken.len() < 3 {
        assert!(begun.elapsed() < PATIENCE, "the turn is free again");
        let answers = join_all((0..8).map(|_| beats.take_turn("duty", life))).await;
        let yes = answers.into_iter().filter(|answer| *answer.as_ref().unwrap()).count();
        assert!(yes <= 1, "{yes} have it");
        if yes == 1 {
            let now = Instant::now();
            assert!(taken.last().is_none_or(|last| now - *last >= life / 2), "it is taken twice");
            taken.push(now);
        }
        tokio::time::sleep(life / 20).await;
    }
}

/// Those who began to listen before it was told.
pub async fn a_hint_comes_to_all_who_listen(beats: &Beats) {
    let mut listening = vec![beats.hints().await.unwrap(), beats.hints().await.unwrap()];
    let hint = |item| Hint { workflow: workflow("beats-told"), case: case(&"c".repeat(64)), item };
    let told: Vec<_> = [1, 7, u64::MAX].map(hint).to_vec();
    beats.tell(&[]).await.unwrap();
    beats.tell(&told).await.unwrap();
    for hints in &mut listening {
        let is_ours = |hint: &Hint| std::future::ready(hint.workflow == told[0].workflow);
        let heard = hints.filter(is_ours).take(3).collect::<Vec<_>>();
        assert_eq!(tokio::time::timeout(PATIENCE, heard).await.expect("they come"), told);
    }
}

/// The largest of each.
pub async fn items_of_any_size_and_ids_of_any_length_have_beats_of_their_own(beats: &Beats) {
    let of = Beat {
        workflow: workflow(&"b".repeat(64)),
        case: case(&"c".repeat(64)),
        item: u64::MAX,
        ..beat("beats-size", u64::MAX)
    };
    let other = Beat { item: 0, claim: 0, ..of.clone() };
    for beat in [&of, &other] {
        beats.beat(beat, LONG, None).await.unwrap();
    }
    for beat in [of, other] {
        let found = beats.last_beat(&beat.workflow, &beat.case, beat.item).await.unwrap();
        assert_eq!(found.expect("a beat").beat, beat);
    }
}

//! Armed timers until they are due, and the lists of them.

use std::{collections::BTreeSet, slice};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::{
    Behaviour, behaviour,
    fixture::{case, now, workflow},
    timers::{Taker, Timers, arming, at},
};
use crate::{
    models::LogSequence,
    storage::{Arming, Cursor, Page},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<Timers>] = &[
    behaviour!(an_arming_comes_due_as_it_was_armed_and_not_before_its_time),
    behaviour!(an_arming_whose_time_is_over_comes_at_once),
    behaviour!(an_arming_for_the_far_future_is_listed_and_does_not_come),
    behaviour!(ids_of_any_length_and_numbers_of_any_size_come_back),
    behaviour!(what_is_armed_again_comes_once),
    behaviour!(what_has_come_due_and_is_not_settled_is_not_armed_again),
    behaviour!(what_was_settled_and_is_armed_again_comes_once_more),
    behaviour!(what_is_disarmed_never_comes_and_nothing_else_is_touched),
    behaviour!(a_case_lists_its_armings_until_they_are_settled),
    behaviour!(many_armings_of_a_case_are_armed_at_once_and_all_listed),
    behaviour!(many_cases_list_all_of_their_armings),
    behaviour!(every_page_size_lists_each_arming_once),
    behaviour!(what_may_lack_armings_says_so_until_all_are_armed),
];

const HOUR: f64 = 3_600.0;

/// The armings of a case by number, with their order left out.
async fn listed(timers: &Timers, of: &Arming) -> Vec<Arming> {
    let mut found =
        timers.armed_in(&of.workflow, std::slice::from_ref(&of.case)).await.expect("a list");
    found.sort_by_key(|arming| (arming.timer, arming.armed));
    found
}

/// With its ids, its record, and its time to the microsecond.
pub async fn an_arming_comes_due_as_it_was_armed_and_not_before_its_time(timers: &Timers) {
    let (id, taker) = (workflow("timers-due"), Taker::new(timers, &workflow("timers-due")));
    let mut armed = arming(&id, &case("c"), 3, 1.5);
    armed.armed = LogSequence::new(4_711).expect("a sequence");
    let nanos = Arming { due: armed.due + TimeDelta::nanoseconds(987), ..armed.clone() };
    timers.arm(&[nanos]).await.unwrap();
    assert_eq!(listed(timers, &armed).await, [armed.clone()]);
    taker.is_quiet().await;
    let due = taker.take(1).await.remove(0);
    assert!(Utc::now() >= armed.due && due.at >= armed.due, "{due:?}");
    assert!(due.at <= Utc::now() + TimeDelta::milliseconds(200), "{due:?}");
    assert_eq!(due.arming, armed);
    timers.settle(&due).await.unwrap();
    taker.is_quiet().await;
}

/// A second ago, an hour ago, before there were computers.
pub async fn an_arming_whose_time_is_over_comes_at_once(timers: &Timers) {
    let (id, taker) = (workflow("timers-past"), Taker::new(timers, &workflow("timers-past")));
    let times = [
        now() - TimeDelta::seconds(1),
        now() - TimeDelta::hours(1),
        DateTime::UNIX_EPOCH,
        "1871-01-18T12:00:00.000001Z".parse().expect("a time"),
    ];
    let armed = times.into_iter().zip(1..).map(|(time, n)| at(&id, &case("c"), n, time));
    let armed: Vec<_> = armed.collect();
    timers.arm(&armed).await.unwrap();
    let mut came = Vec::new();
    for due in taker.take(armed.len()).await {
        timers.settle(&due).await.unwrap();
        came.push(due.arming);
    }
    came.sort_by_key(|arming| arming.timer);
    assert_eq!(came, armed);
}

/// However far: the year 2400 too, and the last one that there is.
pub async fn an_arming_for_the_far_future_is_listed_and_does_not_come(timers: &Timers) {
    let (id, taker) = (workflow("timers-far"), Taker::new(timers, &workflow("timers-far")));
    let times = ["2200-01-01T00:00:00Z", "2400-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"];
    let times = times.map(|time| time.parse().expect("a time"));
    let armed = times.into_iter().zip(1..).map(|(time, n)| at(&id, &case("c"), n, time));
    let armed: Vec<_> = armed.collect();
    timers.arm(&armed).await.unwrap();
    taker.is_quiet().await;
    assert_eq!(listed(timers, &armed[0]).await, armed);
}

/// The longest ids that there are, and the largest numbers.
pub async fn ids_of_any_length_and_numbers_of_any_size_come_back(timers: &Timers) {
    let (id, c) = (workflow(&"w".repeat(64)), case(&"c".repeat(64)));
    let taker = Taker::new(timers, &id);
    let last = LogSequence::new(u64::MAX).expect("a sequence");
    let armed = [
        Arming { armed: last, ..arming(&id, &c, u64::MAX, -1.0) },
        Arming { armed: last, ..arming(&id, &c, 0, HOUR) },
    ];
    timers.arm(&armed).await.unwrap();
    assert_eq!(listed(timers, &armed[0]).await, [armed[1].clone(), armed[0].clone()]);
    assert_eq!(taker.settled().await, armed[0]);
    assert_eq!(listed(timers, &armed[0]).await, armed[1..]);
    timers.disarm(&armed).await.unwrap();
    assert_eq!(listed(timers, &armed[0]).await, []);
}

/// In one call, by another one, and by many at the same moment.
pub async fn what_is_armed_again_comes_once(timers: &Timers) {
    let (id, taker) = (workflow("timers-again"), Taker::new(timers, &workflow("timers-again")));
    let once = arming(&id, &case("c"), 1, 1.0);
    timers.arm(&[once.clone(), once.clone()]).await.unwrap();
    timers.arm(slice::from_ref(&once)).await.unwrap();
    let both = [once.clone(), arming(&id, &case("c"), 2, 1.0)];
    let armed = join_all((0..8).map(|_| timers.arm(&both))).await;
    assert!(armed.iter().all(Result::is_ok), "{armed:?}");
    assert_eq!(listed(timers, &once).await.len(), 2);
    let mut came = vec![taker.settled().await, taker.settled().await];
    came.sort_by_key(|arming| arming.timer);
    assert_eq!(came, both);
    taker.is_quiet().await;
    assert_eq!(listed(timers, &once).await, []);
}

/// Neither before somebody takes it nor after that.
pub async fn what_has_come_due_and_is_not_settled_is_not_armed_again(timers: &Timers) {
    let (id, taker) = (workflow("timers-twice"), Taker::new(timers, &workflow("timers-twice")));
    let armed = [arming(&id, &case("c"), 1, -1.0)];
    timers.arm(&armed).await.unwrap();
    let due = taker.take(1).await.remove(0);
    timers.arm(&armed).await.unwrap();
    taker.is_quiet().await;
    assert_eq!(listed(timers, &armed[0]).await, armed);
    timers.give_back(&due, Default::default()).await.unwrap();
    timers.arm(&armed).await.unwrap();
    assert_eq!(taker.settled().await, armed[0]);
    taker.is_quiet().await;
}

/// As does what was disarmed.
pub async fn what_was_settled_and_is_armed_again_comes_once_more(timers: &Timers) {
    let (id, taker) = (workflow("timers-anew"), Taker::new(timers, &workflow("timers-anew")));
    let armed = [arming(&id, &case("c"), 1, -1.0)];
    for _ in 0..3 {
        timers.arm(&armed).await.unwrap();
        assert_eq!(taker.settled().await, armed[0]);
    }
    let later = [arming(&id, &case("c"), 2, 1.0)];
    timers.arm(&later).await.unwrap();
    timers.disarm(&later).await.unwrap();
    timers.arm(&later).await.unwrap();
    assert_eq!(taker.settled().await, later[0]);
    taker.is_quiet().await;
}

/// Other timers of the case, other armings of the timer, and those of other cases come.
pub async fn what_is_disarmed_never_comes_and_nothing_else_is_touched(timers: &Timers) {
    let (id, taker) = (workflow("timers-off"), Taker::new(timers, &workflow("timers-off")));
    let off = arming(&id, &case("c"), 1, 1.0);
    let others = [
        Arming { armed: LogSequence::FIRST.next(), ..off.clone() },
        Arming { timer: 11, ..off.clone() },
        Arming { case: case("c-1"), ..off.clone() },
    ];
    timers.arm(&others).await.unwrap();
    timers.arm(&[off.clone(), Arming { timer: 2, ..off.clone() }]).await.unwrap();
    timers.disarm(&[off.clone(), Arming { timer: 2, ..off.clone() }]).await.unwrap();
    // Nothing is there any more.
    timers.disarm(slice::from_ref(&off)).await.unwrap();
    assert_eq!(listed(timers, &off).await, others[..2]);
    let mut came = BTreeSet::new();
    for due in taker.take(others.len()).await {
        timers.settle(&due).await.unwrap();
        came.insert((due.arming.case, due.arming.timer, due.arming.armed));
    }
    let expected = others.into_iter().map(|arming| (arming.case, arming.timer, arming.armed));
    assert_eq!(came, expected.collect());
    taker.is_quiet().await;
}

/// Due or not, and nothing of a case with a similar name.
pub async fn a_case_lists_its_armings_until_they_are_settled(timers: &Timers) {
    let (id, taker) = (workflow("timers-case"), Taker::new(timers, &workflow("timers-case")));
    let (soon, later) = (arming(&id, &case("c"), 1, -1.0), arming(&id, &case("c"), 2, HOUR));
    let other = arming(&id, &case("c-1"), 3, HOUR);
    assert_eq!(listed(timers, &soon).await, []);
    timers.arm(&[later.clone(), soon.clone(), other.clone()]).await.unwrap();
    assert_eq!(listed(timers, &soon).await, [soon.clone(), later.clone()]);
    let due = taker.take(1).await.remove(0);
    assert_eq!(listed(timers, &soon).await, [soon.clone(), later.clone()]);
    timers.settle(&due).await.unwrap();
    assert_eq!(listed(timers, &soon).await, slice::from_ref(&later));
    assert_eq!(listed(timers, &other).await, slice::from_ref(&other));
    timers.disarm(&[later, other]).await.unwrap();
    assert_eq!(listed(timers, &soon).await, []);
}

/// More than a server answers for at once.
pub async fn many_armings_of_a_case_are_armed_at_once_and_all_listed(timers: &Timers) {
    let (id, c) = (workflow("timers-many"), case("c"));
    let armed: Vec<_> = (0..1_500).map(|timer| arming(&id, &c, timer, HOUR)).collect();
    timers.arm(&armed).await.unwrap();
    assert_eq!(listed(timers, &armed[0]).await, armed);
    timers.disarm(&armed[..1_400]).await.unwrap();
    assert_eq!(listed(timers, &armed[0]).await, armed[1_400..]);
}

/// Cases with none, with one, and with more in all than a server answers for at once; and no other's.
pub async fn many_cases_list_all_of_their_armings(timers: &Timers) {
    let id = workflow("timers-cases");
    let cases: Vec<_> = (0..600).map(|n| case(&format!("c-{n}"))).collect();
    assert_eq!(timers.armed_in(&id, &[]).await.unwrap(), []);
    assert_eq!(timers.armed_in(&id, &cases).await.unwrap(), []);
    let of = |n: usize, timer| arming(&id, &cases[n], timer, HOUR);
    let mut few: Vec<_> = (0..600).step_by(3).map(|n| of(n, 1)).collect();
    timers.arm(&few).await.unwrap();
    timers.arm(&[arming(&id, &case("other"), 1, HOUR)]).await.unwrap();
    let by_case = |arming: &Arming| (arming.case.clone(), arming.timer);
    let all = async || {
        let mut found = timers.armed_in(&id, &cases).await.expect("a list");
        found.sort_by_key(by_case);
        found
    };
    few.sort_by_key(by_case);
    assert_eq!(all().await, few);
    let mut many = few;
    many.extend((0..1_500).map(|timer| of(1, timer)).chain((0..1_200).map(|n| of(n / 2, 7))));
    many.sort_by_key(by_case);
    many.dedup_by_key(|arming| by_case(arming));
    timers.arm(&many).await.unwrap();
    assert_eq!(all().await, many);
    timers.disarm(&many).await.unwrap();
    assert_eq!(all().await, []);
}

/// Beside the armings of other workflows.
pub async fn every_page_size_lists_each_arming_once(timers: &Timers) {
    let id = workflow("timers-pages");
    let armed = (0..40).map(|n| arming(&id, &case(&format!("c-{}", n % 3)), n, HOUR));
    let mut armed: Vec<_> = armed.collect();
    timers.arm(&armed).await.unwrap();
    timers.disarm(&armed[20..30]).await.unwrap();
    armed.drain(20..30);
    for first in [1, 7, 30, 1_000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = timers.armed(Page { first, after }).await.expect("a page");
            assert!(page.items.len() <= first, "{first}: {page:?}");
            assert!(page.items.iter().all(|(at, _)| Some(*at) > after), "{after:?}: {page:?}");
            after = page.end();
            let has_next = page.has_next;
            found.extend(page.into_items());
            if !has_next {
                break;
            }
        }
        let ours = found.into_iter().filter(|arming: &Arming| arming.workflow == id);
        let mut ours: Vec<_> = ours.collect();
        ours.sort_by_key(|arming| arming.timer);
        assert_eq!(ours, armed, "pages of {first}");
    }
    let beyond = Page { first: 10, after: Some(Cursor(u64::MAX)) };
    let none = timers.armed(beyond).await.unwrap();
    assert!(none.items.is_empty() && !none.has_next, "{none:?}");
    timers.disarm(&armed).await.unwrap();
}

/// Not for what was noted of another life.
pub async fn what_may_lack_armings_says_so_until_all_are_armed(timers: &Timers) {
    let life = timers.to_be_filled().await.expect("an answer");
    timers.filled("of another store").await.expect("it is noted or passed over");
    assert_eq!(timers.to_be_filled().await.expect("an answer"), life);
    if let Some(life) = life {
        timers.filled(&life).await.expect("it is noted");
        timers.filled(&life).await.expect("it is noted already");
    }
    assert_eq!(timers.to_be_filled().await.expect("an answer"), None);
}

//! Offers until somebody gets them, and the lists of them.

use std::{collections::BTreeSet, slice};

use chrono::{TimeDelta, Utc};
use futures::future::join_all;

use super::{Taker, Work, offer, offers, queue_id};
use crate::{
    models::{KindId, LogSequence, TransitionId, WorkClass},
    storage::{Cursor, Offer, Page},
    testing::conformance::{
        Behaviour, behaviour,
        fixture::{case, workflow},
    },
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<Work>] = &[
    behaviour!(an_offer_comes_as_it_was_made),
    behaviour!(ids_of_any_length_and_items_of_any_size_come_back),
    behaviour!(what_is_offered_again_comes_once),
    behaviour!(what_was_acknowledged_and_is_offered_again_comes_once_more),
    behaviour!(offers_come_in_the_order_in_which_they_were_made),
    behaviour!(queues_and_classes_are_apart),
    behaviour!(what_is_withdrawn_never_comes_and_nothing_else_is_touched),
    behaviour!(what_is_offered_is_known_until_it_ends),
    behaviour!(a_case_lists_its_offers_until_they_end),
    behaviour!(many_offers_of_a_case_are_made_at_once_and_all_listed),
    behaviour!(every_page_size_lists_each_offer_once),
    behaviour!(what_may_lack_offers_says_so_until_all_are_made),
];

/// The offers of a case by number, with their order left out.
async fn listed(work: &Work, of: &Offer) -> Vec<Offer> {
    let mut found = work.offered_in(&of.workflow, &of.case).await.expect("a list");
    found.sort_by_key(|offer| offer.item);
    found
}

/// With its ids, its record, and the time at which it was made.
pub async fn an_offer_comes_as_it_was_made(work: &Work) {
    let (queue, begun) = (queue_id("work-made"), Utc::now());
    let taker = Taker::new(work, &queue);
    let follows = LogSequence::new(4_711).expect("a sequence");
    let made = Offer { follows, ..offer(&queue, 3) };
    work.offer(slice::from_ref(&made)).await.unwrap();
    let delivery = taker.one().await;
    assert_eq!((&delivery.offer, delivery.deliveries), (&made, 1));
    let moment = TimeDelta::milliseconds(200);
    let around = begun - moment..Utc::now() + moment;
    assert!(around.contains(&delivery.published), "{delivery:?} {around:?}");
    work.acknowledge(&delivery).await.unwrap();
    taker.is_quiet().await;
}

/// The longest ids that there are, and the largest numbers.
pub async fn ids_of_any_length_and_items_of_any_size_come_back(work: &Work) {
    let queue = queue_id(&"q".repeat(64));
    let taker = Taker::of(work, &queue, WorkClass::Low);
    let largest = Offer {
        class: WorkClass::Low,
        case: case(&"c".repeat(64)),
        follows: LogSequence::new(u64::MAX).expect("a sequence"),
        kind: KindId::new("k".repeat(64)).expect("an id"),
        transition: TransitionId::new("t".repeat(64)).expect("an id"),
        ..offer(&queue, u64::MAX)
    };
    let smallest = Offer { item: 0, ..largest.clone() };
    work.offer(&[largest.clone(), smallest.clone()]).await.unwrap();
    assert_eq!(listed(work, &largest).await, [smallest.clone(), largest.clone()]);
    assert_eq!(taker.done().await, largest);
    assert_eq!(taker.done().await, smallest);
    assert_eq!(listed(work, &largest).await, []);
}

/// In one call, by another one, by many at the same moment, and while somebody has it; whatever else it
/// says.
pub async fn what_is_offered_again_comes_once(work: &Work) {
    let queue = queue_id("work-again");
    let (taker, made) = (Taker::new(work, &queue), offer(&queue, 1));
    work.offer(&[made.clone(), made.clone()]).await.unwrap();
    let again = (0..8).map(|_| work.offer(slice::from_ref(&made)));
    join_all(again).await.into_iter().for_each(|offered| offered.expect("it is there"));
    let other = Offer { follows: made.follows.next(), ..made.clone() };
    work.offer(slice::from_ref(&other)).await.unwrap();
    let delivery = taker.one().await;
    assert_eq!(delivery.offer, made, "the first one stays");
    work.offer(slice::from_ref(&made)).await.unwrap();
    taker.is_quiet().await;
    work.acknowledge(&delivery).await.unwrap();
    taker.is_quiet().await;
}

/// At once: nothing remembers it.
pub async fn what_was_acknowledged_and_is_offered_again_comes_once_more(work: &Work) {
    let queue = queue_id("work-more");
    let (taker, made) = (Taker::new(work, &queue), offer(&queue, 1));
    for _ in 0..3 {
        work.offer(slice::from_ref(&made)).await.unwrap();
        assert_eq!(taker.done().await, made);
    }
    taker.is_quiet().await;
}

/// Made by one, and taken by one.
pub async fn offers_come_in_the_order_in_which_they_were_made(work: &Work) {
    let queue = queue_id("work-order");
    let taker = Taker::new(work, &queue);
    for item in [5, 3, 9, 1] {
        work.offer(&[offer(&queue, item)]).await.unwrap();
    }
    let came = taker.take(4).await;
    assert_eq!(came.iter().map(|it| it.offer.item).collect::<Vec<_>>(), [5, 3, 9, 1]);
    for delivery in &came {
        work.acknowledge(delivery).await.unwrap();
    }
}

/// The same item in each.
pub async fn queues_and_classes_are_apart(work: &Work) {
    let queues = ["work-apart", "work-apart-2"].map(queue_id);
    for queue in &queues {
        let each = WorkClass::ALL.map(|class| Offer {
            class,
            workflow: workflow("work-apart"),
            ..offer(queue, 1)
        });
        work.offer(&each).await.unwrap();
    }
    for queue in &queues {
        for class in WorkClass::ALL {
            let taker = Taker::of(work, queue, class);
            taker.done().await;
            taker.is_quiet().await;
        }
    }
}

/// Nor is that of which somebody has it already, and what is not there.
pub async fn what_is_withdrawn_never_comes_and_nothing_else_is_touched(work: &Work) {
    let queue = queue_id("work-withdrawn");
    let (taker, made) = (Taker::new(work, &queue), offers(&queue, 0..20));
    work.offer(&made).await.unwrap();
    let taken = taker.take(2).await;
    assert_eq!(taken[1].offer.item, 1);
    let gone = [&made[1..2], &made[5..10], &offers(&queue, 100..101)].concat();
    work.withdraw(&gone).await.unwrap();
    work.withdraw(&gone).await.unwrap();
    let left: Vec<u64> = (0..20).filter(|item| *item != 1 && !(5..10).contains(item)).collect();
    let found = listed(work, &made[0]).await;
    assert_eq!(found.iter().map(|offer| offer.item).collect::<Vec<_>>(), left);
    work.give_work_back(&taken[1], std::time::Duration::ZERO).await.unwrap();
    work.extend(&taken[1]).await.unwrap();
    work.acknowledge(&taken[1]).await.unwrap();
    work.acknowledge(&taken[0]).await.unwrap();
    let came = taker.take(left.len() - 1).await;
    for delivery in &came {
        work.acknowledge(delivery).await.unwrap();
    }
    assert_eq!(came.iter().map(|it| it.offer.item).collect::<Vec<_>>(), left[1..]);
    taker.is_quiet().await;
}

/// Before somebody has it, and while he has it.
pub async fn what_is_offered_is_known_until_it_ends(work: &Work) {
    let queue = queue_id("work-known");
    let (taker, made) = (Taker::new(work, &queue), offers(&queue, 0..3));
    assert_eq!(work.offered(&[]).await.unwrap(), [] as [bool; 0]);
    assert_eq!(work.offered(&made).await.unwrap(), [false; 3]);
    work.offer(&made[..2]).await.unwrap();
    assert_eq!(work.offered(&made).await.unwrap(), [true, true, false]);
    let delivery = taker.one().await;
    assert_eq!(work.offered(&made).await.unwrap(), [true, true, false]);
    work.acknowledge(&delivery).await.unwrap();
    assert_eq!(work.offered(&made).await.unwrap(), [false, true, false]);
    work.withdraw(&made).await.unwrap();
    assert_eq!(work.offered(&made).await.unwrap(), [false; 3]);
}

/// Of whatever queue and class, and of no other case.
pub async fn a_case_lists_its_offers_until_they_end(work: &Work) {
    let queues = ["work-listed", "work-listed-2"].map(queue_id);
    let of = |queue, item| Offer { workflow: workflow("work-listed"), ..offer(queue, item) };
    let made = [
        of(&queues[0], 1),
        of(&queues[1], 2),
        Offer { class: WorkClass::High, ..of(&queues[0], 3) },
    ];
    let other = Offer { case: case("c-2"), ..of(&queues[0], 1) };
    work.offer(&made).await.unwrap();
    work.offer(slice::from_ref(&other)).await.unwrap();
    assert_eq!(listed(work, &made[0]).await, made);
    assert_eq!(listed(work, &other).await, slice::from_ref(&other));
    let delivery = Taker::new(work, &queues[0]).one().await;
    assert_eq!(listed(work, &made[0]).await, made);
    work.acknowledge(&delivery).await.unwrap();
    assert_eq!(listed(work, &made[0]).await, made[1..]);
    work.withdraw(&[&made[1..], &[other]].concat()).await.unwrap();
    assert_eq!(listed(work, &made[0]).await, []);
}

/// More than a page has.
pub async fn many_offers_of_a_case_are_made_at_once_and_all_listed(work: &Work) {
    let queue = queue_id("work-many");
    let made = offers(&queue, 0..1_300);
    work.offer(&made).await.unwrap();
    assert_eq!(listed(work, &made[0]).await, made);
    assert_eq!(work.offered(&made).await.unwrap(), [true; 1_300]);
    work.withdraw(&made).await.unwrap();
    assert_eq!(listed(work, &made[0]).await, []);
}

/// From the first to the last, given out or not.
pub async fn every_page_size_lists_each_offer_once(work: &Work) {
    let queue = queue_id("work-pages");
    let made = offers(&queue, 0..30);
    work.offer(&made).await.unwrap();
    let taken = Taker::new(work, &queue).take(5).await;
    for first in [1, 7, 30, 31, 1_000] {
        let (mut found, mut after) = (Vec::new(), None::<Cursor>);
        loop {
            let page = work.all_offered(Page { first, after }).await.expect("a page");
            assert!(page.items.len() <= first);
            after = page.end();
            let has_next = page.has_next;
            found.extend(page.into_items().into_iter().filter(|offer| offer.queue == queue));
            if !has_next {
                break;
            }
        }
        let items: BTreeSet<_> = found.iter().map(|offer| offer.item).collect();
        assert_eq!((items, found.len()), ((0..30).collect(), 30), "{first}");
    }
    for delivery in &taken {
        work.acknowledge(delivery).await.unwrap();
    }
    work.withdraw(&made).await.unwrap();
}

/// And nobody of another life does it.
pub async fn what_may_lack_offers_says_so_until_all_are_made(work: &Work) {
    let life = work.work_to_be_filled().await.expect("an answer");
    work.work_filled("of another store").await.expect("it is noted or passed over");
    assert_eq!(work.work_to_be_filled().await.expect("an answer"), life);
    if let Some(life) = life {
        work.work_filled(&life).await.expect("it is noted");
        work.work_filled(&life).await.expect("it is noted already");
    }
    assert_eq!(work.work_to_be_filled().await.expect("an answer"), None);
}

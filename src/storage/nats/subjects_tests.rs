//! Every subject leads back to what it is of.

use proptest::prelude::*;

use super::*;
use crate::models::{KindId, LogSequence, TransitionId};

proptest! {
    #[test]
    fn a_tokens_subject_leads_back_to_it(
        workflow in "[A-Za-z0-9_-]{1,64}",
        place in "[A-Za-z0-9_-]{1,64}",
        token in "[A-Za-z0-9_-]{1,96}",
    ) {
        let subjects = Subjects::new("cb");
        let ids = (
            WorkflowId::new(workflow).unwrap(),
            PlaceId::new(place).unwrap(),
            TokenId::new(token).unwrap(),
        );
        let subject = subjects.token(&ids.0, &ids.1, &ids.2);
        prop_assert_eq!(subject.split('.').count(), 7);
        prop_assert_eq!(subjects.parse_token(&subject), Some(ids));
    }
}

proptest! {
    #[test]
    fn a_timers_subjects_lead_back_to_it(
        workflow in "[A-Za-z0-9_-]{1,64}",
        case in "[A-Za-z0-9_-]{1,64}",
        timer: u64,
        armed in 1..=u64::MAX,
    ) {
        let subjects = Subjects::new("cb");
        let (workflow, case) = (WorkflowId::new(workflow).unwrap(), CaseId::new(case).unwrap());
        let armed = LogSequence::new(armed).unwrap();
        let arming = Arming { workflow, case, timer, armed, due: DateTime::UNIX_EPOCH };
        for subject in [subjects.timer(&arming), subjects.due(&arming)] {
            prop_assert_eq!(subject.split('.').count(), 6);
            let parsed = subjects.parse_timer(&subject, DateTime::UNIX_EPOCH);
            prop_assert_eq!(parsed.as_ref(), Some(&arming));
        }
    }
}

#[test]
fn a_foreign_subject_is_no_timer() {
    let subjects = Subjects::new("cb");
    let parse = |subject: &str| subjects.parse_timer(subject, DateTime::UNIX_EPOCH);
    assert!(parse("cb.due.w.c.1.2").is_some());
    for foreign in [
        "xx.due.w.c.1.2",
        "cb.told.w.c.1.2",
        "cb.due.w.c.1",
        "cb.due.w.c.1.2.3",
        "cb.due.w.c.x.2",
        "cb.due.w.c.01.2",
        "cb.due.w.c.+1.2",
        "cb.due.w.c.1.0",
        "cb.due.w.c*.1.2",
    ] {
        assert_eq!(parse(foreign), None, "{foreign}");
    }
}

#[test]
fn a_foreign_subject_is_no_token() {
    let subjects = Subjects::new("cb");
    assert_eq!(subjects.parse_token("xx.workflows.w.places.p.tokens.t"), None);
    assert_eq!(subjects.parse_token("cb.workflows.w.places.p.tokens.t.u"), None);
    assert_eq!(subjects.parse_token("cb.workflows.w.events.p.tokens.t"), None);
}

proptest! {
    #[test]
    fn an_offers_subject_leads_back_to_it(
        queue in "[A-Za-z0-9_-]{1,64}",
        workflow in "[A-Za-z0-9_-]{1,64}",
        case in "[A-Za-z0-9_-]{1,64}",
        class in 0..3_usize,
        item: u64,
    ) {
        let subjects = Subjects::new("cb");
        let offer = Offer {
            queue: QueueId::new(queue).unwrap(),
            class: WorkClass::ALL[class],
            workflow: WorkflowId::new(workflow).unwrap(),
            case: CaseId::new(case).unwrap(),
            item,
            follows: LogSequence::FIRST,
            kind: KindId::new("k").unwrap(),
            transition: TransitionId::new("t").unwrap(),
        };
        let subject = subjects.offer(&offer);
        prop_assert_eq!(subject.split('.').count(), 7);
        let Offer { queue, class, workflow, case, .. } = offer;
        prop_assert_eq!(subjects.queue_of_settings(&subjects.queue(&queue)), Some(queue.clone()));
        prop_assert_eq!(subjects.parse_offer(&subject), Some((queue, class, workflow, case, item)));
    }
}

#[test]
fn a_foreign_subject_is_no_offer() {
    let subjects = Subjects::new("cb");
    assert!(subjects.parse_offer("cb.work.q.low.w.c.1").is_some());
    for foreign in [
        "xx.work.q.low.w.c.1",
        "cb.wait.q.low.w.c.1",
        "cb.work.q.lowest.w.c.1",
        "cb.work.q.low.w.c",
        "cb.work.q.low.w.c.1.2",
        "cb.work.q.low.w.c.01",
        "cb.work.q.low.w.c.+1",
        "cb.work.q.low.w*.c.1",
    ] {
        assert_eq!(subjects.parse_offer(foreign), None, "{foreign}");
    }
}

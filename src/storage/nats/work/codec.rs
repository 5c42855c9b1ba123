//! Messages of offers: where an item waits is in the subject, and the body is for people too.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    models::{KindId, LogSequence, TransitionId},
    storage::{
        Offer,
        nats::{Subjects, codec::REVISION, direct::RawMessage},
    },
};

/// Body of an offer's message. What else it has is a later version's, and passed over: all that decides
/// is asked of the log.
#[derive(Serialize, Deserialize)]
struct Body {
    kind: KindId,
    transition: TransitionId,
}

/// Headers of an offer's message.
pub(super) fn headers(offer: &Offer) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(REVISION, offer.follows.to_string());
    headers
}

/// Body of an offer's message.
pub(super) fn body(offer: &Offer) -> Bytes {
    let (kind, transition) = (offer.kind.clone(), offer.transition.clone());
    // Two texts are JSON whatever they are.
    serde_json::to_vec(&Body { kind, transition }).unwrap_or_default().into()
}

/// The offer of a message. The error is the reason that it has none.
pub(super) fn decode(message: &RawMessage, subjects: &Subjects) -> Result<Offer, String> {
    let (queue, class, workflow, case, item) =
        subjects.parse_offer(&message.subject).ok_or("its subject is no offer's")?;
    let follows = message.headers.get(REVISION).ok_or("it has no header Petrel-Revision")?;
    let follows: LogSequence =
        follows.as_str().parse().map_err(|error| format!("its header Petrel-Revision {error}"))?;
    let Body { kind, transition } = serde_json::from_slice(&message.payload)
        .map_err(|error| format!("its body has no kind and transition: {error}"))?;
    Ok(Offer { queue, class, workflow, case, item, follows, kind, transition })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::models::{CaseId, QueueId, WorkClass, WorkflowId};

    fn message() -> (Offer, RawMessage) {
        let offer = Offer {
            queue: QueueId::new("q").unwrap(),
            class: WorkClass::High,
            workflow: WorkflowId::new("w").unwrap(),
            case: CaseId::new("c").unwrap(),
            item: 7,
            follows: LogSequence::new(4_711).unwrap(),
            kind: KindId::new("mail").unwrap(),
            transition: TransitionId::new("notify").unwrap(),
        };
        let message = RawMessage {
            subject: Subjects::new("cb").offer(&offer),
            sequence: 1,
            timestamp: DateTime::UNIX_EPOCH,
            headers: headers(&offer),
            payload: body(&offer),
        };
        (offer, message)
    }

    #[test]
    fn an_offers_message_can_be_read_by_people_and_leads_back_to_it() {
        let (offer, mut message) = message();
        assert_eq!(&message.payload[..], br#"{"kind":"mail","transition":"notify"}"#);
        assert_eq!(message.headers.get("Petrel-Revision").unwrap().as_str(), "4711");
        assert_eq!(decode(&message, &Subjects::new("cb")), Ok(offer.clone()));
        message.payload = r#"{"kind":"mail","transition":"notify","input":[1]}"#.into();
        assert_eq!(decode(&message, &Subjects::new("cb")), Ok(offer));
    }

    #[test]
    fn what_is_no_offer_is_refused_with_a_reason() {
        let subjects = Subjects::new("cb");
        let refused = |change: fn(&mut RawMessage)| {
            let (_, mut message) = message();
            change(&mut message);
            decode(&message, &subjects).unwrap_err()
        };
        assert!(refused(|message| message.subject.push('x')).contains("subject"));
        assert!(refused(|message| message.headers = HeaderMap::new()).contains("no header"));
        let zero = refused(|message| message.headers.insert(REVISION, "0"));
        assert!(zero.contains("Petrel-Revision must be a whole number"), "{zero}");
        assert!(refused(|message| message.payload = "{}".into()).contains("kind"));
    }
}

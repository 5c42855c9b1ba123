//! Offering items, and taking offers away.

use super::codec;
use crate::storage::{
    Offer, Result, StorageError,
    nats::{
        direct::{Asked, Query},
        publish::Expected,
        store::Inner,
    },
};

impl Inner {
    /// Offers items; makes their stream again if it is missing. Those that are there change nothing the
    /// second time.
    pub(super) async fn offer(&self, offers: &[Offer]) -> Result<()> {
        self.for_each(&self.work.stream, offers, |offer| self.offer_one(offer)).await
    }

    /// Offers one on the condition that it is not there. It has no message id: the server would remember
    /// that for minutes after the offer has ended, and swallow what is offered again.
    async fn offer_one(&self, offer: &Offer) -> Result<()> {
        let (stream, subject) = (&self.work.stream, self.subjects.offer(offer));
        let expected = Expected { sequence: 0, filter: None };
        let (headers, body) = (|| codec::headers(offer), codec::body(offer));
        match self.store_other(stream, &subject, expected, headers, body).await {
            Ok(_) | Err(StorageError::LostRace { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn withdraw(&self, offers: &[Offer]) -> Result<()> {
        let withdraw = |offer| async move {
            let subject = self.subjects.offer(offer);
            self.purge(&self.work.stream, &subject).await
        };
        self.for_each_once(offers, withdraw).await.map(drop)
    }

    /// By the leader: elsewhere an offer, or its end, may be on its way.
    pub(super) async fn offered(&self, offers: &[Offer]) -> Result<Vec<bool>> {
        let stream = &self.work.stream.name;
        let look = |offer| async move {
            let subject = self.subjects.offer(offer);
            let found = self.link.get(stream, Query::Last(&subject), Asked::Leader).await?;
            Ok(found.is_some())
        };
        self.for_each_once(offers, look).await
    }
}

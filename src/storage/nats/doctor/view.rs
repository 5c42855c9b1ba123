//! Check of the view's persist mode.

use serde_json::Value;

use super::{Check, Doctor, ok};
use crate::storage::nats::{streams, streams::acknowledges_before_disk};

impl Doctor {
    /// Advice for a view that is written before it is acknowledged and need not be.
    pub(super) async fn view_on_disk(&self, view: &Value) -> Option<Check> {
        // Without an answer there is no advice; the other checks say that there was none.
        let may_change = streams::may_be_before_disk(&self.link, &self.config).await;
        if acknowledges_before_disk(view) || !may_change.unwrap_or_default() {
            return None;
        }
        let name = &self.config.marking_stream;
        let detail = format!(
            "the view waits for the disk, which a view that follows from its log need not: `nats \
             stream rm {name}` while `petrel serve` runs brings it over; it is made again and \
             filled, changes and strong reads go on, and until then listings lack tokens"
        );
        Some(ok("view", detail))
    }
}

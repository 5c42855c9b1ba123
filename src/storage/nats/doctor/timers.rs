//! Checks of the stream of timers, and of its consumer.

use serde_json::Value;

use super::{Check, Doctor, warn};
use crate::storage::nats::{
    Subjects,
    refusal::NOT_FOUND,
    settings, streams,
    timers::{CONSUMER, fault},
};

impl Doctor {
    /// Looks at the stream of timers. Returns the faults of its settings and of its consumer's.
    pub(super) async fn timers(&self, has_log: bool, checks: &mut Vec<Check>) -> Vec<String> {
        let (name, stream) = ("timer stream", self.config.timers());
        let found = self.link.call(&format!("STREAM.INFO.{stream}"), &Value::Null).await;
        if let Ok(Err(error)) = &found
            && error.err_code == NOT_FOUND
            && has_log
        {
            checks.push(warn(name, streams::missing_timers(&self.config).to_string()));
            return Vec::new();
        }
        let Some(info) = self.stream(name, &stream, checks).await else { return Vec::new() };
        let settings = settings::differing_timers(&self.config, &info);
        // Nobody has served yet where there is none.
        let about = format!("CONSUMER.INFO.{stream}.{CONSUMER}");
        let consumer = self.link.call(&about, &Value::Null).await.ok().and_then(Result::ok);
        let subjects = Subjects::new(&self.config.prefix);
        let consumer = consumer.and_then(|info| fault(&info, &subjects));
        settings.into_iter().chain(consumer).collect()
    }
}

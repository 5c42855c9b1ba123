//! Checks of the streams of timers, of open work and of beats, and of the timers' consumer.

use serde_json::Value;

use super::{Check, Doctor, warn};
use crate::storage::nats::{
    Subjects,
    refusal::NOT_FOUND,
    settings,
    streams::{self, Role},
    timers::{CONSUMER, fault},
};

impl Doctor {
    /// Looks at these streams. Returns the faults of their settings, and of the consumer's.
    pub(super) async fn others(&self, has_log: bool, checks: &mut Vec<Check>) -> Vec<String> {
        let mut faults = Vec::new();
        let names = ["timer stream", "work stream", "beat stream"];
        for (name, role) in names.into_iter().zip(Role::OTHERS) {
            let stream = role.name(&self.config);
            let found = self.link.call(&format!("STREAM.INFO.{stream}"), &Value::Null).await;
            if let Ok(Err(error)) = &found
                && error.err_code == NOT_FOUND
                && has_log
            {
                checks.push(warn(name, streams::missing_other(&self.config, role).to_string()));
                continue;
            }
            let Some(info) = self.stream(name, &stream, checks).await else { continue };
            faults.extend(settings::differing_other(&self.config, role, &info));
            if role == Role::Timers {
                faults.extend(self.consumer_of_timers(&stream).await);
            }
        }
        faults
    }

    /// Nobody has served yet where there is none.
    async fn consumer_of_timers(&self, stream: &str) -> Option<String> {
        let about = format!("CONSUMER.INFO.{stream}.{CONSUMER}");
        let consumer = self.link.call(&about, &Value::Null).await.ok().and_then(Result::ok);
        let subjects = Subjects::new(&self.config.prefix);
        consumer.and_then(|info| fault(&info, &subjects))
    }
}

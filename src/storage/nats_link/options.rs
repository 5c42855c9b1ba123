//! Options of a connection, and the reasons that it can't be made.

use std::{sync::Arc, time::Duration};

use async_nats::{ConnectErrorKind, ConnectOptions, Event, ServerError};

use super::{NatsStorageConfig, address::Auth, breaker::Breaker, interruption::Interruptions};
use crate::storage::StorageError;

/// Parts of a request's time. The first is the time that calls wait for the next connection
/// after one was lost. The second is the time for one of several servers to greet before the
/// next one is tried. The third is the time between two signs of life, of which the third
/// missing one ends the connection. All of them one after the other are less than the whole.
pub(in crate::storage) const GRACE: f64 = 0.4;
const NEXT_SERVER: f64 = 0.2;
const PING_EVERY: f64 = 0.14;

pub(in crate::storage) async fn options(
    config: &NatsStorageConfig,
    breaker: &Arc<Breaker>,
    interruptions: &Arc<Interruptions>,
) -> Result<ConnectOptions, StorageError> {
    let wrong = |field: &str, reason: String| StorageError::Config { field: field.into(), reason };
    let mut options = ConnectOptions::new()
        .name("stormpetrel")
        .connection_timeout(config.connect_timeout)
        .client_capacity(config.request_buffer)
        .subscription_capacity(config.request_buffer.max(config.scan_batch * 2))
        .require_tls(config.tls.required)
        .reconnect_delay_callback(backoff);
    options = match &config.auth {
        Auth::None => options,
        Auth::UserPassword { user, password } => {
            options.user_and_password(user.clone(), password.clone())
        }
        Auth::Token(token) => options.token(token.clone()),
        Auth::NKey(seed) => options.nkey(seed.clone()),
        Auth::CredsFile(path) => {
            let creds = tokio::fs::read_to_string(path).await.map_err(|error| {
                wrong(
                    "auth",
                    format!("can't read the credentials file {}: {error}", path.display()),
                )
            })?;
            options.credentials(&creds).map_err(|error| {
                wrong("auth", format!("{} is no credentials file: {error}", path.display()))
            })?
        }
    };
    if config.tls.first {
        options = options.tls_first();
    }
    if let Some(prefix) = &config.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    if let Some(file) = &config.tls.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    if let (Some(cert), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    if config.urls.len() > 1 {
        options = options
            .connection_timeout(
                config.connect_timeout.min(config.consumer_timeout.mul_f64(NEXT_SERVER)),
            )
            .ping_interval(config.consumer_timeout.mul_f64(PING_EVERY));
    }
    let (breaker, interruptions) = (Arc::clone(breaker), Arc::clone(interruptions));
    Ok(options.event_callback(move |event| {
        match event {
            Event::Connected => breaker.connected(),
            Event::Disconnected | Event::Closed => {
                breaker.connection_lost();
                interruptions.connection_lost();
            }
            Event::ServerError(ServerError::Other(ref error)) => interruptions.said(error),
            _ => {}
        }
        tracing::info!(%event, "NATS connection");
        std::future::ready(())
    }))
}

/// Jittered exponential: half to all of 100 ms, 200 ms, 400 ms … up to 4 s.
pub(in crate::storage) fn backoff(attempt: usize) -> Duration {
    let exponent = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(6);
    let most = (100 * 2_u64.pow(exponent)).min(4_000);
    Duration::from_millis(rand::random_range(most / 2..=most))
}

pub(in crate::storage) fn transient(kind: ConnectErrorKind) -> bool {
    matches!(kind, ConnectErrorKind::Io | ConnectErrorKind::Dns | ConnectErrorKind::TimedOut)
}

pub(in crate::storage) fn connect_error(
    config: &NatsStorageConfig,
    error: &async_nats::ConnectError,
) -> StorageError {
    let urls = config.urls.join(", ");
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            StorageError::Denied(format!("{urls} refuses the login: {error}"))
        }
        ConnectErrorKind::ServerParse => {
            StorageError::Config { field: "urls".to_owned(), reason: format!("{urls}: {error}") }
        }
        ConnectErrorKind::Tls => {
            StorageError::Config { field: "tls".to_owned(), reason: format!("{urls}: {error}") }
        }
        _ => StorageError::Unavailable {
            reason: format!("can't connect to {urls}: {error}"),
            away_since: None,
        },
    }
}

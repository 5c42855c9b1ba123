//! Ways to log in to NATS, of which one is taken.

use super::{Config, ConfigError, Secret, nkey};
use crate::storage::nats::Auth;

impl Config {
    /// The ways to log in that were given, by their flags.
    pub(super) fn login_flags(&self) -> Vec<&'static str> {
        let given = [
            ("--nats-user (NATS_USER)", self.nats_user.is_some()),
            ("--nats-token (NATS_TOKEN)", self.nats_token.is_some()),
            ("--nats-nkey (NATS_NKEY)", self.nats_nkey.is_some()),
            ("--nats-creds (NATS_CREDS)", self.nats_creds.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag).collect()
    }

    pub(super) fn remote_flag(&self) -> Option<&'static str> {
        let given = [
            ("--nats-password (NATS_PASSWORD)", self.nats_password.is_some()),
            ("--tls-required (PETREL_TLS_REQUIRED)", self.tls_required),
            ("--tls-ca (NATS_CA)", self.tls_ca.is_some()),
            ("--tls-cert (NATS_CERT)", self.tls_cert.is_some()),
            ("--tls-key (NATS_KEY)", self.tls_key.is_some()),
            ("--domain (PETREL_DOMAIN)", self.domain.is_some()),
        ];
        let others = given.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag);
        self.login_flags().into_iter().chain(others).next()
    }

    pub(super) fn auth(&self) -> Result<Auth, ConfigError> {
        if let [first, second, ..] = self.login_flags()[..] {
            return Err(ConfigError::Conflict { first, second });
        }
        match (&self.nats_user, &self.nats_password) {
            (Some(user), Some(Secret(password))) => {
                return Ok(Auth::UserPassword { user: user.clone(), password: password.clone() });
            }
            (Some(_), None) => {
                return Err(ConfigError::Incomplete {
                    given: "--nats-user (NATS_USER)",
                    missing: "--nats-password (NATS_PASSWORD)",
                });
            }
            (None, Some(_)) => {
                return Err(ConfigError::Incomplete {
                    given: "--nats-password (NATS_PASSWORD)",
                    missing: "--nats-user (NATS_USER)",
                });
            }
            (None, None) => {}
        }
        if let Some(Secret(token)) = &self.nats_token {
            return Ok(Auth::Token(token.clone()));
        }
        if let Some(Secret(seed_or_file)) = &self.nats_nkey {
            return Ok(Auth::NKey(nkey::seed(seed_or_file)?));
        }
        Ok(self.nats_creds.clone().map_or(Auth::None, Auth::CredsFile))
    }
}

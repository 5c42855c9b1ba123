//! Bearer tokens of known callers, read from a file and again when it changes.

mod file;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use file::Stamp;
pub use file::TokenFileError;

use crate::models::Principal;

/// Time between two looks for a change of the file.
const LOOK: Duration = Duration::from_secs(1);

/// The tokens of a file. A clone shares everything.
#[derive(Debug, Clone)]
pub struct Tokens {
    path: Arc<Path>,
    known: watch::Sender<Arc<Known>>,
}

/// The tokens of a file, as it was at its stamp.
#[derive(Debug)]
pub(in crate::server) struct Known {
    entries: Vec<Entry>,
    stamp: Stamp,
}

/// One token. Only its digest is kept.
#[derive(Debug)]
struct Entry {
    digest: [u8; 32],
    principal: Arc<Principal>,
}

impl Entry {
    fn new(token: &str, principal: Principal) -> Self {
        Self { digest: digest(token), principal: Arc::new(principal) }
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl Tokens {
    /// Reads a file with a token a line: a name, a role and the token, with blanks between.
    /// Lines that are empty or begin with `#` say nothing.
    ///
    /// # Errors
    ///
    /// When the file can't be read, when others may read it, and when a line is wrong.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, TokenFileError> {
        let path: Arc<Path> = path.into().into();
        let (known, _) = watch::channel(Arc::new(file::read(&path)?));
        Ok(Self { path, known })
    }

    /// The principal that this token is of. Takes the same time for every token, known or not.
    pub fn find(&self, token: &str) -> Option<Arc<Principal>> {
        let known = Arc::clone(&self.known.borrow());
        let shown = digest(token);
        let mut found = u32::MAX;
        for (index, entry) in (0_u32..).zip(&known.entries) {
            let same: Choice = entry.digest.ct_eq(&shown);
            found.conditional_assign(&index, same);
        }
        known.entries.get(found as usize).map(|entry| Arc::clone(&entry.principal))
    }

    /// Changes whenever the file has been read again.
    pub(in crate::server) fn changes(&self) -> watch::Receiver<Arc<Known>> {
        self.known.subscribe()
    }

    /// Listens for SIGHUP from now on, and answers the task that reads the file again when it
    /// changes and on SIGHUP, until `shutdown`. A fault is
    /// logged, and the tokens that were known stay.
    ///
    /// # Errors
    ///
    /// When the system gives no signals.
    pub fn follow(
        self,
        shutdown: CancellationToken,
    ) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
        let asked = signal(SignalKind::hangup())?;
        Ok(self.read_again(asked, shutdown))
    }

    async fn read_again(self, mut asked: Signal, shutdown: CancellationToken) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Of the last version that was read, right or wrong: each is complained of once.
        let mut seen = self.known.borrow().stamp;
        loop {
            // Each of these is cancel-safe.
            let asked_for = tokio::select! {
                () = shutdown.cancelled() => return,
                _ = asked.recv() => true,
                _ = looks.tick() => false,
            };
            let now = Stamp::of(&self.path);
            if !asked_for && now == seen {
                continue;
            }
            seen = now;
            match file::read(&self.path) {
                Ok(known) => {
                    let count = known.entries.len();
                    tracing::info!("{} was read again: tokens: {count}", self.path.display());
                    self.known.send_replace(Arc::new(known));
                }
                Err(error) => {
                    tracing::error!("the tokens stay as they were: {error}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

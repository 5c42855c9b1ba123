use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
};

use async_trait::async_trait;
use rusqlite::{
    Connection, Error, Result, Statement, ToSql, params,
    types::{ToSqlOutput, ValueRef},
};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::bench::peer::{FirstToken, Peer, PeerClient, PeerError, PeerFiring, PeerSetup};

const TABLES: &str = "
    CREATE TABLE token (
        case_id TEXT NOT NULL,
        place TEXT NOT NULL,
        id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (case_id, place, id)
    );
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY,
        case_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        transition TEXT NOT NULL,
        at REAL NOT NULL,
        data TEXT NOT NULL
    );";

const SYSTEM: &str = "SQLite";

/// Time at which SQLite syncs its write-ahead log: its setting `synchronous`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// At the end of each transaction.
    Full,
    /// At checkpoints; a crash of the machine can take what came after the last one.
    Normal,
}

impl Synchronous {
    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

/// SQLite in WAL mode: one thread writes, and the clients reach it through a channel. A firing
/// is one transaction of prepared statements, since a statement of SQLite changes one table.
///
/// Dropping it ends the thread and removes the file.
#[derive(Debug)]
pub struct Sqlite {
    synchronous: Synchronous,
    requests: Sender<Request>,
    writer: Option<JoinHandle<()>>,
    _folder: TempDir,
}

impl Sqlite {
    /// Makes a file with empty tables in a temporary folder, and begins the thread.
    ///
    /// # Errors
    ///
    /// [`PeerError`] with SQLite's answer.
    pub fn create(synchronous: Synchronous) -> std::result::Result<Self, PeerError> {
        let folder = tempfile::Builder::new().prefix("stormpetrel-sqlite-").tempdir();
        let folder = folder.map_err(failed("create a temporary folder"))?;
        let open = || {
            let connection = Connection::open(folder.path().join("peer.db"))?;
            let mode: String =
                connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
            let synchronous = synchronous.as_str();
            connection.execute_batch(&format!("PRAGMA synchronous = {synchronous}; {TABLES}"))?;
            Ok((connection, mode))
        };
        let (connection, mode) = open().map_err(failed::<Error>("make its tables"))?;
        if mode != "wal" {
            return Err(failed("write ahead")(format!("its journal mode is {mode}")));
        }
        let (requests, received) = channel();
        let writer = thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || write(&connection, &received))
            .map_err(failed("begin its thread"))?;
        Ok(Self { synchronous, requests, writer: Some(writer), _folder: folder })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // If that fails, it has ended.
        let _ = self.requests.send(Request::End);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Peer for Sqlite {
    fn setup(&self) -> PeerSetup {
        PeerSetup {
            system: SYSTEM,
            version: rusqlite::version().to_owned(),
            setting: format!("synchronous={}", self.synchronous.as_str()),
            on_disk: self.synchronous == Synchronous::Full,
        }
    }

    async fn client(
        &self,
        tokens: &[FirstToken],
    ) -> std::result::Result<Box<dyn PeerClient>, PeerError> {
        let client = SqliteClient { requests: self.requests.clone() };
        let tokens = tokens.to_vec();
        client.ask("store the first tokens", |done| Request::Begin { tokens, done }).await?;
        Ok(Box::new(client))
    }
}

/// A way to the thread that writes.
#[derive(Debug)]
struct SqliteClient {
    requests: Sender<Request>,
}

impl SqliteClient {
    async fn ask(
        &self,
        action: &str,
        request: impl FnOnce(oneshot::Sender<Result<()>>) -> Request,
    ) -> std::result::Result<(), PeerError> {
        let (done, answer) = oneshot::channel();
        let ended = || failed(action)("its thread has ended");
        self.requests.send(request(done)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?.map_err(failed(action))
    }
}

#[async_trait]
impl PeerClient for SqliteClient {
    async fn fire(&mut self, firing: PeerFiring) -> std::result::Result<(), PeerError> {
        self.ask("fire", |done| Request::Fire { firing, done }).await
    }
}

/// Work for the thread that writes. `done` gets the answer after the commit.
#[derive(Debug)]
enum Request {
    Begin { tokens: Vec<FirstToken>, done: oneshot::Sender<Result<()>> },
    Fire { firing: PeerFiring, done: oneshot::Sender<Result<()>> },
    End,
}

/// Does what the clients ask for, one after the other, each in a transaction of its own.
fn write(connection: &Connection, requests: &Receiver<Request>) {
    // Without the tables, nobody gets this far.
    let Ok(mut statements) = Statements::prepare(connection) else { return };
    while let Ok(request) = requests.recv() {
        // A client that has gone needs no answer.
        let _ = match request {
            Request::Begin { tokens, done } => {
                done.send(statements.whole(|statements| statements.first(&tokens)))
            }
            Request::Fire { firing, done } => {
                done.send(statements.whole(|statements| statements.fire(&firing)))
            }
            Request::End => return,
        };
    }
}

/// The prepared statements of a connection.
struct Statements<'c> {
    begin: Statement<'c>,
    take: Statement<'c>,
    give: Statement<'c>,
    tell: Statement<'c>,
    commit: Statement<'c>,
    roll_back: Statement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> Result<Self> {
        let take = "DELETE FROM token WHERE case_id = ?1 AND place = ?2 AND id = ?3 \
             RETURNING revision + 1";
        let give = "INSERT INTO token (case_id, place, id, revision, data) \
             VALUES (?1, ?2, ?3, ?4, ?5)";
        let tell = "INSERT INTO event (case_id, revision, transition, at, data) \
             VALUES (?1, ?2, ?3, julianday('now'), ?4)";
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            take: connection.prepare(take)?,
            give: connection.prepare(give)?,
            tell: connection.prepare(tell)?,
            commit: connection.prepare("COMMIT")?,
            roll_back: connection.prepare("ROLLBACK")?,
        })
    }

    /// Does `work` in a transaction, whole or not at all.
    fn whole(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.begin.execute(())?;
        let done = work(self).and_then(|()| self.commit.execute(()).map(drop));
        if done.is_err() {
            // Where SQLite has done so itself there is nothing to roll back.
            let _ = self.roll_back.execute(());
        }
        done
    }

    fn first(&mut self, tokens: &[FirstToken]) -> Result<()> {
        for FirstToken { case, token, place } in tokens {
            let given = params![case.as_str(), place.as_str(), token.as_str(), 1, "{}"];
            self.give.execute(given)?;
        }
        Ok(())
    }

    /// Takes, gives and tells. A firing that finds nothing to take is an error.
    fn fire(&mut self, firing: &PeerFiring) -> Result<()> {
        let PeerFiring { case, transition, moved, record } = firing;
        let (case, token) = (case.as_str(), moved.token.as_str());
        let taken = params![case, moved.from.as_str(), token];
        let revision: i64 = self.take.query_row(taken, |row| row.get(0))?;
        let body = Json(&moved.body);
        self.give.execute(params![case, moved.to.as_str(), token, revision, body])?;
        let told = params![case, revision, transition.as_str(), Json(record)];
        match self.tell.execute(told)? {
            1 => Ok(()),
            stored => Err(Error::StatementChangedRows(stored)),
        }
    }
}

/// A document as it is stored, which is JSON text already.
#[derive(Debug)]
struct Json<'a>(&'a [u8]);

impl ToSql for Json<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Wraps an error with the action that failed, for `map_err`.
fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    action: &str,
) -> impl FnOnce(E) -> PeerError {
    let action = action.to_owned();
    move |cause| PeerError { system: SYSTEM, action, cause: cause.into() }
}

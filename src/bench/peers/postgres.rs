use std::{error::Error as _, fmt, pin::pin};

use async_trait::async_trait;
use bytes::BytesMut;
use tokio_postgres::{
    Client, Config, Connection, Error, NoTls, Socket, Statement,
    tls::NoTlsStream,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

use super::server::PostgresServer;
use crate::bench::peer::{FirstToken, Peer, PeerClient, PeerError, PeerFiring, PeerSetup};

/// One row for each token, and one for each event. The key has the place, since a statement can't
/// give a row with the key of one that it takes.
const TABLES: &str = "
    CREATE TABLE token (
        case_id text NOT NULL,
        place text NOT NULL,
        id text NOT NULL,
        revision bigint NOT NULL,
        data jsonb NOT NULL,
        PRIMARY KEY (case_id, place, id)
    );
    CREATE TABLE event (
        seq bigserial PRIMARY KEY,
        case_id text NOT NULL,
        revision bigint NOT NULL,
        transition text NOT NULL,
        at timestamptz NOT NULL,
        data jsonb NOT NULL
    )";

const BEGIN: &str = "
    INSERT INTO token (case_id, place, id, revision, data)
    SELECT case_id, place, id, 1, '{}'
    FROM unnest($1::text[], $2::text[], $3::text[]) AS first (case_id, place, id)";

/// A firing: a statement that takes, gives and tells, and that does nothing if there is nothing
/// to take.
const FIRE: &str = "
    WITH taken AS (
        DELETE FROM token WHERE case_id = $1 AND place = $2 AND id = $3
        RETURNING case_id, id, revision + 1 AS revision
    ), given AS (
        INSERT INTO token (case_id, place, id, revision, data)
        SELECT case_id, $4::text, id, revision, $5::jsonb FROM taken
    )
    INSERT INTO event (case_id, revision, transition, at, data)
    SELECT case_id, revision, $6::text, now(), $7::jsonb FROM taken
    RETURNING seq";

const SYSTEM: &str = "Postgres";

/// Time at which Postgres acknowledges: its setting `synchronous_commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynchronousCommit {
    /// After the disk has it: Postgres's default.
    On,
    /// At once; a crash of the machine can take the last half a second or so.
    Off,
}

impl SynchronousCommit {
    fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// Postgres: a firing is one prepared statement, and each client has a connection of its own.
#[derive(Debug)]
pub struct Postgres {
    database: Config,
    commit: SynchronousCommit,
    version: String,
}

impl Postgres {
    /// Makes a database with empty tables, whose clients commit as `commit` says.
    ///
    /// # Errors
    ///
    /// [`PeerError`] with the answer of the server.
    pub async fn create(
        server: &PostgresServer,
        commit: SynchronousCommit,
    ) -> Result<Self, PeerError> {
        let name = format!("commit_{}", commit.as_str());
        let mut first = Session::open(&server.database("postgres")).await?;
        first.execute(&format!("CREATE DATABASE {name}")).await?;
        let mut database = server.database(&name);
        database.options(format!("-c synchronous_commit={}", commit.as_str()));
        let mut session = Session::open(&database).await?;
        session.execute(TABLES).await?;
        let version = session.version();
        Ok(Self { database, commit, version })
    }
}

#[async_trait]
impl Peer for Postgres {
    fn setup(&self) -> PeerSetup {
        PeerSetup {
            system: SYSTEM,
            version: self.version.clone(),
            setting: format!("synchronous_commit={}", self.commit.as_str()),
            on_disk: self.commit == SynchronousCommit::On,
        }
    }

    async fn client(&self, tokens: &[FirstToken]) -> Result<Box<dyn PeerClient>, PeerError> {
        let mut session = Session::open(&self.database).await?;
        session.begin(tokens).await?;
        let fire = session.prepare(FIRE).await?;
        Ok(Box::new(PostgresClient { session, fire }))
    }
}

/// A connection, with the statement of a firing.
struct PostgresClient {
    session: Session,
    fire: Statement,
}

impl fmt::Debug for PostgresClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresClient").finish_non_exhaustive()
    }
}

#[async_trait]
impl PeerClient for PostgresClient {
    async fn fire(&mut self, firing: PeerFiring) -> Result<(), PeerError> {
        let PeerFiring { case, transition, moved, record } = &firing;
        let (body, record) = (Json(&moved.body), Json(record));
        let (from, to) = (moved.from.as_str(), moved.to.as_str());
        let (case, token, transition) = (case.as_str(), moved.token.as_str(), transition.as_str());
        let Session { client, connection } = &mut self.session;
        let given: [&(dyn ToSql + Sync); 7] =
            [&case, &from, &token, &to, &body, &transition, &record];
        let stored = driven(connection, client.query(&self.fire, &given)).await;
        let stored = stored.map_err(failed("fire"))?.len();
        if stored != 1 {
            let cause = format!("{stored} events of case {case} were stored, and not one").into();
            return Err(PeerError { system: SYSTEM, action: "fire".to_owned(), cause });
        }
        Ok(())
    }
}

/// A client and its connection, which is driven by whoever waits for an answer: so there is no
/// task to wait for in the end, and no change of task in each firing.
struct Session {
    client: Client,
    connection: Connection<Socket, NoTlsStream>,
}

impl Session {
    async fn open(database: &Config) -> Result<Self, PeerError> {
        let (client, connection) = database.connect(NoTls).await.map_err(failed("connect"))?;
        Ok(Self { client, connection })
    }

    /// The server's version, without the words after the number.
    fn version(&self) -> String {
        let version = self.connection.parameter("server_version").unwrap_or("of no version");
        version.split(' ').next().unwrap_or(version).to_owned()
    }

    async fn execute(&mut self, statements: &str) -> Result<(), PeerError> {
        let done = driven(&mut self.connection, self.client.batch_execute(statements)).await;
        done.map_err(failed("set up its tables"))
    }

    async fn prepare(&mut self, statement: &str) -> Result<Statement, PeerError> {
        let done = driven(&mut self.connection, self.client.prepare(statement)).await;
        done.map_err(failed("prepare a statement"))
    }

    /// Stores the tokens that cases begin with.
    async fn begin(&mut self, tokens: &[FirstToken]) -> Result<(), PeerError> {
        let cases: Vec<_> = tokens.iter().map(|first| first.case.as_str()).collect();
        let places: Vec<_> = tokens.iter().map(|first| first.place.as_str()).collect();
        let ids: Vec<_> = tokens.iter().map(|first| first.token.as_str()).collect();
        let given: [&(dyn ToSql + Sync); 3] = [&cases, &places, &ids];
        let done = driven(&mut self.connection, self.client.execute(BEGIN, &given)).await;
        done.map_err(failed("store the first tokens"))?;
        Ok(())
    }
}

/// Does `work` of a client while its connection sends and receives.
async fn driven<T>(
    connection: &mut Connection<Socket, NoTlsStream>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => done,
        ended = connection => {
            ended?;
            // It knows that there is no connection any more.
            work.await
        }
    }
}

/// A document as it is sent, which is JSON already.
#[derive(Debug)]
struct Json<'a>(&'a [u8]);

impl ToSql for Json<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        // The version of the format, and the text.
        out.extend_from_slice(&[1]);
        out.extend_from_slice(self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }

    to_sql_checked!();
}

/// Wraps the client's error with the action that failed, for `map_err`.
fn failed(action: &str) -> impl FnOnce(Error) -> PeerError {
    let action = action.to_owned();
    move |error| {
        let cause = match error.source() {
            // Its own text is of the kind only.
            Some(cause) => format!("{error}: {cause}").into(),
            None => error.into(),
        };
        PeerError { system: SYSTEM, action, cause }
    }
}

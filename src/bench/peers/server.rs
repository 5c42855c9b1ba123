use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use tokio_postgres::Config;

use super::{
    account::Account,
    binaries::{Binaries, Search},
    error::PostgresError,
    folder::{Folder, tail},
};
use crate::local_server::{Process, Program};

/// Longest time until a server is ready. A new one takes less than a second.
const START: Duration = Duration::from_secs(60);

/// Longest time for a server to stop by itself before it is killed.
const STOP: Duration = Duration::from_secs(10);

/// The user and database that the server begins with.
const USER: &str = "petrel";

/// A Postgres server that runs as a child of this process, on 127.0.0.1 only, in a temporary
/// folder and with Postgres's own settings for all but the number of connections.
///
/// Dropping it stops the server and removes the folder; that blocks until the server has ended.
#[derive(Debug)]
pub struct PostgresServer {
    // Before `folder`: the server ends before its folder goes.
    process: Process,
    folder: Folder,
    port: u16,
    password: String,
}

impl PostgresServer {
    /// Finds Postgres, in the folder `named` if there is one, makes its data and starts it. It
    /// takes as many connections at once as `connections`.
    ///
    /// # Errors
    ///
    /// See [`PostgresError`]; nothing is left running then.
    pub async fn start(named: Option<PathBuf>, connections: usize) -> Result<Self, PostgresError> {
        let password = uuid::Uuid::now_v7().to_string();
        let (given, account) = (password.clone(), Account::find()?);
        // On a thread of its own to its end, also when nobody waits for it any more: the folder
        // does not go while initdb is at work in it.
        let make = move || {
            let binaries = Binaries::find(&Search::of(named))?;
            let folder = Folder::new(account, &given)?;
            make_data(&binaries, account, &folder)?;
            Ok((binaries, folder))
        };
        let (binaries, folder) = tokio::task::spawn_blocking(make)
            .await
            .map_err(|error| PostgresError::io("make the data of Postgres")(error.into()))??;
        let mut command = Command::new(binaries.postgres());
        command.arg("-D").arg(folder.data()).current_dir(folder.path());
        for setting in settings(free_port()?, connections) {
            command.arg("-c").arg(setting);
        }
        account.run(&mut command);
        // Postgres's immediate end: it cuts connections and writes nothing more, since the
        // folder goes.
        let stop = Signal::QUIT;
        let program = Program { command, thread: "postgres", stop, port: port_in, ready: READY };
        let nothing = File::open("/dev/null").map_err(PostgresError::io("open /dev/null"))?;
        let process = Process::spawn(program, folder.create_log()?, nothing);
        let action = format!("run {}", binaries.postgres().display());
        let process = process.map_err(PostgresError::io(action))?;
        // From here on, dropping it ends the server before its folder goes.
        let mut server = Self { process, folder, port: 0, password };
        match tokio::time::timeout(START, server.process.listening()).await {
            Ok(Some(port)) => {
                server.port = port;
                Ok(server)
            }
            Ok(None) => {
                let status = server.process.exited().await;
                Err(PostgresError::Died { status, log_tail: server.folder.log_tail() })
            }
            Err(_elapsed) => {
                let log_tail = server.folder.log_tail();
                Err(PostgresError::NotReady { after: START, log_tail })
            }
        }
    }

    /// The way to connect to a database.
    pub(super) fn database(&self, name: &str) -> Config {
        let mut config = Config::new();
        config
            .host(Ipv4Addr::LOCALHOST.to_string())
            .port(self.port)
            .user(USER)
            .password(&self.password)
            .dbname(name);
        config
    }

    /// Stops the server and waits for its end; kills it after ten seconds.
    ///
    /// # Errors
    ///
    /// [`PostgresError::Io`] when it can't be signalled.
    pub async fn stop(self) -> Result<(), PostgresError> {
        let stopped = self.process.stop(STOP).await;
        stopped.map_err(PostgresError::io("stop postgres"))?;
        Ok(())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.process.stop_blocking(STOP);
    }
}

/// Makes the folder of the data. Blocks, for a second or two.
fn make_data(binaries: &Binaries, account: Account, folder: &Folder) -> Result<(), PostgresError> {
    let mut command = Command::new(binaries.initdb());
    command
        .arg("-D")
        .arg(folder.data())
        .args(["-U", USER, "--auth=scram-sha-256", "--no-locale", "--encoding=UTF8"])
        .arg("--pwfile")
        .arg(folder.password_file())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        // Out of a Ctrl-C's reach: it is waited for.
        .process_group(0);
    account.run(&mut command);
    let action = format!("run {}", binaries.initdb().display());
    let output = command.output().map_err(PostgresError::io(action))?;
    if !output.status.success() {
        let output_of_both = [output.stdout, output.stderr].concat();
        return Err(PostgresError::NotMade {
            status: output.status,
            output: tail(&output_of_both),
        });
    }
    Ok(())
}

/// The settings that differ from those of a new server, or that the measurement relies on.
fn settings(port: u16, connections: usize) -> [String; 6] {
    // Three are kept for the superuser, and this is one; a few more for set-up.
    let connections = connections + 10;
    [
        format!("port={port}"),
        format!("max_connections={connections}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        "fsync=on".to_owned(),
        "logging_collector=off".to_owned(),
    ]
}

/// Words of the line in which Postgres says that it is ready.
const READY: &str = "database system is ready to accept connections";

/// The port in `… listening on IPv4 address "127.0.0.1", port 5432`.
fn port_in(line: &str) -> Option<u16> {
    let (_, address) = line.split_once("listening on IPv4 address ")?;
    let (_, port) = address.trim_end().rsplit_once("port ")?;
    port.parse().ok()
}

/// A port that nobody listens on now. Postgres has no word for any free port.
fn free_port() -> Result<u16, PostgresError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.map_err(PostgresError::io("find a free port"))?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_the_line_that_tells_it() {
        let line = "2026-01-01 12:00:00 UTC [7] LOG:  listening on IPv4 address \"127.0.0.1\", port 5432\n";
        assert_eq!(port_in(line), Some(5432));
        for other in ["", "LOG:  listening on Unix socket \"/tmp/.s.PGSQL.5432\"", READY] {
            assert_eq!(port_in(other), None, "{other}");
        }
    }
}

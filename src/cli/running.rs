//! A note of a running `petrel dev` or `petrel serve`, by which other commands find its local
//! server.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Longest time for a server on this machine to greet.
const GREETING: Duration = Duration::from_secs(2);

/// Contents of `running.json` in the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    /// The local NATS server, or those of a cluster.
    pub(super) nats: Vec<RunningNats>,
    /// The process that runs it.
    pub(super) pid: u32,
    /// Address of that process's GraphQL.
    pub(super) graphql: String,
    /// The loss that a crash of the machine can cause, in a sentence.
    pub(super) durability: String,
}

/// A local NATS server that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunningNats {
    /// Its address.
    pub(super) url: String,
    /// Its name, by which it is recognised: after a crash the file stays behind, and its port may
    /// belong to another server.
    pub(super) server_name: String,
}

/// The file, removed when dropped.
#[derive(Debug)]
pub(super) struct Announcement {
    path: PathBuf,
}

impl Running {
    /// The server that a running process announces in `folder`, if it does answer.
    pub(super) async fn find(folder: &Path) -> Option<Self> {
        let text = fs::read(path(folder)).ok()?;
        let running: Self = serde_json::from_slice(&text).ok()?;
        running.answers().await.then_some(running)
    }

    /// Announces it in `folder`, for as long as the answer lives.
    pub(super) fn announce(&self, folder: &Path) -> io::Result<Announcement> {
        let path = path(folder);
        // Written beside and renamed, so that nobody reads half of it.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(Announcement { path })
    }

    /// Addresses of the servers.
    pub(super) fn urls(&self) -> Vec<String> {
        self.nats.iter().map(|server| server.url.clone()).collect()
    }

    /// Returns true if one of its servers answers. Those of a cluster go on without the others.
    async fn answers(&self) -> bool {
        for server in &self.nats {
            if server.answers().await {
                return true;
            }
        }
        false
    }
}

impl RunningNats {
    /// Returns true if the server that greets at `url` is the one that was announced.
    async fn answers(&self) -> bool {
        let greeting = async {
            let address = self.url.strip_prefix("nats://")?;
            let stream = TcpStream::connect(address).await.ok()?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await.ok()?;
            greeted_by(&line)
        };
        timeout(GREETING, greeting).await.ok().flatten().as_ref() == Some(&self.server_name)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("can't remove {}: {error}", self.path.display());
        }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("running.json")
}

/// The server's name in the first line that a NATS server sends.
fn greeted_by(line: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Info {
        server_name: String,
    }
    let info: Info = serde_json::from_str(line.strip_prefix("INFO ")?).ok()?;
    Some(info.server_name)
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    fn announced(url: String) -> Running {
        Running {
            nats: vec![RunningNats { url, server_name: "petrel-a".to_owned() }],
            pid: 1,
            graphql: "http://127.0.0.1:4000/graphql".to_owned(),
            durability: String::new(),
        }
    }

    /// An address at which nobody is.
    async fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("nats://{}", listener.local_addr().unwrap())
    }

    /// A server that greets one caller under `name`.
    async fn greeter(name: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let line = format!("INFO {{\"server_name\":\"{name}\",\"jetstream\":true}}\r\n");
            stream.write_all(line.as_bytes()).await.unwrap();
        });
        url
    }

    #[tokio::test]
    async fn an_announced_server_is_found_while_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let running = announced(greeter("petrel-a").await);
        let announcement = running.announce(folder.path()).unwrap();
        assert_eq!(Running::find(folder.path()).await, Some(running));
        drop(announcement);
        assert_eq!(Running::find(folder.path()).await, None);
    }

    #[tokio::test]
    async fn a_cluster_is_found_while_one_of_its_servers_answers() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = announced(nobody().await);
        running.nats.extend(announced(greeter("petrel-a").await).nats);
        let _announcement = running.announce(folder.path()).unwrap();
        assert_eq!(Running::find(folder.path()).await, Some(running));
    }

    #[tokio::test]
    async fn another_server_on_the_port_of_a_dead_one_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let running = announced(greeter("somebody-else").await);
        let _announcement = running.announce(folder.path()).unwrap();
        assert_eq!(Running::find(folder.path()).await, None);
    }

    #[tokio::test]
    async fn a_file_that_a_crash_left_behind_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let _announcement = announced(nobody().await).announce(folder.path()).unwrap();
        assert_eq!(Running::find(folder.path()).await, None);

        fs::write(path(folder.path()), "{").unwrap();
        assert_eq!(Running::find(folder.path()).await, None);
    }
}

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Options of a local server. The default is made for a test: a free port, a temporary folder,
/// and the server's own defaults for the rest.
#[derive(Debug, Clone, Default)]
pub struct LocalServerOptions {
    /// TCP port on 127.0.0.1; `None` takes a free one.
    pub port: Option<u16>,
    /// Folder of the streams.
    pub store: Store,
    /// Interval at which written data is synced to disk.
    pub sync_interval: SyncInterval,
    /// Largest message in bytes; `None` is the server's 1 MiB.
    pub max_payload: Option<u32>,
    /// Most bytes that all streams together may take on disk; `None` is the server's three
    /// quarters of the free space.
    pub max_file_store: Option<u64>,
    /// The name that the server reports, without spaces; `None` makes one up.
    pub server_name: Option<String>,
    /// The cluster that it is part of; `None` is a server alone.
    pub cluster: Option<Cluster>,
    /// The nats-server to run; `None` searches for one, see
    /// [`ServerBinary::find`](super::ServerBinary::find).
    pub binary: Option<PathBuf>,
}

/// A cluster of local servers, as one of them sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's name, the same for all.
    pub name: String,
    /// TCP port on 127.0.0.1 by which the others reach this server.
    pub port: u16,
    /// The others' ports of that kind.
    pub others: Vec<u16>,
}

/// Folder that a local server keeps its streams in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Store {
    /// A new folder that is removed when the server is dropped.
    #[default]
    Temporary,
    /// This folder, which is created if need be and never removed. One server at a time may
    /// use it.
    Kept(PathBuf),
}

/// Interval at which a server syncs written data to disk: `sync_interval` of its
/// configuration.
///
/// An acknowledged message is always in the operating system's hands, so it survives the end
/// of the server process, `kill -9` included. This setting is about the end of the *machine*:
/// a power failure or a kernel crash can take everything that was acknowledged since the last
/// sync.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SyncInterval {
    /// The server's default of two minutes.
    #[default]
    Default,
    /// One sync in this time, at least a millisecond.
    Every(Duration),
    /// A sync before every acknowledgement. Nothing acknowledged is lost, and every change
    /// waits for the disk.
    Always,
}

impl LocalServerOptions {
    /// The loss that a crash can cause under these options, in one sentence to print.
    pub fn durability(&self) -> String {
        let mut sentence = match self.sync_interval {
            SyncInterval::Default => at_intervals("2m, the server's default", "2 minutes"),
            SyncInterval::Every(interval) => {
                let interval = format!("{interval:?}");
                at_intervals(&interval, &interval)
            }
            SyncInterval::Always => {
                "sync_interval is always: every change is on disk before it is \
                acknowledged, so acknowledged changes survive a crash of the machine"
                    .to_owned()
            }
        };
        if self.store == Store::Temporary {
            sentence.push_str("; the data folder is temporary and goes when the server stops");
        }
        sentence
    }

    /// The server's configuration file, for streams under `folder`.
    pub(super) fn configuration(
        &self,
        server_name: &str,
        port: Option<u16>,
        folder: &Path,
    ) -> String {
        // The server's word for "any free port".
        let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let mut text =
            format!("server_name: {}\nlisten: \"127.0.0.1:{port}\"\n", quoted(server_name));
        if let Some(bytes) = self.max_payload {
            let _ = writeln!(text, "max_payload: {bytes}");
        }
        if let Some(Cluster { name, port, others }) = &self.cluster {
            let routes: String =
                others.iter().map(|port| format!("    \"nats://127.0.0.1:{port}\"\n")).collect();
            let _ = writeln!(
                text,
                "cluster {{\n  name: {}\n  listen: \"127.0.0.1:{port}\"\n  routes: [\n{routes}  ]\n}}",
                quoted(name)
            );
        }
        let _ = writeln!(text, "jetstream {{\n  store_dir: {}", quoted(&folder.to_string_lossy()));
        match self.sync_interval {
            SyncInterval::Default => {}
            SyncInterval::Every(interval) => {
                let milliseconds = interval.as_millis().max(1);
                let _ = writeln!(text, "  sync_interval: \"{milliseconds}ms\"");
            }
            SyncInterval::Always => text.push_str("  sync_interval: always\n"),
        }
        if let Some(bytes) = self.max_file_store {
            let _ = writeln!(text, "  max_file_store: {bytes}");
        }
        text.push_str("}\n");
        text
    }
}

fn at_intervals(setting: &str, window: &str) -> String {
    format!(
        "sync_interval is {setting}: acknowledged writes survive a crash of the server, but a \
         crash of the machine can take those of the last {window}"
    )
}

/// A string as the server's configuration language quotes it.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_leave_everything_to_the_server_but_the_address_and_the_folder() {
        let text = LocalServerOptions::default().configuration("a", None, Path::new("/data"));
        assert_eq!(
            text,
            "server_name: \"a\"\nlisten: \"127.0.0.1:-1\"\njetstream {\n  store_dir: \"/data\"\n}\n"
        );
    }

    #[test]
    fn every_option_reaches_the_configuration() {
        let options = LocalServerOptions {
            sync_interval: SyncInterval::Every(Duration::from_secs(3)),
            max_payload: Some(2048),
            max_file_store: Some(4096),
            cluster: Some(Cluster { name: "c".to_owned(), port: 1, others: vec![2, 3] }),
            ..Default::default()
        };
        let text = options.configuration("a \"b\"", Some(4222), Path::new("/d"));
        for line in [
            "server_name: \"a \\\"b\\\"\"\n",
            "listen: \"127.0.0.1:4222\"\n",
            "max_payload: 2048\n",
            "  sync_interval: \"3000ms\"\n",
            "  listen: \"127.0.0.1:1\"\n  routes: [\n    \"nats://127.0.0.1:2\"\n",
            "  max_file_store: 4096\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn durability_names_the_setting_in_force_and_what_a_crash_can_take() {
        let mut options =
            LocalServerOptions { store: Store::Kept("/data".into()), ..Default::default() };
        assert!(options.durability().contains("last 2 minutes"));
        options.sync_interval = SyncInterval::Every(Duration::from_millis(1500));
        assert!(options.durability().contains("last 1.5s"));
        options.sync_interval = SyncInterval::Always;
        assert!(options.durability().starts_with("sync_interval is always"));
        assert!(!options.durability().contains("temporary"));
        options.store = Store::Temporary;
        assert!(options.durability().contains("temporary"));
    }
}

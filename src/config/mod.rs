//! Settings of `petrel`, one to one from flags and environment variables.

mod context;
mod error;
mod folder;
mod login;
mod nkey;
mod units;
mod values;

#[cfg(test)]
mod tests;

use std::{env, path::PathBuf, time::Duration};

use clap::Args;

pub use error::ConfigError;
pub(crate) use units::{bytes, duration};
pub use values::{Address, GroupCommitSetting, LogFormat, Preset, ReadPathSetting, Secret};

use context::Context;
use folder::default_data_folder;

use crate::{
    local_server::{LocalServerOptions, Store, SyncInterval},
    storage::nats::{Auth, NatsStorageConfig},
};

const CONNECTION: &str = "Connection";
const STORAGE: &str = "Storage";
const LOCAL: &str = "Local server";
const OUTPUT: &str = "Output";

/// Every setting that all commands share. Each field is one flag and one environment variable;
/// the flag wins. The preset decides the values that are absent.
// Values from the environment never appear in the help: some are secrets, and the help is
// the same on every machine.
#[derive(Debug, Clone, Default, Args)]
pub struct Config {
    /// Servers to connect to, with commas between; absent: a local server
    #[arg(long, env = "NATS_URL", value_name = "URL", value_delimiter = ',')]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub nats_url: Vec<Address>,
    /// Context of the nats command to connect by; settings beside it win
    #[arg(long, env = "NATS_CONTEXT", value_name = "NAME")]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub context: Option<String>,
    /// Name to log in with; goes with --nats-password
    #[arg(long, env = "NATS_USER", value_name = "NAME", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub nats_user: Option<String>,
    /// Password to log in with; better given in the environment
    #[arg(long, env = "NATS_PASSWORD", value_name = "PASSWORD", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub nats_password: Option<Secret>,
    /// Token to log in with; better given in the environment
    #[arg(long, env = "NATS_TOKEN", value_name = "TOKEN", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub nats_token: Option<Secret>,
    /// Seed of an nkey to log in with, or a file that holds it
    #[arg(long, env = "NATS_NKEY", value_name = "SEED|FILE", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub nats_nkey: Option<Secret>,
    /// Credentials file to log in with (JWT and seed)
    #[arg(long, env = "NATS_CREDS", value_name = "FILE", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub nats_creds: Option<PathBuf>,
    /// Refuse a connection that is not encrypted
    #[arg(long, env = "PETREL_TLS_REQUIRED", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub tls_required: bool,
    /// Certificates of authorities to trust beside the system's (PEM)
    #[arg(long, env = "NATS_CA", value_name = "FILE", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub tls_ca: Option<PathBuf>,
    /// The client's certificate (PEM); goes with --tls-key
    #[arg(long, env = "NATS_CERT", value_name = "FILE", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub tls_cert: Option<PathBuf>,
    /// The client's key (PEM); goes with --tls-cert
    #[arg(long, env = "NATS_KEY", value_name = "FILE", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub tls_key: Option<PathBuf>,
    /// Longest time that making a connection may take, as in 10s [default: by preset]
    #[arg(long, env = "PETREL_CONNECT_TIMEOUT", value_name = "TIME", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    #[arg(value_parser = units::duration)]
    pub connect_timeout: Option<Duration>,
    /// Number of times that the first connection is tried [default: by preset]
    #[arg(long, env = "PETREL_CONNECT_ATTEMPTS", value_name = "N", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub connect_attempts: Option<usize>,
    /// Longest time for the server to answer or deliver, as in 5s [default: by preset]
    #[arg(long, env = "PETREL_CONSUMER_TIMEOUT", value_name = "TIME", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    #[arg(value_parser = units::duration)]
    pub consumer_timeout: Option<Duration>,
    /// Number of times that a read is asked for before it fails [default: by preset]
    #[arg(long, env = "PETREL_DELIVERIES", value_name = "N", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub deliveries: Option<usize>,
    /// Requests that may wait to be written to the connection [default: by preset]
    #[arg(long, env = "PETREL_REQUEST_BUFFER", value_name = "N", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub request_buffer: Option<usize>,
    /// Messages that a scan asks for at once [default: by preset]
    #[arg(long, env = "PETREL_SCAN_BATCH", value_name = "N", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub scan_batch: Option<usize>,
    /// Unanswered requests in a row after which calls fail at once [default: 8]
    #[arg(long, env = "PETREL_BREAKER_THRESHOLD", value_name = "N", hide_short_help = true)]
    #[arg(global = true, help_heading = CONNECTION, hide_env_values = true)]
    pub breaker_threshold: Option<u32>,

    /// Set of timeouts and buffers to start from [default: development]
    #[arg(long, env = "PETREL_PRESET", value_enum, hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub preset: Option<Preset>,
    /// JetStream domain, where the account's JetStream is behind a leaf node
    #[arg(long, env = "PETREL_DOMAIN", value_name = "NAME", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub domain: Option<String>,
    /// Copies of each stream: 1, 3 or 5 [default: as they are, 1 when new]
    #[arg(long, env = "PETREL_REPLICAS", value_name = "N", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub replicas: Option<usize>,
    /// First word of every subject; two systems on one server need two [default: cb]
    #[arg(long, env = "PETREL_PREFIX", value_name = "WORD", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub prefix: Option<String>,
    /// Stream of definitions and case logs [default: CB_LOG]
    #[arg(long, env = "PETREL_LOG_STREAM", value_name = "NAME", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub log_stream: Option<String>,
    /// Stream of live tokens [default: CB_MARKING]
    #[arg(long, env = "PETREL_MARKING_STREAM", value_name = "NAME", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub marking_stream: Option<String>,
    /// Stream of timers [default: the log's name with _TIMERS for _LOG]
    #[arg(long, env = "PETREL_TIMER_STREAM", value_name = "NAME", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub timer_stream: Option<String>,
    /// Stream of open work [default: the log's name with _WORK for _LOG]
    #[arg(long, env = "PETREL_WORK_STREAM", value_name = "NAME", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub work_stream: Option<String>,
    /// Stream of the signs of life of who works [default: the log's name with _BEATS for _LOG]
    #[arg(long, env = "PETREL_BEAT_STREAM", value_name = "NAME", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub beat_stream: Option<String>,
    /// Most bytes of the log, as in 10GiB; full, it refuses writes [default: unlimited]
    #[arg(long, env = "PETREL_LOG_MAX_BYTES", value_name = "BYTES", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    #[arg(value_parser = units::bytes)]
    pub log_max_bytes: Option<u64>,
    /// Write a new stream of live tokens to disk before it acknowledges, as the log is
    #[arg(long, env = "PETREL_VIEW_ON_DISK", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub view_on_disk: bool,
    /// Changes that come at once go to the log together: where measured faster, always, or never
    /// [default: measured]
    #[arg(long, env = "PETREL_GROUP_COMMIT", value_enum, hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub group_commit: Option<GroupCommitSetting>,
    /// Time that a departed token's marker is kept, in whole seconds, as in 20s [default: 20s]
    #[arg(long, env = "PETREL_MARKER_TTL", value_name = "TIME", hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    #[arg(value_parser = units::duration)]
    pub marker_ttl: Option<Duration>,
    /// Way that tokens are read: by direct get, or by a consumer [default: direct]
    #[arg(long, env = "PETREL_READ_PATH", value_enum, hide_short_help = true)]
    #[arg(global = true, help_heading = STORAGE, hide_env_values = true)]
    pub read_path: Option<ReadPathSetting>,

    /// Port of the local NATS server [default: a free one]
    #[arg(long, env = "PETREL_NATS_PORT", value_name = "PORT")]
    #[arg(global = true, help_heading = LOCAL, hide_env_values = true)]
    pub nats_port: Option<u16>,
    /// Folder of the local server's data [default: your data folder]
    #[arg(long, env = "PETREL_DATA_DIR", value_name = "FOLDER")]
    #[arg(global = true, help_heading = LOCAL, hide_env_values = true)]
    pub data_dir: Option<PathBuf>,
    /// Interval of the local server's syncs to disk: default, always, or a time as in 10s
    #[arg(long, env = "PETREL_SYNC_INTERVAL", value_name = "WHEN", hide_short_help = true)]
    #[arg(global = true, help_heading = LOCAL, hide_env_values = true)]
    #[arg(value_parser = units::sync_interval)]
    pub sync_interval: Option<SyncInterval>,

    /// Answer with JSON, errors too
    #[arg(long, env = "PETREL_JSON")]
    #[arg(global = true, help_heading = OUTPUT, hide_env_values = true)]
    pub json: bool,
    /// Form of the log lines, which go to stderr [default: human]
    #[arg(long, env = "PETREL_LOG_FORMAT", value_enum, hide_short_help = true)]
    #[arg(global = true, help_heading = OUTPUT, hide_env_values = true)]
    pub log_format: Option<LogFormat>,
    /// Filter of the log, as in `info` or `warn,stormpetrel=debug` [default: warn, serve:
    /// info]
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", hide_short_help = true)]
    #[arg(global = true, help_heading = OUTPUT, hide_env_values = true)]
    pub log_level: Option<String>,
}

impl Config {
    /// Returns true if the user named a server; otherwise a local one is run.
    pub fn names_a_server(&self) -> bool {
        self.names_an_address() || self.context().is_some()
    }

    fn names_an_address(&self) -> bool {
        self.nats_url.iter().any(|Address(url)| !url.trim().is_empty())
    }

    /// The name of a context; the `nats` command takes an empty one for none.
    fn context(&self) -> Option<&str> {
        self.context.as_deref().filter(|name| !name.is_empty())
    }

    /// Settings of the storage. If the user named no server, `urls` is left for the local
    /// server's address.
    ///
    /// A flag that only makes sense with a server of the user's is an error without one:
    /// somebody who forgot `--nats-url` would write to the wrong server and not notice.
    pub fn storage(&self) -> Result<NatsStorageConfig, ConfigError> {
        let mut config = self.storage_defaults();
        if self.names_a_server() {
            if let Some(name) = self.context() {
                let context = Context::read(name)?;
                config.urls = context.urls;
                config.auth = context.auth;
                config.tls = context.tls;
                config.domain = context.domain;
                config.inbox_prefix = context.inbox_prefix;
            }
            self.named_server(&mut config)?;
            config = config.taking_logins()?;
        } else if let Some(flag) = self.remote_flag() {
            return Err(ConfigError::NoServerNamed { flag });
        }
        config.validate()?;
        Ok(config)
    }

    /// Adds the flags and variables about the user's server; they win over the context.
    fn named_server(&self, config: &mut NatsStorageConfig) -> Result<(), ConfigError> {
        let login = self.auth()?;
        if self.names_an_address() {
            let urls = self.nats_url.iter().map(|Address(url)| url.trim().to_owned());
            let given = NatsStorageConfig { urls: urls.collect(), ..Default::default() };
            let given = given.taking_logins()?;
            if let (true, Some(&second)) = (given.auth != Auth::None, self.login_flags().first()) {
                let first = "a login in --nats-url (NATS_URL)";
                return Err(ConfigError::Conflict { first, second });
            }
            config.urls = given.urls;
            if given.auth != Auth::None {
                config.auth = given.auth;
            }
        }
        if login != Auth::None {
            config.auth = login;
        }
        let tls = &mut config.tls;
        tls.required |= self.tls_required;
        tls.ca_file = self.tls_ca.clone().or(tls.ca_file.take());
        if self.tls_cert.is_some() || self.tls_key.is_some() {
            (tls.cert_file, tls.key_file) = (self.tls_cert.clone(), self.tls_key.clone());
        }
        config.domain = self.domain.clone().or(config.domain.take());
        Ok(())
    }

    /// Options of the local server.
    pub fn local_server(&self, store: Store) -> LocalServerOptions {
        LocalServerOptions {
            port: self.nats_port,
            store,
            sync_interval: self.sync_interval.unwrap_or_default(),
            ..LocalServerOptions::default()
        }
    }

    /// The folder that the local server keeps its data in.
    pub fn data_folder(&self) -> Result<PathBuf, ConfigError> {
        let from_flag = self.data_dir.clone();
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let home = env::home_dir().filter(|home| !home.as_os_str().is_empty());
        from_flag
            .or_else(|| default_data_folder(variable, home, cfg!(target_os = "macos")))
            .ok_or(ConfigError::NoDataFolder)
    }

    /// Returns true if the local server syncs less often than servers do unless they are told
    /// otherwise: views that are old enough to be on disk would not be.
    fn syncs_seldom(&self) -> bool {
        let seldom = |interval| interval > Duration::from_secs(120);
        matches!(self.sync_interval, Some(SyncInterval::Every(interval)) if seldom(interval))
    }

    fn storage_defaults(&self) -> NatsStorageConfig {
        let preset = match self.preset.unwrap_or_default() {
            Preset::Development => NatsStorageConfig::development(),
            Preset::Production => NatsStorageConfig::production(),
            Preset::HighThroughput => NatsStorageConfig::high_throughput(),
        };
        NatsStorageConfig {
            prefix: self.prefix.clone().unwrap_or(preset.prefix),
            log_stream: self.log_stream.clone().unwrap_or(preset.log_stream),
            marking_stream: self.marking_stream.clone().unwrap_or(preset.marking_stream),
            timer_stream: self.timer_stream.clone().or(preset.timer_stream),
            work_stream: self.work_stream.clone().or(preset.work_stream),
            beat_stream: self.beat_stream.clone().or(preset.beat_stream),
            replicas: self.replicas.or(preset.replicas),
            log_max_bytes: self.log_max_bytes.or(preset.log_max_bytes),
            view_on_disk: self.view_on_disk || preset.view_on_disk || self.syncs_seldom(),
            group_commit: self.group_commit.map_or(preset.group_commit, Into::into),
            connect_timeout: self.connect_timeout.unwrap_or(preset.connect_timeout),
            connect_attempts: self.connect_attempts.unwrap_or(preset.connect_attempts),
            consumer_timeout: self.consumer_timeout.unwrap_or(preset.consumer_timeout),
            deliveries: self.deliveries.unwrap_or(preset.deliveries),
            marker_ttl: self.marker_ttl.unwrap_or(preset.marker_ttl),
            read_path: self.read_path.map_or(preset.read_path, Into::into),
            request_buffer: self.request_buffer.unwrap_or(preset.request_buffer),
            scan_batch: self.scan_batch.unwrap_or(preset.scan_batch),
            breaker_threshold: self.breaker_threshold.unwrap_or(preset.breaker_threshold),
            urls: preset.urls,
            auth: preset.auth,
            tls: preset.tls,
            inbox_prefix: preset.inbox_prefix,
            domain: preset.domain,
        }
    }
}

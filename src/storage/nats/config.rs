//! Settings of [`NatsStorage`](super::NatsStorage).

use std::{path::PathBuf, time::Duration};

use super::{
    super::{ReadPath, StorageError},
    address::{self, Auth},
};

/// Settings of the connection to a NATS system, and of Storm Petrel's data in it.
///
/// Two systems share one server when their `prefix` and stream names differ.
#[derive(Debug, Clone, PartialEq)]
pub struct NatsStorageConfig {
    /// Servers, as in `nats://127.0.0.1:4222`; the first that answers is used, and the
    /// others serve when it goes away. A login in an address, as in
    /// `nats://user:password@127.0.0.1:4222`, is that of all of them.
    pub urls: Vec<String>,
    /// Login.
    pub auth: Auth,
    /// Encryption of the connection.
    pub tls: Tls,
    /// First words of the subjects that answers come to, where the account's permissions ask
    /// for others than `_INBOX`.
    pub inbox_prefix: Option<String>,
    /// The JetStream domain, where the account's JetStream is behind a leaf node.
    pub domain: Option<String>,
    /// The first word of every subject. Default `cb`. `[A-Za-z0-9_-]`, 1 to 32 characters.
    pub prefix: String,
    /// The stream of definitions and case logs. Default `CB_LOG`.
    pub log_stream: String,
    /// The stream of live tokens. Default `CB_MARKING`.
    pub marking_stream: String,
    /// The stream of timers. Default the log's name with `_TIMERS` in place of a trailing `_LOG`, or
    /// behind it: `CB_TIMERS`.
    pub timer_stream: Option<String>,
    /// The stream of open work. Default as [`timer_stream`](Self::timer_stream) is, with `_WORK`:
    /// `CB_WORK`.
    pub work_stream: Option<String>,
    /// The stream of beats. Default as [`timer_stream`](Self::timer_stream) is, with `_BEATS`:
    /// `CB_BEATS`.
    pub beat_stream: Option<String>,
    /// Copies of each stream: 1, 3 or 5; an existing stream is changed to it. By default, a
    /// new stream has one copy and an existing stream keeps its number.
    pub replicas: Option<usize>,
    /// The most bytes that the log may have; when full it refuses writes. Default unlimited.
    pub log_max_bytes: Option<u64>,
    /// True to have a new view written to disk before it acknowledges, as the log is. By default, one
    /// without replicas on a server of its own acknowledges before: a crash of the server takes its
    /// last writes, and whoever serves then makes them again from the log. Default false.
    pub view_on_disk: bool,
    /// Way of appends that come at once: together or one by one. Default [`GroupCommit::Measured`].
    pub group_commit: GroupCommit,
    /// Longest time that making a connection may take. Default 10 s.
    pub connect_timeout: Duration,
    /// Number of times that the first connection is tried, with jittered exponential waits
    /// between. Default 3. Who serves waits beside that for streams that have no leader yet, ten
    /// seconds at most.
    pub connect_attempts: usize,
    /// Longest time for the server to answer a request, or for a consumer to deliver the next
    /// message of a read. Default 5 s.
    pub consumer_timeout: Duration,
    /// Number of times that a read is asked for before it fails. Default 3.
    pub deliveries: usize,
    /// Time that a marker of a departed token is kept in the marking stream, in whole seconds.
    /// A view write that is later than this is checked against the log again. Default 20 s.
    pub marker_ttl: Duration,
    /// Way of reading tokens from the marking stream. Default [`ReadPath::Direct`].
    pub read_path: ReadPath,
    /// Number of requests that may wait to be written to the connection. Default 2,048.
    pub request_buffer: usize,
    /// Number of messages that a scan asks for at once. Default 256.
    pub scan_batch: usize,
    /// Number of requests in a row without an answer after which calls fail at once, until the
    /// server answers again. Default 8.
    pub breaker_threshold: u32,
}

/// Appends of several cases in one atomic batch, each with its own condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupCommit {
    /// Where that is faster than one after the other, by what each took lately: where the disk is
    /// waited for, or a majority of replicas.
    #[default]
    Measured,
    /// Whenever several come at once.
    Always,
    /// Never.
    Never,
}

/// Encryption of the connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// True to refuse a connection that is not encrypted.
    pub required: bool,
    /// True to encrypt before the server has said anything, as its `handshake_first` asks for.
    pub first: bool,
    /// Certificates of authorities to trust beside the system's, as a PEM file.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate, as a PEM file; goes with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// The client's key, as a PEM file; goes with `cert_file`.
    pub key_file: Option<PathBuf>,
}

impl NatsStorageConfig {
    /// Settings for a machine of one's own: requests may take 5 s, 3 deliveries, 10 s to
    /// connect.
    pub fn development() -> Self {
        Self {
            urls: vec!["nats://127.0.0.1:4222".to_owned()],
            auth: Auth::None,
            tls: Tls::default(),
            inbox_prefix: None,
            domain: None,
            prefix: "cb".to_owned(),
            log_stream: "CB_LOG".to_owned(),
            marking_stream: "CB_MARKING".to_owned(),
            timer_stream: None,
            work_stream: None,
            beat_stream: None,
            replicas: None,
            log_max_bytes: None,
            view_on_disk: false,
            group_commit: GroupCommit::Measured,
            connect_timeout: Duration::from_secs(10),
            connect_attempts: 3,
            consumer_timeout: Duration::from_secs(5),
            deliveries: 3,
            marker_ttl: Duration::from_secs(20),
            read_path: ReadPath::Direct,
            request_buffer: 2_048,
            scan_batch: 256,
            breaker_threshold: 8,
        }
    }

    /// The same server, with a prefix and streams that nobody else has, for a measurement:
    /// `petrel-<purpose>-<random>` and `PETREL_<PURPOSE>_<RANDOM>_LOG`, `…_MARKING`, `…_TIMERS`,
    /// `…_WORK`, `…_BEATS`.
    pub fn apart(self, purpose: &str) -> Self {
        let run = format!("{:08x}", rand::random::<u32>());
        let stream = format!("PETREL_{purpose}_{run}").to_uppercase();
        Self {
            prefix: format!("petrel-{purpose}-{run}"),
            log_stream: format!("{stream}_LOG"),
            marking_stream: format!("{stream}_MARKING"),
            timer_stream: None,
            work_stream: None,
            beat_stream: None,
            ..self
        }
    }

    /// Settings for a system in use: requests may take 30 s, 5 deliveries, 30 s to connect.
    pub fn production() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            connect_attempts: 5,
            consumer_timeout: Duration::from_secs(30),
            deliveries: 5,
            ..Self::development()
        }
    }

    /// Settings like [`production`](Self::production), with larger buffers and batches: more
    /// memory for more requests in flight.
    pub fn high_throughput() -> Self {
        Self { request_buffer: 65_536, scan_batch: 2_048, ..Self::production() }
    }

    /// The same, with the login that stands in an address taken out of it.
    ///
    /// # Errors
    ///
    /// When a login is malformed, and when there are two ways to log in.
    pub fn taking_logins(mut self) -> Result<Self, StorageError> {
        let wrong = |reason: String| StorageError::Config { field: "urls".to_owned(), reason };
        let mut found = Auth::None;
        for url in &mut self.urls {
            let (address, login) = address::split(url).map_err(wrong)?;
            *url = address;
            match login {
                Some(login) if found == Auth::None || found == login => found = login,
                Some(_) => {
                    return Err(wrong("two addresses have different logins".to_owned()));
                }
                None => {}
            }
        }
        if found != Auth::None {
            if self.auth != Auth::None && self.auth != found {
                let twice = "there is a login in an address, and another one beside it";
                return Err(wrong(twice.to_owned()));
            }
            self.auth = found;
        }
        Ok(self)
    }

    /// Beginning of the subjects on which answers come.
    pub fn inbox(&self) -> &str {
        self.inbox_prefix.as_deref().unwrap_or("_INBOX")
    }

    /// Name of the stream of timers.
    pub fn timers(&self) -> String {
        self.timer_stream.clone().unwrap_or_else(|| self.beside_log("TIMERS"))
    }

    /// Name of the stream of open work.
    pub fn work(&self) -> String {
        self.work_stream.clone().unwrap_or_else(|| self.beside_log("WORK"))
    }

    /// Name of the stream of beats.
    pub fn beats(&self) -> String {
        self.beat_stream.clone().unwrap_or_else(|| self.beside_log("BEATS"))
    }

    /// Names of all streams, the log first.
    pub fn streams(&self) -> [String; 5] {
        let (log, marking) = (self.log_stream.clone(), self.marking_stream.clone());
        [log, marking, self.timers(), self.work(), self.beats()]
    }

    fn beside_log(&self, what: &str) -> String {
        let log = &self.log_stream;
        format!("{}_{what}", log.strip_suffix("_LOG").unwrap_or(log))
    }

    /// Checks every field.
    pub fn validate(&self) -> Result<(), StorageError> {
        let wrong = |field: &str, reason: &str| {
            Err(StorageError::Config { field: field.to_owned(), reason: reason.to_owned() })
        };
        let word = |text: &str, max: usize| {
            (1..=max).contains(&text.len())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        if self.urls.is_empty() || self.urls.iter().any(|url| url.trim().is_empty()) {
            return wrong("urls", "name at least one server, as in nats://127.0.0.1:4222");
        }
        if !word(&self.prefix, 32) {
            return wrong("prefix", "use 1 to 32 characters of A-Z a-z 0-9 _ -");
        }
        let named = [
            ("log_stream", Some(&self.log_stream)),
            ("marking_stream", Some(&self.marking_stream)),
            ("timer_stream", self.timer_stream.as_ref()),
            ("work_stream", self.work_stream.as_ref()),
            ("beat_stream", self.beat_stream.as_ref()),
        ];
        for (field, name) in named {
            if name.is_some_and(|name| !word(name, 64)) {
                return wrong(field, "use 1 to 64 characters of A-Z a-z 0-9 _ -");
            }
        }
        let streams = self.streams();
        for (at, (field, _)) in named.iter().enumerate() {
            if let Some(other) = streams[..at].iter().position(|name| *name == streams[at]) {
                let reason = format!("must not be the same stream as {}", named[other].0);
                return wrong(field, &reason);
            }
        }
        if self.replicas.is_some_and(|replicas| ![1, 3, 5].contains(&replicas)) {
            return wrong("replicas", "use 1, 3 or 5");
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            return wrong("tls", "a client certificate and its key go together");
        }
        if self.domain.as_deref().is_some_and(|domain| !word(domain, 64)) {
            return wrong("domain", "use 1 to 64 characters of A-Z a-z 0-9 _ -");
        }
        let in_subject = |text: &str| {
            let fine = |c: char| !c.is_whitespace() && !c.is_control() && c != '*' && c != '>';
            !text.split('.').any(str::is_empty) && text.len() <= 256 && text.chars().all(fine)
        };
        if !in_subject(self.inbox()) {
            return wrong(
                "inbox_prefix",
                "use words with a point between, 256 bytes at most, as in _INBOX.petrel",
            );
        }
        let positive = [
            ("connect_timeout", !self.connect_timeout.is_zero()),
            ("consumer_timeout", !self.consumer_timeout.is_zero()),
            ("connect_attempts", self.connect_attempts > 0),
            ("deliveries", self.deliveries > 0),
            ("request_buffer", self.request_buffer > 0),
            ("scan_batch", self.scan_batch > 0),
            ("breaker_threshold", self.breaker_threshold > 0),
            ("log_max_bytes", self.log_max_bytes != Some(0)),
        ];
        if let Some((field, _)) = positive.iter().find(|(_, fine)| !fine) {
            return wrong(field, "must be greater than zero");
        }
        if self.marker_ttl.as_secs() < 1 || self.marker_ttl.subsec_nanos() != 0 {
            return wrong("marker_ttl", "use whole seconds, at least 1");
        }
        Ok(())
    }
}

impl Default for NatsStorageConfig {
    fn default() -> Self {
        Self::development()
    }
}

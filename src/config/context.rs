//! Contexts of the `nats` command: files with the ways to reach a server.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{ConfigError, nkey};
use crate::storage::nats::{Auth, Tls};

/// The address where a context has none, as the `nats` command has it.
const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// A context's file, as far as it matters here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    url: String,
    token: String,
    user: String,
    password: String,
    creds: String,
    nkey: String,
    cert: String,
    key: String,
    ca: String,
    nsc: String,
    socks_proxy: String,
    jetstream_domain: String,
    jetstream_api_prefix: String,
    inbox_prefix: String,
    user_jwt: String,
    user_seed: String,
    tls_first: bool,
}

/// Address, login and TLS of a server, by a context.
pub(super) struct Context {
    pub(super) urls: Vec<String>,
    pub(super) auth: Auth,
    pub(super) tls: Tls,
    pub(super) domain: Option<String>,
    pub(super) inbox_prefix: Option<String>,
}

impl Context {
    /// The context of this name.
    pub(super) fn read(name: &str) -> Result<Self, ConfigError> {
        let folder = folder(|name| env::var(name).ok(), env::home_dir());
        let folder = folder.ok_or(ConfigError::NoContextFolder)?;
        Self::read_in(&folder, name)
    }

    fn read_in(folder: &Path, name: &str) -> Result<Self, ConfigError> {
        let wrong = |path: &Path, reason: String| ConfigError::Context {
            name: name.to_owned(),
            path: path.to_owned(),
            reason,
        };
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(wrong(folder, "is not the name of a context".to_owned()));
        }
        let path = folder.join(format!("{name}.json"));
        let text = fs::read(&path)
            .map_err(|error| wrong(&path, format!("can't be read: {error}; {}", others(folder))))?;
        // The parser's message may have what stands there, as a password.
        let file: File = serde_json::from_slice(&text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            wrong(&path, format!("is no context: line {line}, column {column}"))
        })?;
        let home = env::home_dir();
        file.understood(home.as_deref()).map_err(|reason| wrong(&path, reason))
    }
}

impl File {
    /// The context that the file describes, or the reason that it can't be used.
    fn understood(self, home: Option<&Path>) -> Result<Context, String> {
        let unknown = [
            ("nsc", &self.nsc),
            ("socks_proxy", &self.socks_proxy),
            ("jetstream_api_prefix", &self.jetstream_api_prefix),
            ("user_jwt", &self.user_jwt),
            ("user_seed", &self.user_seed),
        ];
        if let Some((name, _)) = unknown.iter().find(|(_, value)| !value.is_empty()) {
            return Err(format!("has {name}, which petrel does not know"));
        }
        if self.creds.contains("://") {
            return Err("has creds that are no file, which petrel does not know".to_owned());
        }
        let file = |text: &str| (!text.is_empty()).then(|| expanded(text, home));
        let urls = match &*self.url {
            "" => vec![DEFAULT_URL.to_owned()],
            urls => urls.split(',').map(|url| url.trim().to_owned()).collect(),
        };
        let ways = [&self.user, &self.creds, &self.nkey, &self.token];
        if ways.iter().filter(|way| !way.is_empty()).count() > 1 {
            return Err("has several of user, creds, nkey and token".to_owned());
        }
        let auth = if !self.user.is_empty() && self.password.is_empty() {
            // The `nats` command's way to say a token.
            Auth::Token(self.user)
        } else if !self.user.is_empty() {
            Auth::UserPassword { user: self.user, password: self.password }
        } else if !self.token.is_empty() {
            Auth::Token(self.token)
        } else if let Some(path) = file(&self.nkey) {
            let seed = nkey::seed(&path.to_string_lossy());
            Auth::NKey(seed.map_err(|error| format!("has an nkey that can't be used: {error}"))?)
        } else {
            file(&self.creds).map_or(Auth::None, Auth::CredsFile)
        };
        Ok(Context {
            urls,
            auth,
            tls: Tls {
                required: false,
                first: self.tls_first,
                ca_file: file(&self.ca),
                cert_file: file(&self.cert),
                key_file: file(&self.key),
            },
            domain: Some(self.jetstream_domain).filter(|domain| !domain.is_empty()),
            inbox_prefix: Some(self.inbox_prefix).filter(|prefix| !prefix.is_empty()),
        })
    }
}

/// A path of a context: `~` is the user's home.
fn expanded(text: &str, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

fn folder(variable: impl Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Option<PathBuf> {
    let config = variable("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty());
    let config = config.map(PathBuf::from);
    let config = config.or_else(|| Some(home?.join(".config")))?;
    Some(config.join("nats").join("context"))
}

/// A list of the other contexts, for somebody who mistyped one.
fn others(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort_unstable();
    match names.is_empty() {
        true => "there are none".to_owned(),
        false => format!("there are: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Context, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("c.json"), text).unwrap();
        Context::read_in(folder.path(), "c").map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_context_says_is_taken_over() {
        let context = read(
            r#"{"description": "x", "url": "nats://a:1, nats://b:2", "user": "ann",
                "password": "pw", "cert": "~/c.pem", "key": "/k.pem", "ca": "/ca.pem",
                "jetstream_domain": "hub", "inbox_prefix": "_IN.ann", "color_scheme": "",
                "tls_first": true}"#,
        );
        let Context { urls, auth, tls, domain, inbox_prefix } =
            context.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(urls, ["nats://a:1", "nats://b:2"]);
        assert_eq!(auth, Auth::UserPassword { user: "ann".into(), password: "pw".into() });
        assert_eq!(tls.ca_file, Some("/ca.pem".into()));
        assert!(tls.first && tls.cert_file.unwrap().is_absolute());
        assert_eq!((domain.as_deref(), inbox_prefix.as_deref()), (Some("hub"), Some("_IN.ann")));
    }

    #[test]
    fn each_way_to_log_in_is_known_and_a_context_may_say_nothing() {
        let auth = |text: &str| read(text).map(|context| context.auth);
        assert_eq!(auth("{}"), Ok(Auth::None));
        assert_eq!(read("{}").map(|context| context.urls), Ok(vec![DEFAULT_URL.to_owned()]));
        assert_eq!(auth(r#"{"token": "t"}"#), Ok(Auth::Token("t".into())));
        assert_eq!(auth(r#"{"user": "t"}"#), Ok(Auth::Token("t".into())));
        assert_eq!(auth(r#"{"creds": "/a.creds"}"#), Ok(Auth::CredsFile("/a.creds".into())));
    }

    #[test]
    fn what_can_not_be_done_is_said_without_the_secrets_around_it() {
        for (text, why) in [
            (r#"{"user": "hush", "token": "hush"}"#, "several of"),
            (r#"{"user_jwt": "hush"}"#, "user_jwt"),
            (r#"{"creds": "op://hush"}"#, "no file"),
            (r#"{"password": 4711}"#, "line 1, column 17"),
            ("{", "is no context"),
        ] {
            let error = read(text).err().unwrap();
            assert!(error.contains(why) && error.contains("c.json"), "{error}");
            assert!(!error.contains("hush") && !error.contains("4711"), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.json"), "{}").unwrap();
        let missing = Context::read_in(folder.path(), "a").err().unwrap().to_string();
        assert!(missing.contains("there are: b"), "{missing}");
        assert!(Context::read_in(folder.path(), "../b").is_err());
    }

    #[test]
    fn the_folder_is_that_of_the_nats_command() {
        let set = |name: &str| (name == "XDG_CONFIG_HOME").then(|| "/x".to_owned());
        assert_eq!(folder(set, None), Some("/x/nats/context".into()));
        let home = || Some(PathBuf::from("/home/a"));
        assert_eq!(folder(|_| None, home()), Some("/home/a/.config/nats/context".into()));
        assert_eq!(folder(|_| None, None), None);
    }
}

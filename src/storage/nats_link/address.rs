//! Logins, and addresses that carry one, as in `nats://user:password@host:4222`.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// Login to the server.
#[derive(Clone, PartialEq, Default)]
pub enum Auth {
    /// No login.
    #[default]
    None,
    /// A name and a password.
    UserPassword {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
    /// An nkey's seed.
    NKey(String),
    /// A credentials file (JWT and seed).
    CredsFile(PathBuf),
}

// Written by hand so that no log ever shows a secret.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::UserPassword { user, .. } => write!(f, "UserPassword({user:?}, …)"),
            Self::Token(_) => f.write_str("Token(…)"),
            Self::NKey(_) => f.write_str("NKey(…)"),
            Self::CredsFile(path) => write!(f, "CredsFile({path:?})"),
        }
    }
}

/// An address without its login, and the login. The part before an `@` is a name and a
/// password, or a token if it has no colon; both may be percent-encoded.
///
/// # Errors
///
/// When the login is malformed. The message does not have it.
pub(in crate::storage) fn split(address: &str) -> Result<(String, Option<Auth>), String> {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, address),
    };
    let Some((login, host)) = rest.rsplit_once('@') else {
        return Ok((address.to_owned(), None));
    };
    let host = match scheme {
        Some(scheme) => format!("{scheme}://{host}"),
        None => host.to_owned(),
    };
    let decoded = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(String::from).map_err(|_| format!("the login for {host} is no text in UTF-8"))
    };
    let auth = match login.split_once(':') {
        Some((user, password)) if !user.is_empty() => {
            Auth::UserPassword { user: decoded(user)?, password: decoded(password)? }
        }
        None if !login.is_empty() => Auth::Token(decoded(login)?),
        _ => return Err(format!("the login for {host} has no name")),
    };
    Ok((host, Some(auth)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user: &str, password: &str) -> Option<Auth> {
        Some(Auth::UserPassword { user: user.into(), password: password.into() })
    }

    #[test]
    fn a_login_is_taken_out_of_its_address() {
        for (address, host, auth) in [
            ("nats://a:4222", "nats://a:4222", None),
            ("a", "a", None),
            ("nats://ann:secret@a:4222", "nats://a:4222", user("ann", "secret")),
            ("ann:secret@a:4222", "a:4222", user("ann", "secret")),
            ("tls://ann:@[::1]:4222", "tls://[::1]:4222", user("ann", "")),
            ("nats://a%40b:p%3A%2F%40@h", "nats://h", user("a@b", "p:/@")),
            ("nats://ann:p@ss/w:rd@h", "nats://h", user("ann", "p@ss/w:rd")),
            ("nats://t0k%65n@h", "nats://h", Some(Auth::Token("t0ken".into()))),
        ] {
            assert_eq!(split(address), Ok((host.to_owned(), auth)), "{address}");
        }
    }

    #[test]
    fn a_malformed_login_is_not_in_the_message() {
        for address in ["nats://:hush@h", "nats://@h", "nats://ann:%ffhush@h"] {
            let problem = split(address).unwrap_err();
            assert!(problem.contains("nats://h") && !problem.contains("hush"), "{problem}");
        }
    }
}

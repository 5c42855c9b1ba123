use std::{fs, os::unix::process::CommandExt, process::Command};

use super::error::PostgresError;

/// The account that Postgres runs under: it refuses to run as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// That of this process.
    Own,
    /// Another one, which root may take.
    Other {
        /// Its user.
        user: u32,
        /// Its group.
        group: u32,
    },
}

impl Account {
    /// The account of this process, or for root that of `postgres`, else that of `nobody`.
    pub(super) fn find() -> Result<Self, PostgresError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let find = |name| Self::named(&passwd, name);
        find("postgres").or_else(|| find("nobody")).ok_or(PostgresError::NoAccount)
    }

    /// The account of a user, by the lines of `/etc/passwd`; never root's.
    fn named(passwd: &str, name: &str) -> Option<Self> {
        let account = |line: &str| {
            let mut fields = line.split(':');
            let is_it = fields.next()? == name;
            let mut number = |skipped| fields.nth(skipped)?.parse().ok();
            let (user, group) = (number(1)?, number(0)?);
            (is_it && user != 0).then_some(Self::Other { user, group })
        };
        passwd.lines().find_map(account)
    }

    /// Makes a program run under it.
    pub(super) fn run(self, command: &mut Command) {
        if let Self::Other { user, group } = self {
            command.uid(user).gid(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        broken\n\
        postgresql:x:7:8::/:/bin/false\n\
        postgres:x:101:104:administrator,,,:/var/lib/postgresql:/bin/bash\n\
        nobody:x:65534:65533::/nonexistent:/usr/sbin/nologin\n";

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let postgres = Account::Other { user: 101, group: 104 };
        assert_eq!(Account::named(PASSWD, "postgres"), Some(postgres));
        let nobody = Account::Other { user: 65_534, group: 65_533 };
        assert_eq!(Account::named(PASSWD, "nobody"), Some(nobody));
        assert_eq!(Account::named(PASSWD, "post"), None);
    }

    #[test]
    fn root_is_no_account_for_postgres() {
        assert_eq!(Account::named(PASSWD, "root"), None);
        assert_eq!(Account::named("postgres:x:0:0::/:/bin/sh", "postgres"), None);
    }
}

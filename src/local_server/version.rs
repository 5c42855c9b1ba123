use std::fmt;

/// The version of a nats-server, as `nats-server --version` prints it.
///
/// A pre-release is older than its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
    /// Text after the dash of a pre-release, such as `RC.1`.
    pub pre_release: Option<String>,
}

impl ServerVersion {
    /// The oldest release with all that the storage layer needs (message schedules and atomic
    /// batches came with 2.12).
    pub const MINIMUM: Self = Self::release(2, 12, 0);

    /// A version without a pre-release part.
    pub const fn release(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch, pre_release: None }
    }

    /// Reads the version out of a line such as `nats-server: v2.14.0-RC.1`.
    ///
    /// The `nats-server:` and the `v` may be missing; `None` when the rest is no version.
    pub fn parse(line: &str) -> Option<Self> {
        let text = line.trim();
        let text = text.strip_prefix("nats-server:").unwrap_or(text).trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _build)| version);
        let (numbers, pre_release) = match text.split_once('-') {
            Some((numbers, pre_release)) => (numbers, Some(pre_release.to_owned())),
            None => (text, None),
        };
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let version = Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next()??,
            pre_release,
        };
        numbers.next().is_none().then_some(version)
    }

    /// Returns true if this server is at least [`ServerVersion::MINIMUM`].
    pub fn is_supported(&self) -> bool {
        self.rank() >= Self::MINIMUM.rank()
    }

    /// Values to compare by: the pre-releases of one release count as equal, since nothing
    /// here depends on the difference.
    fn rank(&self) -> (u32, u32, u32, bool) {
        (self.major, self.minor, self.patch, self.pre_release.is_none())
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        match &self.pre_release {
            Some(pre_release) => write!(f, "-{pre_release}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_the_server_prints_is_read() {
        let version = ServerVersion::parse("nats-server: v2.15.1\n");
        assert_eq!(version, Some(ServerVersion::release(2, 15, 1)));
    }

    #[test]
    fn a_pre_release_and_build_metadata_are_read() {
        let version = ServerVersion::parse("nats-server: v2.14.0-RC.1+abc").unwrap();
        assert_eq!(version.pre_release.as_deref(), Some("RC.1"));
        assert_eq!(version.to_string(), "2.14.0-RC.1");
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for line in ["", "nats-server:", "v2.15", "2.15.1.4", "2.x.1", "usage: 1"] {
            assert_eq!(ServerVersion::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_pre_release_of_the_minimum_is_too_old_and_one_of_a_later_release_is_not() {
        for (line, supported) in [
            ("v2.11.9", false),
            ("v2.12.0-RC.2", false),
            ("v2.12.0", true),
            ("v2.14.0-RC.1", true),
            ("v3.0.0", true),
            ("v1.99.0", false),
        ] {
            let version = ServerVersion::parse(line).unwrap();
            assert_eq!(version.is_supported(), supported, "{line}");
        }
    }
}

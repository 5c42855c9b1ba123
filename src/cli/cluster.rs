//! The number of servers that a command runs of its own.

use clap::Args;

use super::failure::Failure;
use crate::config::Config;

/// Choice of several servers that are one cluster.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Cluster {
    /// Number of NATS servers to run on this machine as one cluster: 1, 3 or 5; streams have a
    /// copy on each, or as many as --replicas says
    #[arg(long = "cluster", env = "PETREL_CLUSTER", value_name = "N", default_value = "1")]
    #[arg(hide_env_values = true, value_parser = servers)]
    servers: usize,
}

/// An odd number of servers: an even one bears no failure more than the number before it.
fn servers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(servers @ (1 | 3 | 5)) => Ok(servers),
        Ok(even) if even % 2 == 0 && even > 0 => Err(format!(
            "use 1, 3 or 5: a change needs more than half of the servers, so {even} can miss no \
             more of them than {} can",
            even - 1
        )),
        _ => Err("use 1, 3 or 5; a stream has at most 5 copies".to_owned()),
    }
}

impl Cluster {
    /// The number of servers, if the other settings go with it.
    pub(super) fn servers(self, config: &Config) -> Result<usize, Failure> {
        let Self { servers } = self;
        if servers == 1 {
            return Ok(servers);
        }
        if config.names_a_server() {
            return Err(Failure::usage(format!(
                "--cluster {servers} runs servers of petrel's own, and --nats-url (NATS_URL) or \
                 --context (NATS_CONTEXT) names one of yours; give one of them"
            )));
        }
        match config.replicas {
            Some(replicas) if replicas > servers => Err(Failure::usage(format!(
                "--replicas {replicas} wants each copy on a server of its own, and --cluster \
                 {servers} has {servers}; leave --replicas out for as many as there are servers"
            ))),
            _ => Ok(servers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(config: &Config) -> String {
        Cluster { servers: 3 }.servers(config).unwrap_err().to_text()
    }

    #[test]
    fn a_cluster_has_an_odd_number_of_servers() {
        for (text, number) in [("1", 1), ("3", 3), ("5", 5)] {
            assert_eq!(servers(text), Ok(number));
        }
        for text in ["2", "4"] {
            let error = servers(text).unwrap_err();
            assert!(error.contains("1, 3 or 5") && error.contains("more than half"), "{error}");
        }
        for text in ["0", "7", "-1", "three", "", "3.0"] {
            assert!(servers(text).unwrap_err().contains("1, 3 or 5"), "{text}");
        }
    }

    #[test]
    fn a_cluster_of_ones_own_is_not_on_a_server_that_is_named() {
        let named = Config { nats_url: vec!["nats://a".into()], ..Config::default() };
        let error = refusal(&named);
        assert!(error.contains("--cluster 3") && error.contains("--nats-url"), "{error}");
        assert_eq!(Cluster { servers: 1 }.servers(&named).unwrap(), 1);
    }

    #[test]
    fn there_are_no_more_copies_than_servers() {
        let with = |replicas| Config { replicas: Some(replicas), ..Config::default() };
        assert!(refusal(&with(5)).contains("--replicas 5"));
        for replicas in [1, 3] {
            assert_eq!(Cluster { servers: 3 }.servers(&with(replicas)).unwrap(), 3);
        }
    }
}

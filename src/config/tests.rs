use std::collections::BTreeSet;

use clap::{CommandFactory, FromArgMatches, Parser, builder::Resettable};

use std::ffi::OsString;

use super::*;
use crate::storage::ReadPath;
use crate::storage::nats::{GroupCommit, Tls};

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

/// Settings that `flags` give, with no influence from the environment of the tests.
fn config(flags: &str) -> Config {
    let command = Flags::command().mut_args(|arg| arg.env(Resettable::Reset));
    let words = std::iter::once("petrel").chain(flags.split_whitespace());
    let matches = command.try_get_matches_from(words).unwrap();
    Flags::from_arg_matches(&matches).unwrap().config
}

fn storage(flags: &str) -> NatsStorageConfig {
    config(flags).storage().unwrap()
}

fn refusal(flags: &str) -> String {
    config(flags).storage().unwrap_err().to_string()
}

const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

#[test]
fn each_flag_has_an_environment_variable_of_its_own() {
    let command = Flags::command();
    let mut seen = BTreeSet::new();
    for flag in command.get_arguments().filter(|flag| flag.get_id() != "help") {
        let variable = flag.get_env().unwrap_or_else(|| panic!("{} has none", flag.get_id()));
        assert!(seen.insert(variable), "{variable:?} is used twice");
        assert!(flag.is_hide_env_values_set(), "{} would show its value", flag.get_id());
    }
    assert!(seen.len() > 25);
}

#[test]
fn without_flags_the_storage_is_that_of_development() {
    assert_eq!(storage(""), NatsStorageConfig::development());
    assert!(!config("").names_a_server());
}

#[test]
fn a_preset_is_where_the_other_flags_start_from() {
    assert_eq!(storage("--preset production"), NatsStorageConfig::production());
    let tuned = storage("--preset high-throughput --scan-batch 99 --consumer-timeout 7s");
    let expected = NatsStorageConfig {
        scan_batch: 99,
        consumer_timeout: Duration::from_secs(7),
        ..NatsStorageConfig::high_throughput()
    };
    assert_eq!(tuned, expected);
}

#[test]
fn every_storage_flag_reaches_its_field() {
    let all = storage(
        "--nats-url nats://a:4222,nats://b:4222 --nats-user me --nats-password secret \
         --tls-required --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem --domain hub \
         --prefix sp --log-stream LOG --marking-stream MARKING --timer-stream TIMERS \
         --work-stream WORK --beat-stream BEATS --replicas 3 --log-max-bytes 10GiB --connect-timeout 1s --connect-attempts 2 \
         --consumer-timeout 3s --deliveries 4 --marker-ttl 1m --read-path consumer --request-buffer 5 \
         --scan-batch 6 --breaker-threshold 7 --view-on-disk --group-commit never",
    );
    let expected = NatsStorageConfig {
        urls: vec!["nats://a:4222".to_owned(), "nats://b:4222".to_owned()],
        auth: Auth::UserPassword { user: "me".to_owned(), password: "secret".to_owned() },
        tls: Tls {
            required: true,
            first: false,
            ca_file: Some("ca.pem".into()),
            cert_file: Some("cert.pem".into()),
            key_file: Some("key.pem".into()),
        },
        domain: Some("hub".to_owned()),
        inbox_prefix: None,
        prefix: "sp".to_owned(),
        log_stream: "LOG".to_owned(),
        marking_stream: "MARKING".to_owned(),
        timer_stream: Some("TIMERS".to_owned()),
        work_stream: Some("WORK".to_owned()),
        beat_stream: Some("BEATS".to_owned()),
        replicas: Some(3),
        log_max_bytes: Some(10 << 30),
        view_on_disk: true,
        group_commit: GroupCommit::Never,
        connect_timeout: Duration::from_secs(1),
        connect_attempts: 2,
        consumer_timeout: Duration::from_secs(3),
        deliveries: 4,
        marker_ttl: Duration::from_secs(60),
        read_path: ReadPath::Consumer,
        request_buffer: 5,
        scan_batch: 6,
        breaker_threshold: 7,
    };
    assert_eq!(all, expected);
}

#[test]
fn the_stream_of_timers_is_named_after_the_log_and_is_none_of_the_others() {
    let timers = |flags: &str| storage(&format!("--nats-url nats://a {flags}")).timers();
    assert_eq!(timers(""), "CB_TIMERS");
    assert_eq!(timers("--log-stream SHOP_LOG"), "SHOP_TIMERS");
    assert_eq!(timers("--log-stream CATALOG"), "CATALOG_TIMERS");
    assert_eq!(timers("--log-stream SHOP_LOG --timer-stream T"), "T");
    for same in ["CB_LOG", "CB_MARKING"] {
        let told = refusal(&format!("--nats-url nats://a --timer-stream {same}"));
        assert!(told.contains("timer_stream"), "{told}");
    }
    let told = refusal("--nats-url nats://a --marking-stream CB_TIMERS");
    assert!(told.contains("timer_stream"), "{told}");
    assert!(refusal("--nats-url nats://a --timer-stream a.b").contains("timer_stream"));
}

#[test]
fn the_streams_of_work_and_of_beats_are_named_after_the_log_too() {
    let streams = |flags: &str| storage(&format!("--nats-url nats://a {flags}")).streams();
    let named = ["CB_LOG", "CB_MARKING", "CB_TIMERS", "CB_WORK", "CB_BEATS"];
    assert_eq!(streams(""), named);
    assert_eq!(streams("--log-stream SHOP_LOG")[2..], ["SHOP_TIMERS", "SHOP_WORK", "SHOP_BEATS"]);
    assert_eq!(streams("--work-stream W --beat-stream B")[3..], ["W", "B"]);
    for (flag, field) in [("--work-stream", "work_stream"), ("--beat-stream", "beat_stream")] {
        let told = refusal(&format!("--nats-url nats://a {flag} CB_TIMERS"));
        assert!(told.contains(field) && told.contains("timer_stream"), "{told}");
        assert!(refusal(&format!("--nats-url nats://a {flag} a.b")).contains(field));
    }
}

#[test]
fn each_way_to_log_in_is_taken_over() {
    let auth = |flags: &str| storage(&format!("--nats-url nats://a {flags}")).auth;
    assert_eq!(auth("--nats-token t"), Auth::Token("t".to_owned()));
    assert_eq!(auth("--nats-creds my.creds"), Auth::CredsFile("my.creds".into()));
    assert_eq!(auth(&format!("--nats-nkey {SEED}")), Auth::NKey(SEED.to_owned()));
}

#[test]
fn an_nkey_may_be_a_file_and_what_is_neither_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("user.nk");
    std::fs::write(&file, format!("# a seed\n{SEED}\n")).unwrap();
    let flags = format!("--nats-url nats://a --nats-nkey {}", file.display());
    assert_eq!(storage(&flags).auth, Auth::NKey(SEED.to_owned()));

    std::fs::write(&file, "nothing").unwrap();
    assert!(refusal(&flags).contains("holds no nkey seed"));
    let nowhere = refusal("--nats-url nats://a --nats-nkey SUNOSEED");
    assert!(nowhere.contains("--nats-nkey") && nowhere.contains("58 characters"), "{nowhere}");
}

#[test]
fn two_ways_to_log_in_are_an_error_that_names_both() {
    let error = refusal("--nats-url nats://a --nats-token t --nats-creds c");
    assert!(error.contains("--nats-token (NATS_TOKEN)"), "{error}");
    assert!(error.contains("--nats-creds (NATS_CREDS)"), "{error}");
}

#[test]
fn half_a_login_is_an_error_that_names_the_other_half() {
    assert!(refusal("--nats-url nats://a --nats-user me").contains("--nats-password"));
    assert!(refusal("--nats-url nats://a --nats-password p").contains("--nats-user"));
    assert!(refusal("--nats-url nats://a --tls-cert c").contains("go together"));
}

#[test]
fn a_login_without_a_server_is_an_error_and_not_ignored() {
    for flags in ["--nats-token t", "--nats-creds c", "--tls-required", "--domain hub"] {
        let error = refusal(flags);
        assert!(error.contains("--nats-url") && error.contains(&flags[..6]), "{error}");
    }
}

#[test]
fn a_login_in_an_address_is_used_and_conflicts_with_another() {
    let config = storage("--nats-url nats://ann:pw@a:4222,nats://ann:pw@b:4222,nats://c:4222");
    assert_eq!(config.urls, ["nats://a:4222", "nats://b:4222", "nats://c:4222"]);
    assert_eq!(
        config.auth,
        Auth::UserPassword { user: "ann".to_owned(), password: "pw".to_owned() }
    );
    for flags in [
        "--nats-url nats://ann:hush@a --nats-token hush",
        "--nats-url nats://ann:hush@a,nats://bob:hush@b",
        "--nats-url nats://:hush@a",
    ] {
        let error = refusal(flags);
        assert!(error.contains("login") && !error.contains("hush"), "{error}");
    }
}

#[test]
fn secrets_are_not_in_what_the_settings_print() {
    let text = format!(
        "{:?}",
        config("--nats-url nats://a:hush@b --nats-user me --nats-password hush --nats-token hush")
    );
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn the_local_server_gets_port_folder_and_sync() {
    let options =
        config("--nats-port 4222 --sync-interval always").local_server(Store::Kept("/data".into()));
    assert_eq!(options.port, Some(4222));
    assert_eq!(options.store, Store::Kept("/data".into()));
    assert_eq!(options.sync_interval, SyncInterval::Always);
}

#[test]
fn a_view_is_on_disk_where_that_is_asked_for_or_the_server_syncs_seldom() {
    let is_on_disk = |flags: &str| storage(&format!("--nats-url nats://a {flags}")).view_on_disk;
    assert!(is_on_disk("--view-on-disk") && is_on_disk("--sync-interval 121s"));
    assert!(!is_on_disk("") && !is_on_disk("--sync-interval 2m"));
    assert!(!is_on_disk("--sync-interval always") && !is_on_disk("--sync-interval default"));
}

#[test]
fn the_data_folder_follows_the_conventions_of_the_system() {
    assert_eq!(config("--data-dir here").data_folder().unwrap(), PathBuf::from("here"));
    let home = || Some(PathBuf::from("/home/a"));
    let unset = |_: &str| None;
    let xdg = |name: &str| (name == "XDG_DATA_HOME").then(|| OsString::from("/x"));
    let folder = |path: &str| Some(PathBuf::from(path));
    let linux = "/home/a/.local/share/stormpetrel/dev";
    assert_eq!(default_data_folder(unset, home(), false), folder(linux));
    let macos = "/home/a/Library/Application Support/stormpetrel/dev";
    assert_eq!(default_data_folder(unset, home(), true), folder(macos));
    assert_eq!(default_data_folder(xdg, None, false), folder("/x/stormpetrel/dev"));
    assert_eq!(default_data_folder(unset, None, false), None);
}

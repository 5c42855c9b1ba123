//! Mistakes of a newcomer, and the answers to them.

use std::fs;

use stormpetrel::testing::TestServer;

use super::{errors, on, output, petrel, sample, text};

#[tokio::test]
async fn a_transition_that_does_not_exist_is_answered_with_those_that_do() {
    let server = TestServer::start().await;
    text(&server, &["workflow", "apply", &sample()]).await;
    text(&server, &["case", "start", "order-approval", "--id", "a"]).await;
    let of_case = ["fire", "shipp", "--workflow", "order-approval", "--case", "a"];
    let shown = super::json(&server, &["case", "show", "order-approval", "a"]).await;
    let token = shown["tokens"][0]["id"].as_str().unwrap();
    for arguments in [&of_case[..], &["fire", "shipp", "--token", token]] {
        let refused = on(&server, arguments).await;
        assert_eq!(refused.status.code(), Some(1));
        let errors = errors(&refused);
        assert!(errors.contains("shipp") && errors.contains("reserve, ship, reject"), "{errors}");
    }
}

#[tokio::test]
async fn a_typo_in_a_definition_is_reported_with_file_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("typo.yaml");
    let typo = fs::read_to_string(sample()).unwrap().replace("from_places", "form_places");
    let line = 1 + typo.lines().position(|line| line.contains("form_places")).unwrap();
    fs::write(&file, typo).unwrap();
    let file = file.display().to_string();
    let refused = output(petrel(&["workflow", "apply", &file])).await;
    assert_eq!(refused.status.code(), Some(1));
    let errors = errors(&refused);
    for part in [&*file, "form_places", "from_places", &format!("line {line}, column 5")] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
}

#[tokio::test]
async fn without_a_server_and_without_pip_the_ways_to_get_one_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = petrel(&["dev", "--listen", "127.0.0.1:0"]);
    command.env_remove("PETREL_NATS_SERVER");
    for variable in ["PATH", "PETREL_CACHE_DIR", "PETREL_DATA_DIR"] {
        command.env(variable, folder.path());
    }
    let refused = output(command).await;
    assert_eq!(refused.status.code(), Some(3));
    let errors = errors(&refused);
    for way in ["--nats-url", "PETREL_NATS_SERVER=", "on PATH", "Python with pip"] {
        assert!(errors.contains(way), "{way} in {errors}");
    }
    // Which could do no better.
    assert!(!errors.contains("petrel doctor"), "{errors}");
}

#[tokio::test]
async fn an_address_to_listen_on_that_is_none_is_refused_with_an_example() {
    for address in ["4001", "localhost:4001"] {
        let refused = output(petrel(&["dev", "--listen", address])).await;
        assert_eq!(refused.status.code(), Some(2));
        assert!(errors(&refused).contains("127.0.0.1:4000"), "{}", errors(&refused));
    }
}

#[tokio::test]
async fn a_listing_of_what_does_not_exist_is_no_empty_one() {
    let server = TestServer::start().await;
    text(&server, &["workflow", "apply", &sample()]).await;
    for (arguments, what) in [
        (&["token", "list", "nope"][..], "workflow nope"),
        (&["case", "list", "nope"], "workflow nope"),
        (&["case", "list", "nope", "--status", "paused"], "workflow nope"),
        (&["token", "list", "order-approval", "--place", "nonsense"], "place nonsense"),
        (&["token", "list", "order-approval", "--case", "nope"], "case nope"),
    ] {
        let refused = on(&server, arguments).await;
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        let errors = errors(&refused);
        assert!(errors.contains(&format!("{what} does not exist")), "{arguments:?}: {errors}");
    }
    for arguments in [
        &["token", "list", "order-approval"][..],
        &["token", "list", "order-approval", "--place", "draft"],
        &["case", "list", "order-approval"],
    ] {
        assert!(text(&server, arguments).await.contains("none"), "{arguments:?}");
    }
}

#[tokio::test]
async fn what_a_case_is_already_is_said_and_not_what_happened_last() {
    let server = TestServer::start().await;
    text(&server, &["workflow", "apply", &sample()]).await;
    text(&server, &["case", "start", "order-approval", "--id", "a"]).await;
    let said = text(&server, &["case", "resume", "order-approval", "a"]).await;
    assert!(said.starts_with("running already: case a of order-approval"), "{said}");
    let paused = text(&server, &["case", "pause", "order-approval", "a"]).await;
    assert!(paused.starts_with("paused: case a"), "{paused}");
    let shown = super::json(&server, &["case", "show", "order-approval", "a"]).await;
    let token = shown["tokens"][0]["id"].as_str().unwrap();
    text(&server, &["token", "update", token, "--data", r#"{"note": 1}"#]).await;
    let said = text(&server, &["case", "pause", "order-approval", "a"]).await;
    assert!(said.starts_with("paused already: case a of order-approval"), "{said}");
    let said = super::json(&server, &["case", "pause", "order-approval", "a"]).await;
    assert_eq!((&said["already"], &said["repeated"]), (&"paused".into(), &true.into()));
}

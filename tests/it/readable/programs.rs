//! The same limits, and the same way out, on the command line.

use serde_json::Value;
use stormpetrel::petrel::NewCase;

use super::loop_of;
use crate::{
    program::{output, program},
    support::{case, system, workflow},
};

#[tokio::test]
async fn the_command_line_refuses_what_is_too_deep_and_puts_rubbish_aside() {
    let (server, petrel) = system().await;
    loop_of(&petrel).await;
    let run = async |arguments: &[&str]| {
        let mut petrel = program();
        petrel.args(arguments).args(["--nats-url", server.url().as_ref()]);
        let said = output(petrel).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (said.status.code(), text(&said.stdout), text(&said.stderr))
    };
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    let (code, _, error) = run(&["case", "start", "loop", "--data", &deep]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("data: has more than 64 levels"), "{error}");

    let k = case("k");
    let request = NewCase { case: Some(k), ..NewCase::of(workflow("loop")) };
    petrel.create_case(request).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client);
    let subject = "cb.workflows.loop.events.transitions.k";
    let at = stream.publish(subject, "rubbish".into()).await.unwrap().await.unwrap().sequence;
    let (code, _, error) = run(&["case", "show", "loop", "k"]).await;
    assert!(code == Some(1) && error.contains(subject), "{error}");
    assert!(error.contains("petrel case quarantine"), "it says the way out: {error}");
    let reason = ["--reason", "a script", "--by", "ann", "--json"];
    let arguments = [&["case", "quarantine", "loop", "k"][..], &reason].concat();
    let (code, done, error) = run(&arguments).await;
    assert_eq!(code, Some(0), "{error}");
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!(
        (&done["kind"], &done["put_aside"][0]["sequence"]),
        (&"quarantined".into(), &at.into())
    );
    let (_, history, _) = run(&["case", "history", "loop", "k"]).await;
    assert!(
        history.contains("quarantined by ann") && history.contains(&format!("{at}: ")),
        "{history}"
    );
    let (code, audit, _) = run(&["audit"]).await;
    assert!(code == Some(0) && audit.contains("put aside by an operator"), "{audit}");
    let (code, ..) = run(&["fire", "go", "--workflow", "loop", "--case", "k"]).await;
    assert_eq!(code, Some(0));
}

use std::path::Path;

use super::{
    operations::{fire, start, with_sample},
    *,
};

const SAMPLE: &str = "samples/order-approval.yaml";

async fn without_server(arguments: &[&str]) -> Output {
    output(petrel(arguments)).await
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", errors(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn a_definition_in_a_file_is_drawn_without_a_server() {
    let svg = stdout(&without_server(&["draw", SAMPLE]).await);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let places = document.descendants().filter(|of| of.attribute("class") == Some("place"));
    assert_eq!(places.count(), 8);
    let mermaid = stdout(&without_server(&["draw", SAMPLE, "--format", "mermaid"]).await);
    insta::assert_snapshot!("order_approval_mermaid", mermaid);
    let dot = stdout(&without_server(&["draw", SAMPLE, "--format", "dot"]).await);
    insta::assert_snapshot!("order_approval_dot", dot);
}

#[tokio::test]
async fn the_name_of_the_output_says_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (name, begins) in [("a.svg", "<svg "), ("a.dot", "digraph "), ("a.mmd", "---\ntitle:")] {
        stdout(&without_server(&["draw", SAMPLE, "-o", &path(name)]).await);
        let written = std::fs::read_to_string(path(name)).unwrap();
        assert!(written.starts_with(begins), "{name}: {written}");
    }
    let refused = without_server(&["draw", SAMPLE, "-o", &path("a.png")]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(errors(&refused).contains("--format"), "{}", errors(&refused));
    assert!(!Path::new(&path("a.png")).exists());
}

#[tokio::test]
async fn a_pnml_file_is_drawn_where_its_nodes_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.pnml").to_str().unwrap().to_owned();
    let net = |id: &str| {
        format!(
            "<net id=\"{id}\" type=\"http://www.pnml.org/version-2009/grammar/ptnet\"><page id=\"{id}g\">\
             <place id=\"{id}p\"><graphics><position x=\"100\" y=\"50\"/></graphics></place>\
             <transition id=\"{id}t\"><graphics><position x=\"300\" y=\"250\"/></graphics></transition>\
             <arc id=\"{id}a\" source=\"{id}p\" target=\"{id}t\"/></page></net>"
        )
    };
    let pnml = |nets: &str| {
        format!("<pnml xmlns=\"http://www.pnml.org/version-2009/grammar/pnml\">{nets}</pnml>")
    };
    std::fs::write(&path, pnml(&(net("a") + &net("b")))).unwrap();
    let asked = without_server(&["draw", &path]).await;
    assert_eq!(asked.status.code(), Some(2));
    assert!(errors(&asked).contains("--net:\n  1: a\n  2: b\n"), "{}", errors(&asked));
    let svg = stdout(&without_server(&["draw", &path, "--net", "b"]).await);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let number = |tag: &str, attribute: &str| -> f64 {
        let mut found = document.descendants().filter(|of| of.tag_name().name() == tag);
        found.find_map(|of| of.attribute(attribute)?.parse().ok()).unwrap()
    };
    let node = |class: &str| {
        document.descendants().find(|of| of.attribute("class") == Some(class)).unwrap()
    };
    assert_eq!(node("place").attribute("data-id"), Some("bp"));
    let edge = |name: &str| -> f64 {
        let rect = node("transition").descendants().find(|of| of.tag_name().name() == "rect");
        rect.unwrap().attribute(name).unwrap().parse().unwrap()
    };
    let middle = (edge("x") + edge("width") / 2.0, edge("y") + edge("height") / 2.0);
    assert_eq!(
        (middle.0 - number("circle", "cx"), middle.1 - number("circle", "cy")),
        (200.0, 200.0)
    );
}

#[tokio::test]
async fn a_case_is_drawn_with_its_tokens_and_a_workflow_without() {
    let server = with_sample().await;
    start(&server, "order-1").await;
    fire(&server, "submit", "order-1").await;
    let case = text(&server, &["draw", "order-approval", "--case", "order-1"]).await;
    assert!(case.contains("Order approval: case order-1, running"), "{case}");
    for shown in ["draft: 0 tokens", "approval_pending: 1 token", "(hold): enabled"] {
        assert!(case.contains(shown), "{shown} is not in {case}");
    }
    assert!(!case.contains("(ship): enabled"));
    let workflow = json(&server, &["draw", "order-approval"]).await;
    assert_eq!(workflow["format"], "svg");
    assert!(workflow["drawing"].as_str().unwrap().contains("draft: 1 token"));

    let missing = on(&server, &["draw", "order-approval", "--case", "order-2"]).await;
    assert_eq!(missing.status.code(), Some(1));
    let missing = on(&server, &["draw", "nothing"]).await;
    assert!(errors(&missing).contains("workflow nothing does not exist"), "{}", errors(&missing));
}

#[tokio::test]
async fn a_file_that_is_no_net_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml").to_str().unwrap().to_owned();
    for (content, reason) in [
        ("id: a", "is missing"),
        ("<pnml/>", "a.yaml: line 1"),
        ("", "is empty"),
        ("id: a\nplaces: [{id: p}]\ninitial_place: q", "q is not among the places"),
    ] {
        std::fs::write(&path, content).unwrap();
        let refused = without_server(&["draw", &path]).await;
        assert_eq!(refused.status.code(), Some(1), "{content}");
        let said = errors(&refused);
        assert!(said.contains("a.yaml") && said.contains(reason), "{content}: {said}");
    }
    let absent = without_server(&["draw", "no-such-file.yaml"]).await;
    assert_eq!(absent.status.code(), Some(2));
}

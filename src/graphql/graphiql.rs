//! The page to explore the API with.

/// GraphiQL as an HTML page, for the endpoint at `path`, by HTTP and by websocket.
///
/// The page loads GraphiQL itself (1.6 MB, too much to keep a copy of) from a public content
/// delivery network, in fixed versions that the browser checks by their hashes. Where that is out
/// of reach the page says so, and names other ways.
pub fn graphiql(path: &str) -> String {
    include_str!("graphiql.html").replace("ENDPOINT", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_from_elsewhere_has_a_fixed_version_and_a_hash() {
        let page = graphiql("/graphql");
        let tags: Vec<_> = page.split('<').filter(|tag| tag.contains("https://")).collect();
        assert_eq!(tags.len(), 4, "{tags:?}");
        for tag in tags {
            let version = tag.split_once('@').map(|(_, rest)| rest.split_once('/').unwrap().0);
            assert_eq!(version.map(|version| version.split('.').count()), Some(3), "{tag}");
            assert!(tag.contains("integrity=\"sha384-") && tag.contains("crossorigin"), "{tag}");
        }
    }

    #[test]
    fn without_its_scripts_the_page_says_what_to_do_instead() {
        let page = graphiql("/graphql");
        assert!(page.contains("curl http://127.0.0.1:4000/graphql -H"));
        assert!(!page.contains("ENDPOINT"));
    }
}

//! The doors, which let requests in: by the name they were sent to, and by the page they come
//! from.
//!
//! A browser lets any page send requests to any server that the machine can reach, and a page
//! can make its own name mean a loopback address. So a server on loopback takes only requests
//! that were sent to a loopback name, and no server takes those of other servers' pages.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::http::refused;
use crate::graphql::Answer;

/// Time for which a browser may remember that a page of another server is let in.
const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(600);

/// Names and pages that are let in beside those that a server lets in by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doors {
    /// Names that a request may be sent to, without a port and in lower case.
    pub hosts: Vec<String>,
    /// Pages of other servers that may use this one, as in `https://example.com`.
    pub origins: Vec<String>,
}

/// The doors of a listener.
#[derive(Debug, Clone)]
struct Watch {
    doors: Doors,
    /// True if any name will do.
    any_host: bool,
}

impl Doors {
    /// A name that requests may be sent to.
    ///
    /// # Errors
    ///
    /// When it is no name of a host: with a scheme, a port or a path.
    pub fn host(text: &str) -> Result<String, String> {
        let name = text.trim().to_ascii_lowercase();
        let authority: Option<Authority> = bracketed(&name).parse().ok();
        match authority {
            Some(of) if of.port().is_none() && of.as_str() == of.host() => Ok(name),
            _ => Err("a host is a name or an address without port, as in petrel.example".into()),
        }
    }

    /// A page's origin that is let in.
    ///
    /// # Errors
    ///
    /// When it is none: without a scheme, or with a path.
    pub fn origin(text: &str) -> Result<String, String> {
        let wrong = "an origin is a scheme and a host, as in https://example.com:8443";
        let text = text.trim().trim_end_matches('/').to_ascii_lowercase();
        let uri: Uri = text.parse().map_err(|_| wrong.to_owned())?;
        let (scheme, authority) = (uri.scheme_str(), uri.authority());
        match (scheme, authority) {
            (Some("http" | "https"), Some(host))
                if text.ends_with(host.as_str()) && !host.as_str().contains('@') =>
            {
                Ok(text)
            }
            _ => Err(wrong.to_owned()),
        }
    }

    /// The router of a listener on this address, behind these doors.
    pub fn guard(&self, router: Router, address: SocketAddr) -> Router {
        let watch = self.clone().at(address);
        router.layer(self.cors()).layer(from_fn_with_state(watch, let_in))
    }

    /// The headers that tell browsers of the pages that are let in.
    fn cors(&self) -> CorsLayer {
        let origins = self.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
            .max_age(REMEMBERED)
    }

    /// The doors of a listener on this address.
    fn at(self, address: SocketAddr) -> Watch {
        let any_host = self.hosts.is_empty() && !address.ip().to_canonical().is_loopback();
        Watch { doors: self, any_host }
    }
}

/// An IPv6 address as it is in a URL.
fn bracketed(name: &str) -> String {
    match name.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => name.to_owned(),
    }
}

/// Lets a request in, or answers with the reason against it.
async fn let_in(State(watch): State<Watch>, request: Request, next: Next) -> Response {
    match watch.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, why)) => refused(status, &Answer::refused("FORBIDDEN", why)),
    }
}

type Refusal = (StatusCode, String);

impl Watch {
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = sent_to(headers)?;
        for authority in host.iter().chain(uri.authority()) {
            if !self.any_host && !self.knows(authority) {
                let name = authority.host();
                let why = format!(
                    "{name:?} is no name of this server; it takes loopback names, and those that \
                     are listed with --allow-host"
                );
                return Err((StatusCode::FORBIDDEN, why));
            }
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let own = host.as_ref().is_some_and(|host| is_of(&origin, host));
        if origins.next().is_none() && (own || self.doors.origins.contains(&origin)) {
            return Ok(());
        }
        let why = "this is for pages of this server, for programs that are no browser, and for \
                   pages whose origin is listed with --cors-origin";
        Err((StatusCode::FORBIDDEN, why.to_owned()))
    }

    fn knows(&self, authority: &Authority) -> bool {
        let name = authority.host().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let name = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let loopback = match name.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        };
        loopback || self.doors.hosts.iter().any(|host| host == name)
    }
}

/// The host that a request names. One without any is no browser's.
fn sent_to(headers: &HeaderMap) -> Result<Option<Authority>, Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else { return Ok(None) };
    let host = host.to_str().ok().filter(|host| !host.contains('@'));
    match (host.and_then(|host| host.parse().ok()), hosts.next()) {
        (Some(host), None) => Ok(Some(host)),
        _ => Err((StatusCode::BAD_REQUEST, "the header Host is malformed".to_owned())),
    }
}

/// Returns true if the page is one of this server: its proxy may speak TLS, this server does not.
fn is_of(origin: &str, host: &Authority) -> bool {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(address: &str, doors: &Doors, headers: &[(&str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        let watch = doors.clone().at(address.parse().unwrap());
        let checked = watch.check(&Uri::from_static("/graphql"), &map);
        checked.map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    const LOOPBACK: &str = "127.0.0.1:4000";

    #[test]
    fn a_loopback_listener_takes_loopback_names_and_those_that_are_listed() {
        let none = Doors::default();
        let listed = Doors { hosts: vec![Doors::host("Petrel.Example").unwrap()], ..none.clone() };
        for (host, plain, with_list) in [
            ("127.0.0.1:4000", 200, 200),
            ("127.9.9.9", 200, 200),
            ("[::1]:4000", 200, 200),
            ("[::ffff:127.0.0.1]", 200, 200),
            ("LOCALHOST:1", 200, 200),
            ("localhost.", 200, 200),
            ("app.localhost", 200, 200),
            ("petrel.example:80", 403, 200),
            ("PETREL.example.", 403, 200),
            ("evil.example", 403, 403),
            ("localhost.evil.example", 403, 403),
            ("127.0.0.1.evil.example", 403, 403),
            ("evillocalhost", 403, 403),
            ("10.0.0.1", 403, 403),
            ("0.0.0.0:4000", 403, 403),
            ("localhost@evil.example", 400, 400),
            ("", 400, 400),
            ("a b", 400, 400),
        ] {
            assert_eq!(status(LOOPBACK, &none, &[("host", host)]), plain, "{host}");
            assert_eq!(status("[::1]:1", &none, &[("host", host)]), plain, "{host}");
            assert_eq!(status(LOOPBACK, &listed, &[("host", host)]), with_list, "{host}");
        }
        assert_eq!(status(LOOPBACK, &none, &[]), 200);
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(status(LOOPBACK, &none, &twice), 400);
        assert_eq!(status("10.0.0.1:4000", &none, &[("host", "evil.example")]), 200);
        assert_eq!(status("10.0.0.1:4000", &listed, &[("host", "evil.example")]), 403);
    }

    #[test]
    fn an_address_in_the_request_line_is_a_name_too() {
        let watch = Doors::default().at(LOOPBACK.parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        let check = |uri: &'static str| watch.check(&Uri::from_static(uri), &headers);
        assert!(check("http://localhost/graphql").is_ok());
        assert!(check("http://evil.example/graphql").is_err());
    }

    #[test]
    fn pages_of_this_server_and_listed_ones_are_let_in() {
        let origins = vec![Doors::origin("https://App.example/").unwrap()];
        let doors = Doors { origins, ..Doors::default() };
        for (origin, expected) in [
            ("http://127.0.0.1:4000", 200),
            ("https://127.0.0.1:4000", 200),
            ("https://app.example", 200),
            ("http://app.example", 403),
            ("https://app.example:8443", 403),
            ("https://app.example.evil.example", 403),
            ("http://127.0.0.1:4001", 403),
            ("http://localhost:4000", 403),
            ("null", 403),
            ("", 403),
            ("file://127.0.0.1:4000", 403),
        ] {
            let headers = [("host", "127.0.0.1:4000"), ("origin", origin)];
            assert_eq!(status(LOOPBACK, &doors, &headers), expected, "{origin}");
        }
        let own = ("origin", "http://127.0.0.1:4000");
        assert_eq!(status(LOOPBACK, &doors, &[("host", "127.0.0.1:4000"), own, own]), 403);
        assert_eq!(status(LOOPBACK, &doors, &[own]), 403);
    }

    #[test]
    fn what_is_listed_must_be_a_host_or_an_origin() {
        assert_eq!(Doors::host("::1"), Ok("::1".to_owned()));
        for wrong in ["", "a:80", "http://a", "a/b", "a b", "a@b"] {
            assert!(Doors::host(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "*", "null", "example.com", "ftp://a", "https://a/b", "https://u@a"] {
            assert!(Doors::origin(wrong).is_err(), "{wrong}");
        }
    }
}

//! The media type of a GraphQL response: content negotiation (RFC 9110, 12.5.1) as GraphQL over
//! HTTP asks for it.

use axum::http::{HeaderMap, header};

/// The media type of a response. It decides the meaning of the status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/graphql-response+json`: the status tells an executed request from another.
    GraphqlResponse,
    /// `application/json`: the status tells only a well-formed request from a malformed one.
    Json,
}

impl MediaType {
    /// The value of `Content-Type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// The one that the client likes best; `None` if it accepts neither. Without a
    /// preference it is JSON, which every client reads.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut ranges = Vec::new();
        for value in headers.get_all(header::ACCEPT) {
            ranges.extend(value.to_str().ok()?.split(',').filter_map(Range::parse));
        }
        if !headers.contains_key(header::ACCEPT) {
            return Some(Self::Json);
        }
        let best = |essence| ranges.iter().filter_map(|range| range.matches(essence)).max();
        let response = best("application/graphql-response+json").filter(|fit| fit.quality > 0);
        let json = best("application/json").filter(|fit| fit.quality > 0);
        match (response, json) {
            (None, None) => None,
            (Some(_), None) => Some(Self::GraphqlResponse),
            (None, Some(_)) => Some(Self::Json),
            // Not asked for by its name: no preference. Named: the newer one says more.
            (Some(newer), Some(older)) if newer.quality == older.quality => {
                let named = newer.exactness == EXACT;
                Some(if named { Self::GraphqlResponse } else { Self::Json })
            }
            (Some(newer), Some(older)) if newer.quality > older.quality => {
                Some(Self::GraphqlResponse)
            }
            _ => Some(Self::Json),
        }
    }
}

/// Returns true if the body of a request is JSON: `application/json`, in UTF-8.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.and_then(Range::parse).is_some_and(|range| range.essence == "application/json")
}

const EXACT: u8 = 2;

/// The fit of a media range: the most exact range that fits counts, and its quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    exactness: u8,
    /// The quality, in thousandths.
    quality: u16,
}

/// A media range of an `Accept` header.
#[derive(Debug)]
struct Range {
    essence: String,
    quality: u16,
}

impl Range {
    /// A range; `None` if it asks for a charset that is not UTF-8, which is the only one here.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next()?.to_ascii_lowercase();
        let mut quality = 1000;
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "charset" if !value.eq_ignore_ascii_case("utf-8") => return None,
                "q" => {
                    let q: f32 = value.parse().ok()?;
                    quality = (q.clamp(0.0, 1.0) * 1000.0).round() as u16;
                }
                _ => {}
            }
        }
        Some(Self { essence, quality })
    }

    fn matches(&self, essence: &str) -> Option<Fit> {
        let exactness = match self.essence.as_str() {
            "*/*" => 0,
            "application/*" => 1,
            named if named == essence => EXACT,
            _ => return None,
        };
        Some(Fit { exactness, quality: self.quality })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &str) -> Option<MediaType> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        MediaType::of(&headers)
    }

    #[test]
    fn a_client_without_a_preference_gets_json() {
        assert_eq!(MediaType::of(&HeaderMap::new()), Some(MediaType::Json));
        for accept in ["*/*", "application/*", "text/html, */*;q=0.1", "application/json"] {
            assert_eq!(of(accept), Some(MediaType::Json), "{accept}");
        }
    }

    #[test]
    fn the_higher_quality_wins_and_the_newer_type_breaks_ties() {
        use MediaType::{GraphqlResponse, Json};
        let newer = "application/graphql-response+json";
        assert_eq!(of(newer), Some(GraphqlResponse));
        assert_eq!(of(&format!("application/json, {newer}")), Some(GraphqlResponse));
        assert_eq!(of(&format!("{newer};q=0.5, application/json;q=0.9")), Some(Json));
        assert_eq!(of(&format!("{newer}; charset=utf-8, */*;q=0.1")), Some(GraphqlResponse));
        assert_eq!(of(&format!("*/*, {newer};q=0")), Some(Json));
    }

    #[test]
    fn what_can_not_be_given_is_not_acceptable() {
        for accept in ["text/html", "application/json;q=0", "application/json; charset=utf-16"] {
            assert_eq!(of(accept), None, "{accept}");
        }
    }

    #[test]
    fn a_body_is_json_with_or_without_its_charset() {
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=latin1", false),
            ("text/plain", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(is_json(&headers), json, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}

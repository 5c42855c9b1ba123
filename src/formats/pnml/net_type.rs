//! The types of nets that files name.

/// The meaning of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum NetType {
    /// The standard's place/transition nets.
    Standard,
    /// A dialect's name for place/transition nets.
    Dialect,
    /// Tokens have colours or values.
    HighLevel,
    /// It is unknown.
    Unknown,
}

/// The type of place/transition nets in ISO/IEC 15909-2.
pub(in crate::formats) const STANDARD: &str = "http://www.pnml.org/version-2009/grammar/ptnet";

/// The type that ProM and PM4Py write.
pub(in crate::formats) const CORE: &str = "http://www.pnml.org/version-2009/grammar/pnmlcoremodel";

/// Parts that the types of tools for place/transition nets have in common, without the signs
/// between words: WoPeD's `ptNetb`, PIPE's and TAPAAL's `P/T net`, pnapi's `PTNet`, the core model
/// that ProM and PM4Py write, Yasper's EPNML.
const DIALECTS: [&str; 5] = ["ptnet", "pnmlcoremodel", "epnml", "placetransitionnet", "stnet"];

/// The same of types with coloured tokens, and of reference nets.
const HIGH_LEVEL: [&str; 8] =
    ["highlevel", "hlpn", "symmetricnet", "coloured", "colored", "cpnet", "cpntools", "refnet"];

/// The meaning of a type.
pub(in crate::formats) fn of(name: &str) -> NetType {
    if name == STANDARD {
        return NetType::Standard;
    }
    let plain: String =
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let has = |words: &[&str]| words.iter().any(|word| plain.contains(word));
    if has(&HIGH_LEVEL) {
        NetType::HighLevel
    } else if plain.is_empty() || has(&DIALECTS) {
        NetType::Dialect
    } else {
        NetType::Unknown
    }
}

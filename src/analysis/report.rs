//! The report of the check of a net, for people and for programs.

use std::fmt;

use serde::Serialize;

/// The verdict on a workflow net. It is sound if from every marking that can be reached a case can
/// still end, nothing is left over when it ends, and every transition can fire (van der Aalst,
/// *The Application of Petri Nets to Workflow Management*, 1998).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It is sound.
    Sound,
    /// It is not; the findings have the reasons.
    Unsound,
    /// It could not be decided: a limit was reached, or reset and inhibitor arcs may clear away
    /// the tokens that pile up; the findings have the reason.
    Unknown,
}

/// The method that decided a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// The shape of the net: it is no workflow net.
    Shape,
    /// The rank theorem for free-choice nets, in polynomial time.
    RankTheorem,
    /// A look at every marking that can be reached.
    StateSpace,
    /// The coverability of a marking that grows without end.
    Coverability,
    /// No method: the verdict is unknown.
    Undecided,
}

/// Number of tokens of a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The place.
    pub place: String,
    /// Number of tokens.
    #[serde(serialize_with = "super::count::count")]
    pub tokens: u64,
}

/// Something that keeps a net from being sound, or from being judged. Places and transitions
/// are named by their ids in the net; firing sequences begin with one token in the start place
/// and are as short as any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// It is no workflow net: one start, one end, everything on a way between them.
    NotAWorkflowNet {
        /// The fault, and the remedy.
        problem: String,
    },
    /// A transition that can never fire.
    DeadTransition {
        /// The transition.
        transition: String,
    },
    /// A case can come to a marking in which nothing can fire, and it has not ended.
    Deadlock {
        /// The marking.
        marking: Vec<Held>,
        /// The firing sequence that leads to it.
        path: Vec<String>,
    },
    /// A case can come to a marking from which it can go on, but never end.
    NoWayToEnd {
        /// The marking.
        marking: Vec<Held>,
        /// The firing sequence that leads to it.
        path: Vec<String>,
    },
    /// A case can reach the end while other tokens are still there.
    LeftOver {
        /// The marking.
        marking: Vec<Held>,
        /// The firing sequence that leads to it.
        path: Vec<String>,
    },
    /// A place can hold any number of tokens.
    Unbounded {
        /// The places that grow.
        places: Vec<String>,
        /// The firing sequence after which they can grow.
        path: Vec<String>,
        /// The firing sequence that can be repeated for ever, and adds tokens each time.
        pump: Vec<String>,
    },
    /// A reason in the net's structure, where no firing sequence that shows it was found
    /// within the limits.
    Structure {
        /// The reason.
        reason: String,
    },
    /// A limit was reached.
    Limit {
        /// The limit, and the remedy.
        reason: String,
    },
}

/// The answer to the question if something can go on for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ForEver {
    /// It can't.
    No,
    /// It can, unless conditions stop it.
    Yes,
    /// It could not be decided.
    Unknown,
}

/// Immediate transitions that can follow one another for ever, without a caller, a worker or time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endless {
    /// The answer.
    pub answer: ForEver,
    /// The transitions that can, or that may if it is unknown.
    pub transitions: Vec<String>,
}

/// Facts about the net that were found on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// Number of places.
    pub places: usize,
    /// Number of transitions, alternatives counted one by one.
    pub transitions: usize,
    /// Number of arcs.
    pub arcs: usize,
    /// True if transitions that share an input place share all of them, weights and other kinds of
    /// arcs aside.
    pub free_choice: bool,
    /// Number of markings that can be reached, where they were counted.
    pub states: Option<u64>,
    /// Number of markings found until a limit was reached, where not all could be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// The most tokens that a place can hold, where that is known.
    #[serde(serialize_with = "super::count::optional")]
    pub bound: Option<u64>,
    /// Tells if the net can run by itself for ever, where it has immediate transitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endless: Option<Endless>,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// The method that decided it.
    pub decided_by: Method,
    /// The reasons for any other verdict than sound; empty for a sound net.
    pub findings: Vec<Finding>,
    /// Notes for the reader of the verdict: assumptions, and parts left out.
    pub notes: Vec<String>,
    /// Facts that were found on the way.
    pub net: Facts,
}

impl Verdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Unsound => "unsound",
            Self::Unknown => "unknown",
        }
    }
}

impl Method {
    /// The method, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shape => "the shape of the net",
            Self::RankTheorem => "the rank theorem for free-choice nets",
            Self::StateSpace => "a look at every marking that can be reached",
            Self::Coverability => "the coverability of growing markings",
            Self::Undecided => "nothing",
        }
    }
}

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.transitions.join(", ");
        match self.answer {
            ForEver::No => f.write_str("runs by itself for ever: no"),
            ForEver::Yes => {
                write!(f, "runs by itself for ever: yes, unless conditions stop it ({ids})")
            }
            ForEver::Unknown => write!(f, "runs by itself for ever: unknown ({ids})"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAWorkflowNet { problem } => write!(f, "no workflow net: {problem}"),
            Self::DeadTransition { transition } => {
                write!(f, "transition {transition} can never fire")
            }
            Self::Deadlock { marking, path } => {
                write!(f, "deadlock: {} a case is stuck with {}", after(path), held(marking))
            }
            Self::NoWayToEnd { marking, path } => write!(
                f,
                "no way to end: {} a case has {} and can go on, but never reach the end",
                after(path),
                held(marking)
            ),
            Self::LeftOver { marking, path } => {
                write!(
                    f,
                    "left over: {} a case is at its end and has {}",
                    after(path),
                    held(marking)
                )
            }
            Self::Unbounded { places, path, pump } => write!(
                f,
                "unbounded: {} the sequence {} can be repeated, and each time adds to {}",
                after(path),
                sequence(pump),
                places.join(", ")
            ),
            Self::Structure { reason } | Self::Limit { reason } => f.write_str(reason),
        }
    }
}

/// The most transitions of a firing sequence that are written in a sentence; programs get all.
const SHOWN: usize = 40;

/// A firing sequence in a sentence; of a long one the beginning and the end.
pub(crate) fn sequence(path: &[String]) -> String {
    match path.len() {
        0..=SHOWN => path.join(", "),
        len => {
            let (first, last) = (&path[..SHOWN / 2], &path[len - SHOWN / 2..]);
            let left_out = len - SHOWN;
            format!("{}, … {left_out} more …, {}", first.join(", "), last.join(", "))
        }
    }
}

fn after(path: &[String]) -> String {
    match path {
        [] => "from the start".to_owned(),
        path => format!("after {}", sequence(path)),
    }
}

/// A marking in a sentence.
pub(super) fn held(marking: &[Held]) -> String {
    let token = |held: &Held| match held.tokens {
        1 => format!("a token in {}", held.place),
        tokens => format!("{tokens} tokens in {}", held.place),
    };
    match marking {
        [] => "no token at all".to_owned(),
        marking => marking.iter().map(token).collect::<Vec<_>>().join(", "),
    }
}

//! The firing rule. Pure: state and request in, record out; no I/O and no randomness,
//! and a clock only to give up.

mod apply;
mod binding;
mod blocker;
mod budget;
mod carried;
mod cascade;
mod draft;
mod explain;
mod fire;
mod fit;
mod guard;
mod incidents;
mod merge;
mod net;
mod next;
mod quarantine;
mod record;
mod search;
mod timing;
mod waiting;
mod work;

#[cfg(test)]
mod properties;

#[cfg(feature = "analysis")]
pub(crate) use apply::case_after;
pub use apply::{
    Contradiction, Reckoned, apply, history_bases, produced, reckon, restore, take_produced,
};
pub use binding::Binding;
pub use blocker::Blocker;
pub use budget::{Budget, MAX_STEPS, RanOut};
pub use cascade::{Bounds, NotMade};
#[cfg(feature = "analysis")]
pub(crate) use draft::status_after;
pub use explain::{
    Explanation, ModeExplanation, NotEnabled, TransitionExplanation, available, explain,
};
#[cfg(feature = "analysis")]
pub(crate) use fire::fire_alone;
pub use fire::{Firing, Refusal, fire};
pub use fit::{Excess, Limits, fit, fit_history};
pub use guard::{GuardFailure, Guards, NotJson, OutputError, OutputExpression, Scope};
pub use merge::merge_patch;
pub use net::{Mode, Net, NetPlace, NetTransition};
pub use quarantine::{Remains, quarantine};
pub use record::{
    Act, TokenSeed, add_token, change_status, create_case, elapse, resume, retry, update_data,
};
pub use waiting::{MOST_ITEMS, MOST_TIMERS};
pub(crate) use work::Policy;
pub use work::{
    Answered, Begin, Begun, Claim, HandOver, NetActivity, NetOutcome, PutOff, Refused, begin,
    complete, fail, give_back, input_of, wrong_code,
};

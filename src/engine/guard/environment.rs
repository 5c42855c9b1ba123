//! The CEL environment that all expressions share.

use std::sync::{Arc, LazyLock};

use cel::{
    Env, ExecutionError,
    common::{
        functions::Function,
        types::{DYN_TYPE, Kind},
        value::CowVal,
    },
};

use super::value::{nodes, text, weight, whole};
use crate::engine::Budget;

/// Makes its first argument whole, and counts the values that it copies; see [`whole`].
pub(super) const WHOLE: &str = "@whole";

/// Returns its first argument, the range of a comprehension, and counts its elements.
pub(super) const EACH: &str = "@each";

/// Returns its first argument, a value just put together, and counts the values copied for it.
pub(super) const MADE: &str = "@made";

/// Returns its first argument, a pattern to be matched, and counts [`PATTERN_STEPS`].
pub(super) const PATTERN: &str = "@pattern";

/// Returns its first argument, a pattern that is only known now, and counts [`DYNAMIC_STEPS`].
pub(super) const DYNAMIC: &str = "@dynamic";

/// Returns its first argument, a value to search, and counts all values in it.
pub(super) const SEARCHED: &str = "@searched";

/// Returns its first argument, a text to be gone through, and counts its length.
pub(super) const TEXT: &str = "@text";

/// Steps for one pattern match. The interpreter compiles the pattern each time, and that alone
/// costs ten times as much as a round of a comprehension.
const PATTERN_STEPS: u64 = 100;

/// Steps for one match of a pattern that no check has seen. A pattern of a few bytes may ask
/// for ten megabytes when it is compiled.
const DYNAMIC_STEPS: u64 = 10_000;

/// Numbers of compared values, and of bytes of text gone through, that cost one step.
const VALUES_A_STEP: u64 = 16;
const BYTES_A_STEP: u64 = 512;

/// The standard library, and the functions above that only a rewrite can call: no expression
/// can spell a name with an `@`.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let hidden: [(&str, Function); 7] = [
        (WHOLE, make_whole),
        (EACH, each),
        (MADE, made),
        (PATTERN, pattern),
        (DYNAMIC, dynamic),
        (SEARCHED, searched),
        (TEXT, gone_through),
    ];
    for (name, function) in hidden {
        env.add_overload(name, name, vec![DYN_TYPE, DYN_TYPE], function)
            .expect("the standard library declares no name with an @ that we use");
    }
    Arc::new(env)
});

fn make_whole<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let budget = args.pop().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    let value = args.pop().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    let budget = budget.downcast_ref::<Budget>().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    match value.get_type().kind() {
        Kind::List | Kind::Map => {
            budget.charge(1 + nodes(value.as_ref()) / VALUES_A_STEP)?;
            Ok(CowVal::Owned(whole(value.as_ref())))
        }
        _ => {
            // Two equal texts are gone through.
            budget.charge(text(value.as_ref()) / BYTES_A_STEP)?;
            Ok(value)
        }
    }
}

fn each<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    charge(args, |value| {
        value.as_sizer().map_or(1, |sizer| u64::try_from(*sizer.size().inner()).unwrap_or(0))
    })
}

fn made<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    charge(args, |value| weight(value.as_ref()))
}

fn pattern<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    charge(args, |_| PATTERN_STEPS)
}

fn dynamic<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    charge(args, |_| DYNAMIC_STEPS)
}

fn searched<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    charge(args, |value| 1 + nodes(value.as_ref()) / VALUES_A_STEP)
}

fn gone_through<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    charge(args, |value| text(value.as_ref()) / BYTES_A_STEP)
}

fn charge<'b, 'v>(
    mut args: Vec<CowVal<'b, 'v>>,
    steps: impl Fn(&CowVal<'b, 'v>) -> u64,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let budget = args.pop().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    let value = args.pop().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    let budget = budget.downcast_ref::<Budget>().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    budget.charge(steps(&value))?;
    Ok(value)
}

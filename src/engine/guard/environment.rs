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

use super::{
    meter::Budget,
    value::{nodes, text, weight, whole},
};

/// Makes its first argument whole, and counts what it copies; see [`whole`].
pub(super) const WHOLE: &str = "@whole";

/// Gives its first argument, what a comprehension goes over, and counts its elements.
pub(super) const EACH: &str = "@each";

/// Gives its first argument, a value just put together, and counts what was copied for it.
pub(super) const MADE: &str = "@made";

/// Gives its first argument, a pattern to be matched, and counts [`PATTERN_STEPS`].
pub(super) const PATTERN: &str = "@pattern";

/// Gives its first argument, a pattern that is only known now, and counts [`DYNAMIC_STEPS`].
pub(super) const DYNAMIC: &str = "@dynamic";

/// Gives its first argument, in which something is looked for, and counts all that it has.
pub(super) const SEARCHED: &str = "@searched";

/// Gives its first argument, a text that is gone through, and counts its length.
pub(super) const TEXT: &str = "@text";

/// How many steps a pattern match is. The interpreter compiles the pattern each time, and that
/// alone costs ten times as much as a round of a comprehension.
const PATTERN_STEPS: u64 = 100;

/// How many steps a match of a pattern is that no check has seen: one of a few bytes may ask for
/// ten megabytes when it is compiled.
const DYNAMIC_STEPS: u64 = 10_000;

/// How many values that are compared, or bytes of text that are gone through, are one step.
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

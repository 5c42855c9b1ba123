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
    meter::Meter,
    value::{weight, whole},
};

/// Makes its argument whole; see [`whole`].
pub(super) const WHOLE: &str = "@whole";

/// Gives its first argument, what a comprehension goes over, and counts its elements.
pub(super) const EACH: &str = "@each";

/// Gives its first argument, a value just put together, and counts what was copied for it.
pub(super) const MADE: &str = "@made";

/// Gives its first argument, a pattern to be matched, and counts [`PATTERN_STEPS`].
pub(super) const PATTERN: &str = "@pattern";

/// How many steps a pattern match is. The interpreter compiles the pattern each time, and that
/// alone costs ten times as much as a round of a comprehension.
const PATTERN_STEPS: u64 = 100;

/// The standard library, and the functions above that only a rewrite can call: no expression
/// can spell a name with an `@`.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let hidden: [(&str, usize, Function); 4] =
        [(WHOLE, 1, make_whole), (EACH, 2, each), (MADE, 2, made), (PATTERN, 2, pattern)];
    for (name, arguments, function) in hidden {
        env.add_overload(name, name, (0..arguments).map(|_| DYN_TYPE).collect(), function)
            .expect("the standard library declares no name with an @ that we use");
    }
    Arc::new(env)
});

fn make_whole<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.pop().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    match value.get_type().kind() {
        Kind::List | Kind::Map => Ok(CowVal::Owned(whole(value.as_ref()))),
        _ => Ok(value),
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

fn charge<'b, 'v>(
    mut args: Vec<CowVal<'b, 'v>>,
    steps: impl Fn(&CowVal<'b, 'v>) -> u64,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let meter = args.pop().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    let value = args.pop().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    if let Some(meter) = meter.downcast_ref::<Meter>() {
        meter.charge(steps(&value))?;
    }
    Ok(value)
}

//! The promise *once*: an id names one request, whoever repeats it, through whatever process, at
//! any time later.

mod fixtures;
mod ids;
mod long;
mod mixed;
mod older;
mod rewound;

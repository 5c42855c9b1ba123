//! The promise *once*: an id names one request, repeated by anyone, through any process, at
//! any time later.

mod fixtures;
mod ids;
mod long;
mod mixed;
mod older;
mod rewound;

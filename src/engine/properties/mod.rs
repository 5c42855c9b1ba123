//! Properties of any net, any marking and any sequence of firings.

mod agreement;
mod cascades;
mod explanations;
mod firings;
mod fixture;
mod timer_examples;
mod timers;
mod work;
mod work_examples;
mod work_failures;
mod work_fixture;

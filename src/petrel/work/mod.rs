//! Work items: begun, answered and given back, one record each.

mod answer;
mod begin;
mod offer;
mod refused;
mod requests;
mod standing;

pub(crate) use offer::is_of;
pub use refused::WorkRefused;
use requests::Answer;
pub use requests::{ItemActivity, StartWork, Started, WorkId};
pub use standing::Standing;

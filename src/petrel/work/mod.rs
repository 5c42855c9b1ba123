//! Work items: begun, answered and given back, one record each.

mod answer;
mod begin;
mod offer;
mod over;
mod refused;
mod requests;
mod served;
mod standing;

pub(crate) use offer::is_of;
use requests::Answer;
pub use requests::{ItemActivity, StartWork, Started};
pub use standing::Standing;

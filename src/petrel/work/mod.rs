//! Work items: begun, answered and given back, one record each.

mod answer;
mod begin;
mod incident;
mod offer;
mod over;
mod queues;
mod refused;
mod requests;
mod served;
mod standing;
mod told;
mod workers;

pub(crate) use offer::is_of;
pub use queues::QueueChange;
use requests::Answer;
pub use requests::{ItemActivity, StartWork, Started};
pub use standing::Standing;

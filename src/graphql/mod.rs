//! The engine as GraphQL: the schema, and [`Api`], which executes it for a server that knows
//! nothing of GraphQL's insides.

mod access;
mod api;
mod connection;
mod executor;
mod global;
mod graphiql;
mod input;
mod limits;
mod mutation;
mod query;
mod query_work;
mod request;
mod response;
mod scalars;
mod schema;
mod socket;
mod subscription;
mod types;
mod work;

pub use access::Caller;
pub use api::Api;
pub use executor::ApiExecutor;
pub use graphiql::graphiql;
pub use limits::Limits;
pub use request::kind::OperationKind;
pub use request::operation::{Operation, Parameters};
pub use response::answer::Answer;
pub use schema::sdl;
pub use socket::{Frame, Greeter, Socket, Subprotocol, bearer};
pub use work::Charge;

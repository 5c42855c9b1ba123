//! The engine as GraphQL: the schema, and [`Api`], which executes it for a server that knows
//! nothing of GraphQL's insides.

mod access;
mod admission;
mod answer;
mod api;
mod arguments;
mod completion;
mod connection;
mod cost;
mod error;
mod global;
mod graphiql;
mod input;
mod limits;
mod mutation;
mod operation;
mod plain;
mod query;
mod scalars;
mod schema;
mod shape;
mod socket;
mod spread;
mod subscription;
mod twice;
mod types;
mod variables;
mod work;

pub use access::Caller;
pub use answer::Answer;
pub use api::Api;
pub use graphiql::graphiql;
pub use limits::Limits;
pub use operation::{Operation, OperationKind, Parameters};
pub use schema::sdl;
pub use socket::{Frame, Greeter, SUBPROTOCOL, Socket, bearer};
pub use work::Charge;

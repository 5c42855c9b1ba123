//! Rights of callers.

use std::sync::Arc;

use async_graphql::{Context, ErrorExtensions, Guard, Result};

use crate::graphql::{
    Answer, OperationKind,
    response::code::{FORBIDDEN, UNAUTHENTICATED},
};
use crate::models::{Principal, Role};

/// The sender of an operation.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Anybody who can reach the listener, where no tokens are asked for. May do everything.
    Anybody,
    /// Somebody who has shown no token, where tokens are asked for. May do nothing.
    Stranger,
    /// Somebody whose token is known.
    Known(Arc<Principal>),
}

impl Caller {
    /// The name that changes are noted under, whatever the request says.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Known(principal) => Some(&principal.name),
            Self::Anybody | Self::Stranger => None,
        }
    }

    /// Checks that it may send operations of this kind at all; the error is the answer to give.
    pub fn check(&self, kind: OperationKind) -> Result<(), Answer> {
        self.needs(match kind {
            OperationKind::Query | OperationKind::Subscription => Role::Reader,
            OperationKind::Mutation => Role::Operator,
        })
        .map_err(|(code, why)| Answer::refused(code, why))
    }

    fn needs(&self, role: Role) -> Result<(), (&'static str, String)> {
        match self {
            Self::Anybody => Ok(()),
            Self::Stranger => {
                let why = "this server wants a token that it knows, as in `Authorization: Bearer \
                           <token>`, or in the payload of `connection_init`";
                Err((UNAUTHENTICATED, why.to_owned()))
            }
            Self::Known(principal) if principal.role >= role => Ok(()),
            Self::Known(principal) => {
                let Principal { name, role: theirs } = &**principal;
                Err((FORBIDDEN, format!("this needs the role {role}, and {name} is {theirs}")))
            }
        }
    }
}

/// The role that a field needs beyond that of its operation.
pub(super) struct Needs(pub Role);

impl Guard for Needs {
    async fn check(&self, ctx: &Context<'_>) -> Result<()> {
        // A request without a caller does not come from `Api`, which gives every one its own.
        let caller = ctx.data_opt::<Caller>().unwrap_or(&Caller::Stranger);
        caller.needs(self.0).map_err(|(code, why)| {
            async_graphql::Error::new(why).extend_with(|_, values| {
                values.set("code", code);
                values.set("retryable", false);
            })
        })
    }
}

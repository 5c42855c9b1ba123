//! Answers of queries, mutations and subscriptions: the models, as GraphQL objects.

mod activity;
mod analysis;
mod case;
mod case_page;
mod event;
mod explanation;
mod firing;
mod health;
mod incident;
mod marking;
mod nats_token;
mod node;
mod open;
mod queue;
mod timer;
mod token;
mod transition;
mod work_item;
mod workflow;

pub(super) use analysis::WorkflowAnalysis;
pub(super) use case::{Case, CaseStatus, history};
pub(super) use case_page::CaseConnection;
pub(super) use event::CaseEvent;
pub(super) use explanation::Explanation;
pub(super) use firing::Firing;
pub(super) use health::Health;
pub(super) use marking::{Marking, MarkingEntry};
pub(super) use nats_token::NatsToken;
pub(super) use node::Node;
pub(super) use open::{IncidentEvent, OpenIncident, OpenWorkItem, WorkItemEvent};
pub(super) use queue::{Queue, Worker};
pub(super) use timer::OnResume;
use timer::Timer;
pub(super) use token::{Token, TransitionEvent};
pub(super) use transition::{ArcKind, Place, PlaceKind, Transition};
use work_item::WorkItem;
pub(super) use workflow::{Workflow, places, transitions};

use async_graphql::Context;

use crate::petrel::Petrel;

/// The cases that a schema was made over.
pub(super) fn petrel<'a>(ctx: &Context<'a>) -> &'a Petrel {
    // Invariant: every schema that executes is made by `schema::over`, which puts them there.
    ctx.data_unchecked()
}

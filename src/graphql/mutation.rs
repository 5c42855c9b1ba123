//! Mutations.

use async_graphql::{Context, Object, Result};

use crate::graphql::{
    access::Needs,
    input::{
        CaseChangeInput, CompleteIncidentInput, CompleteWorkInput, CreateTokenInput,
        CreateWorkflowInput, CreateWorkflowInstanceInput, FailWorkInput, FireCaseInput,
        FireTransitionInput, NewTokenRequest, QuarantineCaseInput, RetryIncidentInput,
        SetQueueInput, TransitionTokenWithNatsInput, UpdateTokenDataInput,
    },
    request::arguments::in_words_of,
    types::{Case, Firing, NatsToken, OnResume, Queue, Token, Workflow, petrel},
};
use crate::{
    models::Role,
    petrel::{Changed, Error, Fire},
};

/// The root of mutations.
pub(super) struct Mutation;

/// Changes. Each is stored whole or not at all. After an error with `retryable: true` it may have
/// been stored or not, and the same `firingId` makes it safe to repeat. Several in a request are
/// made one after the other, and each reports for itself: one that failed is null, with an error
/// at its name, and the others have their answers.
#[Object]
impl Mutation {
    /// Checks and stores a definition. The same definition again makes no new version. The error
    /// has all faults in its `problems`.
    #[graphql(guard = "Needs(Role::Admin)")]
    async fn create_workflow(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The definition.")] input: CreateWorkflowInput,
    ) -> Result<Option<Workflow>> {
        let (definition, expected) = input.into_request()?;
        let (stored, repeated) = petrel(ctx).store_workflow(definition, expected).await?;
        Ok(Some(Workflow::answering(stored, repeated)))
    }

    /// Changes settings of a queue, for all its workers: pauses it, resumes it, or sets its limits.
    #[graphql(guard = "Needs(Role::Admin)")]
    async fn set_queue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change.")] input: SetQueueInput,
    ) -> Result<Option<Queue>> {
        let (queue, change) = input.into_request()?;
        let changed = Box::pin(petrel(ctx).change_queue(&queue, change)).await;
        let most = "input.mostInFlight";
        let names = [("ack_wait", "input.ackWaitMs"), ("most_in_flight.high", most)];
        let changed = changed.map_err(|error| in_words_of(error, &names))?;
        Ok(Some(Queue::from(&changed)))
    }

    /// Makes a token, in a new case or in a named one.
    async fn create_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] input: CreateTokenInput,
    ) -> Result<Option<Token>> {
        let changed = match input.into_request()? {
            NewTokenRequest::Case(request) => petrel(ctx).create_case(request).await,
            NewTokenRequest::Token(request) => petrel(ctx).create_token(request).await,
        };
        let changed = changed.map_err(|error| {
            in_words_of(error, &[("place", "input.initialPlace"), DATA, METADATA])
        })?;
        Ok(Some(Token::of(&changed, None)?))
    }

    /// Begins a case with a token in the initial place, and answers with that token.
    async fn create_workflow_instance(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The case.")] input: CreateWorkflowInstanceInput,
    ) -> Result<Option<Token>> {
        let names = [("data", "input.initialData"), METADATA];
        let changed = petrel(ctx).create_case(input.into_request()?).await;
        let changed = changed.map_err(|error| in_words_of(error, &names))?;
        Ok(Some(Token::of(&changed, None)?))
    }

    /// Fires a transition that takes a given token. `NOT_ENABLED` has the reasons in `blockers`.
    async fn fire_transition(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The firing.")] input: FireTransitionInput,
    ) -> Result<Option<Firing>> {
        Ok(Some(fire(ctx, input.into_request()?).await?))
    }

    /// Fires a transition of a case, with the oldest tokens. `NOT_ENABLED` has the reasons in
    /// `blockers`.
    async fn fire_case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The firing.")] input: FireCaseInput,
    ) -> Result<Option<Firing>> {
        Ok(Some(fire(ctx, input.into_request()?).await?))
    }

    /// Moves a token to a place by a transition that leads there, and answers with the token
    /// in its new place and its NATS metadata.
    async fn transition_token_with_nats(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The move.")] input: TransitionTokenWithNatsInput,
    ) -> Result<Option<NatsToken>> {
        let request = input.into_request()?;
        let place = request.to_place.clone();
        let changed = petrel(ctx).fire(request).await.map_err(of_firing)?;
        Ok(Some(Token::of(&changed, place.as_ref())?.into()))
    }

    /// Merges a patch into a token's data.
    async fn update_token_data(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token and the patch.")] input: UpdateTokenDataInput,
    ) -> Result<Option<Token>> {
        let (workflow, token, patch, change) = input.into_request()?;
        let names = [("patch", "input.patch"), METADATA];
        let changed = petrel(ctx).update_token_data(workflow.as_ref(), &token, patch, change).await;
        let changed = changed.map_err(|error| in_words_of(error, &names))?;
        Ok(Some(Token::of(&changed, None)?))
    }

    /// Pauses a case: nothing fires until it is resumed.
    async fn pause_case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The case.")] input: CaseChangeInput,
    ) -> Result<Option<Case>> {
        let (workflow, case, change) = input.into_request()?;
        changed(petrel(ctx).pause(&workflow, &case, change).await)
    }

    /// Resumes a paused case.
    async fn resume_case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The case.")] input: CaseChangeInput,
        #[graphql(desc = "The way on of its timers.", default_with = "OnResume::CatchUp")]
        timers: OnResume,
    ) -> Result<Option<Case>> {
        let (workflow, case, change) = input.into_request()?;
        changed(petrel(ctx).resume_with(&workflow, &case, timers.into(), change).await)
    }

    /// Cancels a case: its tokens are removed, and it can't be resumed.
    async fn cancel_case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The case.")] input: CaseChangeInput,
    ) -> Result<Option<Case>> {
        let (workflow, case, change) = input.into_request()?;
        changed(petrel(ctx).cancel(&workflow, &case, change).await)
    }

    /// Ends an open incident and tries again what it stopped, if need be with corrected data of tokens. If that
    /// fails for the same cause, the case has a new incident afterwards.
    async fn retry_incident(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The incident.")] input: RetryIncidentInput,
    ) -> Result<Option<Case>> {
        let (workflow, case, incident, corrections, change) = input.into_request()?;
        let done = petrel(ctx);
        let done = done.retry_incident_with(&workflow, &case, incident, corrections, change).await;
        let names = [
            ("incident", "input.incident"),
            ("corrections", "input.corrections"),
            ("patch", "input.corrections.patch"),
        ];
        changed(done.map_err(|error| in_words_of(error, &names)))
    }

    /// Ends a work item with its result: its activity fires, and what follows it. An error if the item is
    /// over, or another claim is the present one.
    async fn complete_work(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The item, and its result.")] input: CompleteWorkInput,
    ) -> Result<Option<Case>> {
        let ((work, claim), answer, change) = input.into_request()?;
        let done = petrel(ctx).complete_work(&work, claim, answer, change).await;
        let words = [("outcome", "input.outcome"), ("result", "input.result")];
        changed(done.map_err(|error| in_words_of(error, &words)))
    }

    /// Ends the work item that an incident stops with a person's result: its activity fires, and the incident
    /// is over. An error if it is not open, or is about no work item.
    async fn complete_incident(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The incident, and the result.")] input: CompleteIncidentInput,
    ) -> Result<Option<Case>> {
        let ((workflow, case), incident, answer, change) = input.into_request()?;
        let petrel = petrel(ctx);
        let done = petrel.complete_incident(&workflow, &case, incident, answer, change);
        let words = [
            ("incident", "input.incident"),
            ("outcome", "input.outcome"),
            ("result", "input.result"),
        ];
        changed(Box::pin(done).await.map_err(|error| in_words_of(error, &words)))
    }

    /// Ends an attempt at a work item as failed. Its activity says what follows: an outcome, another
    /// attempt, or an incident.
    async fn fail_work(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The item, and its failure.")] input: FailWorkInput,
    ) -> Result<Option<Case>> {
        let ((work, claim), failure, change) = input.into_request()?;
        let done = petrel(ctx).fail_work(&work, claim, failure, change).await;
        changed(done.map_err(|error| in_words_of(error, &[("code", "input.code")])))
    }

    /// Puts aside the messages of a case's log that can't be read or do not follow. The case goes
    /// on as its last good record says; one without any is cancelled. An error if nothing is
    /// wrong, if a newer version wrote an unreadable one, or if acknowledged changes follow.
    #[graphql(guard = "Needs(Role::Admin)")]
    async fn quarantine_case(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The case.")] input: QuarantineCaseInput,
    ) -> Result<Option<Case>> {
        let (workflow, case, following, change) = input.into_request()?;
        let done = petrel(ctx).quarantine(&workflow, &case, following, change).await;
        changed(done.map_err(|error| in_words_of(error, &[FOLLOWING])))
    }
}

/// The core's names of arguments that most mutations have, and the schema's.
const DATA: (&str, &str) = ("data", "input.data");
const FOLLOWING: (&str, &str) = ("with following", "input.withFollowing");
const METADATA: (&str, &str) = ("metadata", "input.metadata");

/// The case after a change of it as a whole.
fn changed(changed: Result<Changed, Error>) -> Result<Option<Case>> {
    Ok(Some(Case::of(&changed.map_err(|error| in_words_of(error, &[METADATA]))?)))
}

async fn fire(ctx: &Context<'_>, request: Fire) -> Result<Firing, Error> {
    let transition = request.transition.clone();
    let changed = petrel(ctx).fire(request).await.map_err(of_firing)?;
    Ok(Firing::new(changed, transition))
}

/// The error of a firing, in the words of the schema.
fn of_firing(error: Error) -> Error {
    const NAMES: [(&str, &str); 5] = [
        DATA,
        METADATA,
        ("place", "input.newPlace"),
        ("tokens", "input.tokenIds"),
        ("workflow", "input.workflowId"),
    ];
    in_words_of(error, &NAMES)
}

//! The reads and changes that are measured at each size.

use std::time::{Duration, Instant};

use futures::StreamExt;
use stormpetrel::{
    models::{CaseId, CaseStatus, LogPosition, LogSequence, PlaceId, TokenId},
    storage::{Consistency, Cursor, LogScope, Page, TokenScope},
};

use super::{Error, cases::Site, median, raw};

/// The most often that a row is measured at each size.
const TURNS: usize = 200;

/// No row goes on for longer than this once it has had its least turns.
const AT_MOST: Duration = Duration::from_secs(12);
const AT_LEAST: usize = 3;

const TEN: Page = Page { first: 10, after: None };

/// Operation that is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Row {
    RawToken,
    RawRecord,
    RawHistory,
    RawNext,
    RawPage,
    RawPageLater,
    Token,
    TokenStrong,
    TokenFresh,
    Tokens,
    TokensLater,
    InPlace,
    InPlaceLater,
    InPlaceEnd,
    InFew,
    OfCase,
    Case,
    Explain,
    Available,
    History,
    HistoryLater,
    Workflows,
    Health,
    Cases,
    CasesByLog,
    CasesLater,
    Paused,
    Completed,
    UnknownToken,
    UnknownCase,
    UnknownWorkflow,
    First,
    FirstWithout,
    FirstStarted,
    Create,
    Watch,
    WatchCase,
}

impl Row {
    pub(crate) const ALL: [Self; 37] = [
        Self::RawToken,
        Self::RawRecord,
        Self::RawHistory,
        Self::RawNext,
        Self::RawPage,
        Self::RawPageLater,
        Self::Token,
        Self::TokenStrong,
        Self::TokenFresh,
        Self::Tokens,
        Self::TokensLater,
        Self::InPlace,
        Self::InPlaceLater,
        Self::InPlaceEnd,
        Self::InFew,
        Self::OfCase,
        Self::Case,
        Self::Explain,
        Self::Available,
        Self::History,
        Self::HistoryLater,
        Self::Workflows,
        Self::Health,
        Self::Cases,
        Self::CasesByLog,
        Self::CasesLater,
        Self::Paused,
        Self::Completed,
        Self::UnknownToken,
        Self::UnknownCase,
        Self::UnknownWorkflow,
        Self::First,
        Self::FirstWithout,
        Self::FirstStarted,
        Self::Create,
        Self::Watch,
        Self::WatchCase,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RawToken => "no engine: the message of a token",
            Self::RawRecord => "no engine: the last record of a case",
            Self::RawHistory => "no engine: the records of a case, at once",
            Self::RawNext => "no engine: the next token, from the middle",
            Self::RawPage => "no engine: a page, first 10",
            Self::RawPageLater => "no engine: a page, 10 from the middle",
            Self::Token => "token by id",
            Self::TokenStrong => "token by id, strong",
            Self::TokenFresh => "token by id, by a process that just started",
            Self::Tokens => "tokens of a workflow, first 10",
            Self::TokensLater => "tokens of a workflow, 10 from the middle",
            Self::InPlace => "tokens in a place of many, first 10",
            Self::InPlaceLater => "tokens in a place of many, 10 from the middle",
            Self::InPlaceEnd => "tokens in a place of many, the last one",
            Self::InFew => "tokens in a place of 10",
            Self::OfCase => "tokens of a case",
            Self::Case => "case",
            Self::Explain => "explain",
            Self::Available => "transitions that a token can take",
            Self::History => "history of a case",
            Self::HistoryLater => "history of a case, from its middle",
            Self::Workflows => "workflows",
            Self::Health => "health",
            Self::Cases => "cases, first 10",
            Self::CasesByLog => "cases, first 10, before there is an index",
            Self::CasesLater => "cases, 10 from the middle",
            Self::Paused => "cases by status, none there",
            Self::Completed => "cases by status, first 10",
            Self::UnknownToken => "unknown token of an unknown workflow",
            Self::UnknownCase => "unknown case",
            Self::UnknownWorkflow => "unknown workflow",
            Self::First => "first change of a case, firing id",
            Self::FirstWithout => "first change of a case, no firing id",
            Self::FirstStarted => "first change after a start, firing id",
            Self::Create => "create a case",
            Self::Watch => "watch a workflow from its last ten records",
            Self::WatchCase => "watch a case from its first record",
        }
    }

    /// Does it once and returns the time that it took.
    async fn once(self, site: &Site, turn: usize) -> Result<Duration, Error> {
        let (petrel, workflow, number) = (&site.petrel, &site.workflow, site.some(turn));
        let (case, token) = (site.case(number), site.token(number));
        let scope = |place: Option<&str>, case: Option<CaseId>| TokenScope {
            workflow: workflow.clone(),
            place: place.map(|place| PlaceId::new(place).unwrap()),
            case,
        };
        let begun = Instant::now();
        match self {
            Self::Token => drop(petrel.token(None, &token, Consistency::Eventual).await?),
            Self::TokenStrong => drop(petrel.token(None, &token, Consistency::Strong).await?),
            Self::TokenFresh => {
                drop(site.fresh().token(None, &token, Consistency::Eventual).await?)
            }
            Self::Tokens => full(petrel.tokens(&scope(None, None), TEN).await?.items.len())?,
            Self::TokensLater => {
                let page = site.middle_of_the_view();
                full(petrel.tokens(&scope(None, None), page).await?.items.len())?
            }
            Self::InPlace => full(petrel.tokens(&scope(Some("a"), None), TEN).await?.items.len())?,
            Self::InPlaceLater => {
                let page = site.middle_of_the_view();
                full(petrel.tokens(&scope(Some("a"), None), page).await?.items.len())?
            }
            Self::InFew => full(petrel.tokens(&scope(Some("few"), None), TEN).await?.items.len())?,
            Self::OfCase => drop(petrel.tokens(&scope(None, Some(case)), TEN).await?),
            Self::Case => drop(petrel.case(workflow, &case).await?),
            Self::Explain => drop(petrel.explain(workflow, &case).await?),
            Self::Available => drop(petrel.available_transitions(None, &token).await?),
            Self::History => {
                let page = Page { first: 100, after: None };
                drop(petrel.history(workflow, &case, page).await?)
            }
            Self::Workflows => drop(petrel.workflows(100, None).await?),
            Self::Health => drop(petrel.health().await),
            Self::Cases => full(petrel.cases(workflow, None, TEN).await?.cases.items.len())?,
            Self::CasesByLog => {
                full(site.fresh().cases(workflow, None, TEN).await?.cases.items.len())?
            }
            Self::CasesLater => {
                let after = Some(Cursor(site.middle()));
                let page = Page { first: 10, after };
                full(petrel.cases(workflow, None, page).await?.cases.items.len())?
            }
            Self::Paused => {
                let paused = petrel.cases(workflow, Some(CaseStatus::Paused), TEN).await?.cases;
                assert!(paused.items.is_empty());
            }
            Self::Completed => {
                let ended = petrel.cases(workflow, Some(CaseStatus::Completed), TEN).await?.cases;
                full(ended.items.len())?
            }
            Self::UnknownToken => {
                let unknown = TokenId::of_case(&tag(), &case, 1);
                missing(petrel.token(None, &unknown, Consistency::Eventual).await)?
            }
            Self::UnknownCase => {
                let unknown = CaseId::new(format!("u{}", tag()))?;
                missing(petrel.case(workflow, &unknown).await)?
            }
            Self::UnknownWorkflow => {
                let unknown = stormpetrel::models::WorkflowId::new(format!("u{}", tag()))?;
                missing(petrel.workflow(&unknown).await)?
            }
            Self::RawToken | Self::RawRecord | Self::RawHistory => {
                return raw::of_a_case(self, site, site.ended(turn + TURNS * self as usize)).await;
            }
            Self::RawNext => raw::next(site).await?,
            Self::RawPage => full(raw::page(site, TEN).await?)?,
            Self::RawPageLater => full(raw::page(site, site.middle_of_the_view()).await?)?,
            _ => return self.changed(site, turn).await,
        }
        Ok(begun.elapsed())
    }

    async fn changed(self, site: &Site, turn: usize) -> Result<Duration, Error> {
        let (petrel, workflow) = (&site.petrel, &site.workflow);
        Ok(match self {
            Self::First | Self::FirstWithout | Self::FirstStarted => {
                let mut fire = site.tick(site.untouched());
                if matches!(self, Self::FirstWithout) {
                    fire.change.firing = None;
                }
                let process = match self {
                    Self::FirstStarted => site.started().await?,
                    _ => site.fresh(),
                };
                let begun = Instant::now();
                process.fire(fire).await?;
                begun.elapsed()
            }
            Self::InPlaceEnd => {
                let case = CaseId::new(format!("n{}", tag()))?;
                site.create(petrel, case.clone(), None).await?;
                let token = TokenId::of_case(&workflow.tag(), &case, 1);
                let place = PlaceId::new("a")?;
                let there = petrel.storage().register(workflow, &place, &token).await?.sequence;
                let page =
                    Page { first: 10, after: Some(Cursor(there.map_or(0, |at| at.get() - 1))) };
                let scope =
                    TokenScope { workflow: workflow.clone(), place: Some(place), case: None };
                let begun = Instant::now();
                let last = petrel.tokens(&scope, page).await?;
                assert!(!last.items.is_empty() && !last.has_next);
                begun.elapsed()
            }
            Self::HistoryLater => {
                let case = site.case(site.some(turn));
                let head = petrel.case(workflow, &case).await?;
                let middle = head.chain.recent[head.chain.recent.len() / 2].sequence;
                let page = Page { first: 10, after: Some(Cursor(middle.get())) };
                let begun = Instant::now();
                drop(petrel.history(workflow, &case, page).await?);
                begun.elapsed()
            }
            Self::Create => {
                let case = CaseId::new(format!("n{}", tag()))?;
                let begun = Instant::now();
                site.create(petrel, case, None).await?;
                begun.elapsed()
            }
            Self::Watch => {
                let from = petrel
                    .storage()
                    .last_sequence()
                    .await?
                    .and_then(|last| last.minus(9))
                    .unwrap_or(LogSequence::FIRST);
                let begun = Instant::now();
                let mut records =
                    petrel.watch(LogScope::Workflow(workflow.clone()), Some(from.into())).await?;
                records.next().await.ok_or("the watch ended")??;
                begun.elapsed()
            }
            _ => {
                let case = site.case(site.some(turn));
                let begun = Instant::now();
                let scope = LogScope::Case(workflow.clone(), case);
                let mut records = petrel.watch(scope, Some(LogPosition::FIRST)).await?;
                records.next().await.ok_or("the watch ended")??;
                begun.elapsed()
            }
        })
    }
}

/// The median at each site, in turns between them.
pub(crate) async fn measure(row: Row, sites: &[Site]) -> Result<Vec<Duration>, Error> {
    let mut times = vec![Vec::new(); sites.len()];
    let begun = Instant::now();
    for turn in 0..TURNS {
        if turn >= AT_LEAST && begun.elapsed() > AT_MOST {
            break;
        }
        for at in 0..sites.len() {
            // Not always one after the same other.
            let at = if turn % 2 == 0 { at } else { sites.len() - 1 - at };
            let took = row.once(&sites[at], turn).await;
            let took = took.map_err(|error| format!("{}: {error}", row.name()))?;
            times[at].push(took);
        }
    }
    Ok(times.into_iter().map(median).collect())
}

fn full(items: usize) -> Result<(), Error> {
    if items == 10 { Ok(()) } else { Err(format!("{items} and not 10").into()) }
}

fn missing<T>(found: stormpetrel::petrel::Result<T>) -> Result<(), Error> {
    match found {
        Err(stormpetrel::petrel::Error::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err("it is there".into()),
    }
}

/// One that no workflow has.
fn tag() -> String {
    format!("{:010x}", rand::random::<u64>() >> 24)
}

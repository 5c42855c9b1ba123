//! Walk from the head of a case to the records before it, by the lists that they carry: a few
//! rounds of direct gets, at any length of the log.

use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use crate::petrel::{Result, read::Reader, read::load::broken};
use crate::{
    models::{
        Aside, Case, CaseId, Chain, FiringId, IdHash, Link, LogSequence, PageAt, Record, Stored,
        WorkflowId,
    },
    storage::StorageError,
};

/// The number of records that are asked for at once.
const AT_ONCE: usize = 64;

/// The ids of a case's records up to its last page, which is named by its hash: they are
/// complete up to there, or are not used.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Earlier {
    up_to: Option<PageAt>,
    /// The last of those that no list names.
    unlisted: Option<LogSequence>,
    /// The last good one of them, by its hash.
    read: Option<PageAt>,
    /// The messages that were put aside when they were read.
    aside: Vec<Aside>,
    /// Links, by id and then by sequence.
    links: Vec<Link>,
}

impl Earlier {
    /// The number of ids.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// Returns true if it rests on a number alone, for records that no list names.
    pub(crate) fn is_unlisted(&self) -> bool {
        self.unlisted.is_some()
    }

    fn with(id: IdHash, links: &[Link]) -> impl Iterator<Item = LogSequence> + '_ {
        let begin = links.partition_point(|link| link.id < id);
        links[begin..].iter().take_while(move |link| link.id == id).map(|link| link.sequence)
    }

    fn add(&mut self, links: impl IntoIterator<Item = Link>) {
        self.links.extend(links);
        self.links.sort_unstable_by_key(|link| (link.id, link.sequence));
    }

    /// The last record up to which the ids are complete.
    fn last(&self) -> Option<&PageAt> {
        self.up_to.as_ref().or(self.read.as_ref())
    }
}

/// The part of a page that leads on.
struct Page {
    at: PageAt,
    before: Option<PageAt>,
    recent: Vec<Link>,
}

impl Reader {
    /// The record of a case that has a firing id; `None` if the log has none, up to the case's
    /// head. `known` is the memory of earlier records. It is an error if only a message that
    /// is put aside may have it.
    pub(in crate::petrel) async fn find_id(
        &self,
        case: &Case,
        known: &mut Option<Earlier>,
        id: &FiringId,
    ) -> Result<Option<Stored<Record>>> {
        let hash = IdHash::of(id);
        let mut sequences: Vec<LogSequence> = Vec::new();
        if case.chain.page.is_some() || case.chain.unlisted.is_some() {
            let earlier = self.earlier(case, known.take()).await?;
            sequences.extend(Earlier::with(hash, &earlier.links));
            *known = Some(earlier);
        }
        let recent = case.chain.recent.iter().filter(|link| link.id == hash);
        sequences.extend(recent.map(|link| link.sequence));
        let mut put_aside = None;
        for sequence in sequences {
            if Aside::any(&case.aside, sequence) {
                put_aside = put_aside.or(self.may_have(case, sequence, id).await?);
                continue;
            }
            let record = self.named(&case.workflow, &case.id, sequence, case.sequence).await?;
            if record.value.firing == *id {
                return Ok(Some(record));
            }
        }
        match put_aside {
            None => Ok(None),
            Some(sequence) => {
                let (id, case) = (id.to_string(), case.id.clone());
                Err(crate::petrel::Error::IdPutAside { id, case, sequence })
            }
        }
    }

    /// The sequence of a message that is put aside, if its id is this one, or can't be read.
    async fn may_have(
        &self,
        case: &Case,
        sequence: LogSequence,
        id: &FiringId,
    ) -> Result<Option<LogSequence>> {
        match self.storage.record(&case.workflow, &case.id, sequence).await {
            Ok(Some(record)) if record.value.firing != *id => Ok(None),
            Ok(None) => Ok(None),
            Ok(Some(_)) | Err(StorageError::Corrupt { .. }) => Ok(Some(sequence)),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns true if two of the records that a case's lists name have ids of one hash, or
    /// the lists do not lead to one another.
    #[cfg(feature = "analysis")]
    pub(crate) async fn may_have_doubled(&self, case: &Case) -> Result<bool> {
        let unlisted = case.chain.unlisted;
        let mut listed = Earlier { unlisted, ..Earlier::default() };
        if !self.extend(case, &mut listed).await? {
            return Ok(true);
        }
        listed.add(case.chain.recent.iter().copied());
        let same = |pair: &[Link]| pair[0].id == pair[1].id;
        // The last page is the first of those after it.
        listed.links.dedup();
        Ok(listed.links.windows(2).any(same))
    }

    /// The ids that are remembered, brought up to the case's last page.
    async fn earlier(&self, case: &Case, known: Option<Earlier>) -> Result<Earlier> {
        let chain = &case.chain;
        // What is put aside later may be among those that are known.
        let mut earlier = match known.filter(|known| known.aside == case.aside) {
            Some(earlier) if earlier.unlisted == chain.unlisted => earlier,
            Some(earlier) if self.has_still(case, &earlier).await? => {
                self.go_on(case, earlier).await?
            }
            _ => self.unlisted(case).await?,
        };
        if earlier.up_to == chain.page {
            return Ok(earlier);
        }
        if earlier.up_to.is_some() {
            if self.extend(case, &mut earlier).await? {
                return Ok(earlier);
            }
            // The log is another one than the one that it was read from.
            earlier = self.unlisted(case).await?;
        }
        match self.extend(case, &mut earlier).await? {
            true => Ok(earlier),
            false => {
                let reason = "its pages do not lead to one another".to_owned();
                Err(broken(&case.workflow, &case.id, case.sequence, reason))
            }
        }
    }

    /// The ids of the records that no list names, from their subjects.
    async fn unlisted(&self, case: &Case) -> Result<Earlier> {
        self.go_on(case, Earlier::default()).await
    }

    /// Returns true if the log still has the last known record, unchanged, among those that no
    /// list names now.
    async fn has_still(&self, case: &Case, known: &Earlier) -> Result<bool> {
        let Some(last) = known.last().filter(|last| Some(last.sequence) <= case.chain.unlisted)
        else {
            return Ok(false);
        };
        let record = self.storage.record(&case.workflow, &case.id, last.sequence).await?;
        Ok(record.is_some_and(|record| record.hash == last.hash))
    }

    /// Adds the ids of the records that no list names, after the last one that is known. The
    /// id of a message put aside comes from that message, or from records that name it.
    async fn go_on(&self, case: &Case, mut earlier: Earlier) -> Result<Earlier> {
        let unlisted = case.chain.unlisted;
        let from = earlier.last().map_or(LogSequence::FIRST, |last| last.sequence);
        (earlier.unlisted, earlier.up_to) = (unlisted, None);
        earlier.aside.clone_from(&case.aside);
        let Some(unlisted) = unlisted else { return Ok(earlier) };
        let aside = |sequence: LogSequence| Aside::any(&case.aside, sequence);
        let mut links = Vec::new();
        let (workflow, id) = (&case.workflow, &case.id);
        let mut records = self.unlisted_records(workflow, id, from, unlisted, Vec::new()).await?;
        while let Some(record) = records.next().await {
            let record = match record {
                Ok(record) => record,
                Err(StorageError::Corrupt { sequence, .. }) if aside(sequence) => continue,
                Err(error) => return Err(error.into()),
            };
            let (sequence, id) = (record.sequence, IdHash::of(&record.value.firing));
            links.push(Link { sequence, id });
            links.extend(record.value.recent.iter().filter(|link| aside(link.sequence)));
            if !aside(sequence) {
                earlier.read = Some(PageAt { sequence, hash: record.hash });
            }
        }
        earlier.add(links);
        earlier.links.dedup();
        Ok(earlier)
    }

    async fn unlisted_records(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        from: LogSequence,
        up_to: LogSequence,
        aside: Vec<Aside>,
    ) -> Result<BoxStream<'static, std::result::Result<Stored<Record>, StorageError>>> {
        let records = self.records(workflow, case, from, aside).await?;
        let is_listed = move |record: &std::result::Result<Stored<Record>, StorageError>| {
            std::future::ready(match record {
                Ok(record) => record.sequence <= up_to,
                Err(StorageError::Corrupt { sequence, .. }) => *sequence <= up_to,
                Err(_) => true,
            })
        };
        Ok(records.take_while(is_listed).boxed())
    }

    /// Adds the pages after those that are known. False if these are not among the case's.
    async fn extend(&self, case: &Case, earlier: &mut Earlier) -> Result<bool> {
        let Some(at) = &case.chain.page else { return Ok(earlier.up_to.is_none()) };
        let last = self.page(case, at).await?;
        let begin = match &earlier.up_to {
            None => 0,
            Some(known) => match last.value.pages.iter().position(|page| *page == known.sequence) {
                Some(position) => position + 1,
                None => return Ok(false),
            },
        };
        let between = last.value.pages[begin..].to_vec();
        let mut pages: Vec<Page> = stream::iter(between)
            .map(|sequence| async move {
                let page = self.named(&case.workflow, &case.id, sequence, case.sequence).await?;
                Ok::<_, crate::petrel::Error>(Page::of(page))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        pages.push(Page::of(last));
        let mut before = earlier.up_to.clone();
        for page in &pages {
            if page.before != before {
                return Ok(false);
            }
            before = Some(page.at.clone());
        }
        earlier.add(pages.into_iter().flat_map(|page| page.recent));
        earlier.up_to = before;
        Ok(true)
    }

    /// A page, which must be the one that was named.
    async fn page(&self, case: &Case, at: &PageAt) -> Result<Stored<Record>> {
        let page = self.named(&case.workflow, &case.id, at.sequence, case.sequence).await?;
        if page.hash != at.hash {
            let reason = format!("page {} has changed since: its hash is another", at.sequence);
            return Err(broken(&case.workflow, &case.id, case.sequence, reason));
        }
        Ok(page)
    }

    /// The pages of a case, so that its next record can name them.
    pub(crate) async fn with_pages(&self, case: &Case) -> Result<Case> {
        let mut case = Case::clone(case);
        if let (None, Some(at)) = (&case.chain.pages, case.chain.page.clone()) {
            let page = self.page(&case, &at).await?;
            case.chain.pages = Some(page.value.pages.into_iter().chain([at.sequence]).collect());
        }
        Ok(case)
    }

    /// The first record of a case.
    pub(crate) async fn first_record(&self, case: &Case) -> Result<Option<Stored<Record>>> {
        let chain = &case.chain;
        let listed = |sequence| self.named(&case.workflow, &case.id, sequence, case.sequence);
        match (chain.unlisted, &chain.page, chain.recent.first()) {
            (None, None, Some(first)) => listed(first.sequence).await.map(Some),
            (None, Some(at), _) => {
                let mut page = self.page(case, at).await?;
                if let Some(first) = page.value.pages.first() {
                    page = listed(*first).await?;
                }
                match page.value.recent.first() {
                    Some(first) => listed(first.sequence).await.map(Some),
                    None => Ok(None),
                }
            }
            _ => {
                let (workflow, aside) = (&case.workflow, case.aside.clone());
                Ok(self
                    .records(workflow, &case.id, LogSequence::FIRST, aside)
                    .await?
                    .try_next()
                    .await?)
            }
        }
    }

    /// The records of a case from a log sequence on, up to its head, in order, some `at_once`.
    /// Only the pages that name some of them are read, as the stream comes to them. Messages
    /// put aside are left out; the record that puts them aside names them.
    pub(crate) async fn records_from<'a>(
        &'a self,
        head: &Stored<Record>,
        from: LogSequence,
        at_once: usize,
    ) -> Result<BoxStream<'a, Result<Stored<Record>>>> {
        let (workflow, case) = (head.value.workflow.clone(), head.value.case.clone());
        let chain = Chain::after(None, head);
        let mut pages = Vec::new();
        if let Some(at) = &chain.page {
            let last = self.named(&workflow, &case, at.sequence, head.sequence).await?;
            pages = last.value.pages.iter().copied().chain([at.sequence]).collect();
        }
        let unlisted = match chain.unlisted.filter(|unlisted| from <= *unlisted) {
            Some(unlisted) => {
                let aside = self.put_aside_by(head).await?;
                let records = self.unlisted_records(&workflow, &case, from, unlisted, aside);
                records.await?.map_err(crate::petrel::Error::from).boxed()
            }
            None => stream::empty().boxed(),
        };
        let by = head.sequence;
        // A page names those from the page before it to itself.
        let begin = pages.partition_point(|page| *page <= from);
        let pages: Vec<LogSequence> = pages.split_off(begin.min(pages.len()));
        let named = move |sequence: LogSequence| {
            let (workflow, case) = (workflow.clone(), case.clone());
            async move { self.named(&workflow, &case, sequence, by).await }
        };
        let page = named.clone();
        let of_pages = stream::iter(pages).then(page).map_ok(|page| page.value.recent);
        let recent = stream::once(std::future::ready(Ok(chain.recent)));
        let links = of_pages.chain(recent).map_ok(|links| stream::iter(links.into_iter().map(Ok)));
        let records = links
            .try_flatten()
            .try_filter(move |link| std::future::ready(link.sequence >= from))
            .map_ok(move |link| named(link.sequence))
            .try_buffered(at_once.clamp(1, AT_ONCE));
        Ok(unlisted.chain(records).boxed())
    }
}

impl Page {
    fn of(record: Stored<Record>) -> Self {
        let at = PageAt { sequence: record.sequence, hash: record.hash };
        Self { at, before: record.value.page, recent: record.value.recent }
    }
}

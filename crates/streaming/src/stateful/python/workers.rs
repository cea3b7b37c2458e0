//! Workers that do parts of a batch at the same time.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int32Type;
use boathouse_engine::{GroupPart, StateTimes, StatefulTask, parsed_columns};
use boathouse_python::{Conversation, Said};
use boathouse_spec::{Error, Result};
use parking_lot::Mutex;

use crate::stateful::store::internal;

/// State that goes to a worker at once, as long as it is that of several groups.
const MAX_STATE_BYTES: usize = 16 << 20;

/// What a function remembers.
pub(super) trait Memory: Send {
    /// What is remembered of the groups of a part.
    fn recall(&self, keys: &[arrow::array::ArrayRef]) -> Result<Vec<(String, RecordBatch)>>;

    /// Takes what has changed in a variable; the rows tell groups by their places among the keys.
    fn change(
        &mut self,
        keys: &[arrow::array::ArrayRef],
        variable: usize,
        changes: &RecordBatch,
    ) -> Result<()>;

    /// What the user's code has set and removed.
    fn count(&mut self, _updated: usize, _removed: usize) {}
}

/// A part, and what goes with it beside groups and state.
pub(super) struct Job {
    pub part: GroupPart,
    pub more: Vec<(String, RecordBatch)>,
}

impl Job {
    /// Half of the groups each; `None` where there is only one.
    fn split(&self) -> Result<Option<[Self; 2]>> {
        let Some([first, second]) = self.part.split() else { return Ok(None) };
        let at = first.len() as i32;
        let more = |is_first: bool| -> Result<Vec<(String, RecordBatch)>> {
            self.more
                .iter()
                .map(|(name, batch)| Ok((name.clone(), of_groups(batch, at, is_first)?)))
                .collect()
        };
        Ok(Some([Self { more: more(true)?, part: first }, Self { more: more(false)?, part: second }]))
    }
}

/// The rows of the groups before one, or of the others, which are counted anew.
fn of_groups(batch: &RecordBatch, at: i32, before: bool) -> Result<RecordBatch> {
    let groups = batch.column(0).as_primitive::<Int32Type>();
    let is_of: BooleanArray = groups.iter().map(|g| g.map(|g| (g < at) == before)).collect();
    let batch = filter_record_batch(batch, &is_of).map_err(internal)?;
    let groups = batch.column(0).as_primitive::<Int32Type>();
    let mut columns = batch.columns().to_vec();
    columns[0] = Arc::new(groups.unary::<_, Int32Type>(|g| if before { g } else { g - at }));
    RecordBatch::try_new(batch.schema(), columns).map_err(internal)
}

impl From<GroupPart> for Job {
    fn from(part: GroupPart) -> Self {
        Self { part, more: Vec::new() }
    }
}

/// How many workers there may be.
pub(super) fn most() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A batch of a task: its conversations, kept from one round of parts to the next.
pub(super) struct Workers<'a> {
    task: &'a StatefulTask,
    times: StateTimes,
    idle: Mutex<Vec<Conversation>>,
    /// What a processor declares, as JSON; `None` for functions without variables.
    declared: Option<String>,
}

impl<'a> Workers<'a> {
    /// Begins with no worker.
    pub fn new(task: &'a StatefulTask, times: StateTimes) -> Self {
        Self { task, times, idle: Mutex::new(Vec::new()), declared: None }
    }

    /// Begins with one that has said its variables.
    pub async fn declared(task: &'a StatefulTask, times: StateTimes) -> Result<(Self, String)> {
        let mut this = Self::new(task, times);
        let (conversation, declared) = task.introduced(times).await?;
        this.idle.lock().push(conversation);
        this.declared = Some(declared.clone());
        Ok((this, declared))
    }

    async fn conversation(&self) -> Result<Conversation> {
        let idle = self.idle.lock().pop();
        match (idle, &self.declared) {
            (Some(conversation), _) => Ok(conversation),
            (None, None) => self.task.start(self.times).await,
            (None, Some(declared)) => {
                let (conversation, now) = self.task.introduced(self.times).await?;
                if now != *declared {
                    return Err(Error::internal("a processor that declares other variables each time"));
                }
                Ok(conversation)
            }
        }
    }

    /// Does jobs, those of a queue one after the other, each queue by a worker; the functions' rows.
    pub async fn run(
        &self,
        kind: &str,
        queues: Vec<Vec<Job>>,
        memory: &Mutex<impl Memory>,
    ) -> Result<Vec<RecordBatch>> {
        let queues = queues.into_iter().filter(|q| !q.is_empty());
        let made = queues.map(|queue| self.work(kind, queue, memory));
        let made = futures::future::try_join_all(made).await?;
        Ok(made.into_iter().flatten().collect())
    }

    /// Does jobs in any order.
    pub async fn share(
        &self,
        kind: &str,
        jobs: Vec<Job>,
        memory: &Mutex<impl Memory>,
    ) -> Result<Vec<RecordBatch>> {
        let count = most().min(jobs.len());
        let jobs = Mutex::new(VecDeque::from(jobs));
        let work = (0..count).map(|_| async {
            let mut made = Vec::new();
            let mut conversation = None;
            loop {
                let Some(job) = jobs.lock().pop_front() else { break };
                let talk = match conversation.as_mut() {
                    Some(talk) => talk,
                    None => conversation.insert(self.conversation().await?),
                };
                made.extend(self.one(talk, kind, job, memory).await?);
            }
            self.idle.lock().extend(conversation);
            Ok::<_, Error>(made)
        });
        let made = futures::future::try_join_all(work).await?;
        Ok(made.into_iter().flatten().collect())
    }

    async fn work(
        &self,
        kind: &str,
        queue: Vec<Job>,
        memory: &Mutex<impl Memory>,
    ) -> Result<Vec<RecordBatch>> {
        let mut conversation = self.conversation().await?;
        let mut made = Vec::new();
        for job in queue {
            made.extend(self.one(&mut conversation, kind, job, memory).await?);
        }
        self.idle.lock().push(conversation);
        Ok(made)
    }

    async fn one(
        &self,
        conversation: &mut Conversation,
        kind: &str,
        job: Job,
        memory: &Mutex<impl Memory>,
    ) -> Result<Vec<RecordBatch>> {
        let state = memory.lock().recall(&job.part.keys)?;
        let mut made = Vec::new();
        let bytes: usize = state.iter().map(|(_, b)| b.get_array_memory_size()).sum();
        if bytes > MAX_STATE_BYTES
            && let Some(parts) = job.split()?
        {
            for part in parts {
                made.extend(Box::pin(self.one(conversation, kind, part, memory)).await?);
            }
            return Ok(made);
        }
        let keys = &job.part.keys;
        let mut batches = job.part.batches(self.task)?;
        batches.extend(job.more);
        batches.extend(state);
        conversation.part(kind, &batches).await?;
        loop {
            match conversation.hear().await? {
                Said::Done => return Ok(made),
                Said::Rows(rows) => made.push(self.task.received(&rows)?),
                Said::Changes(variable, changes) => memory.lock().change(keys, variable, &changes)?,
                Said::Parse(text) => conversation.answer(parsed_columns(&text)).await?,
                Said::Counts { updated, removed } => memory.lock().count(updated, removed),
                said => return Err(Error::internal(format!("a function over groups that says {said:?}"))),
            }
        }
    }

    /// Ends the conversations.
    pub async fn finish(self) -> Result<()> {
        for conversation in self.idle.into_inner() {
            conversation.finish().await?;
        }
        Ok(())
    }
}

//! `transformWithState`: variables that a class of the user's declares, and timers (Spark's `TransformWithStateInPySparkExec`).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::row::{RowConverter, SortField};
use boathouse_engine::{GroupPart, GroupedRows, StateTime, StateTimes, StatefulTask};
use boathouse_spec::{Error, Result};
use parking_lot::Mutex;

use super::variable::{Declared, Kind, Variable, milliseconds, taken};
use super::workers::{Job, Memory, Workers, most};
use super::{over_ms, stored};
use crate::stateful::Operator;
use crate::stateful::store::{StateStore, internal};

/// The file with the variables in the order of their stores.
const VARIABLES: &str = "variables";

/// Timers that a worker gets at once.
const TIMERS_AT_ONCE: usize = 2_000;

pub(super) async fn run(
    operator: &mut Operator,
    task: &StatefulTask,
    [rows, initial]: [RecordBatch; 2],
    at: StateTimes,
) -> Result<Vec<RecordBatch>> {
    task.check_keys()?;
    let (workers, declared) = Workers::declared(task, at).await?;
    let declared: Vec<Declared> = serde_json::from_str(&declared)
        .map_err(|e| Error::internal(format!("a processor's variables: {e}")))?;
    let keys = stored(&task.keys);
    let variables = open(operator, &declared, &keys, task.time != StateTime::Never).await?;
    let memory = Mutex::new(Variables::new(variables, &declared, &mut operator.stores, keys.len(), at));
    let parts = GroupedRows::new(keys.len(), rows, initial)?.parts(most())?;
    let mut made = workers.share("rows", parts.into_iter().map(Job::from).collect(), &memory).await?;
    if let Some(over_ms) = over_ms(task, at) {
        let queues = memory.lock().expired(task, over_ms)?;
        made.extend(workers.run("timers", queues, &memory).await?);
    }
    workers.finish().await?;
    let mut memory = memory.into_inner();
    memory.forget()?;
    let figures = memory.figures(&declared);
    let total = memory.total();
    let Figures { updated, removed, .. } = memory.figures;
    operator.progress.total = Some(total);
    operator.progress.updated += updated;
    operator.progress.removed += removed;
    operator.progress.custom = figures;
    Ok(made)
}

/// Opens the stores of the variables, in the order in which they were first met; those that are declared no more keep theirs.
async fn open(
    operator: &mut Operator,
    declared: &[Declared],
    keys: &[FieldRef],
    timed: bool,
) -> Result<Vec<Variable>> {
    let directory = operator.directory.clone();
    let known = directory.read_text(VARIABLES).await?;
    let broken = |e: serde_json::Error| Error::internal(format!("the list of state variables: {e}"));
    let before: Vec<Declared> = match &known {
        Some(text) => serde_json::from_str(text).map_err(broken)?,
        None => Vec::new(),
    };
    let timers = timed.then(Declared::timers);
    let mut all = before;
    for variable in timers.iter().chain(declared.iter().filter(|d| d.kind != Kind::None)) {
        match all.iter_mut().find(|b| b.name == variable.name) {
            Some(same) if same.kind != variable.kind => return Err(other_kind(same, variable)),
            Some(same) => same.clone_from(variable),
            None => all.push(variable.clone()),
        }
    }
    let text = serde_json::to_string(&all).map_err(broken)?;
    if known.as_deref() != Some(&text) {
        directory.replace(VARIABLES, text).await?;
    }
    let mut variables = Vec::with_capacity(all.len());
    for (n, declared) in all.into_iter().enumerate() {
        let variable = Variable::new(declared, keys.len());
        let layout = variable.layout(keys)?;
        operator.named_store(n, &variable.declared.name, layout).await?;
        variables.push(variable);
    }
    Ok(variables)
}

fn other_kind(before: &Declared, now: &Declared) -> Error {
    Error::new("STATE_STORE_INVALID_VARIABLE_TYPE_CHANGE")
        .param("stateVarName", &now.name)
        .param("newType", format!("{:?}State", now.kind))
        .param("oldType", format!("{:?}State", before.kind))
        .message(format!(
            "Cannot change {} to {:?}State between query restarts. Please set {} to {:?}State, or restart with a new checkpoint \
             directory.",
            now.name, now.kind, now.name, before.kind
        ))
        .exception("StateStoreInvalidVariableTypeChange")
}

#[derive(Default)]
struct Figures {
    updated: usize,
    removed: usize,
    registered_timers: usize,
    deleted_timers: usize,
    expired_timers: usize,
    expired_values: usize,
    deleted_variables: usize,
}

/// The stores while the batch runs.
struct Variables<'a> {
    stores: &'a mut [StateStore],
    /// All, in the order of the stores.
    variables: Vec<Variable>,
    /// The store of the timers, then of each variable that the processor declares.
    places: Vec<Option<usize>>,
    /// Variables to be forgotten.
    deleted: Vec<usize>,
    key_count: usize,
    at: StateTimes,
    figures: Figures,
}

impl<'a> Variables<'a> {
    fn new(
        variables: Vec<Variable>,
        declared: &[Declared],
        stores: &'a mut [StateStore],
        key_count: usize,
        at: StateTimes,
    ) -> Self {
        let place = |name: &str| variables.iter().position(|v| v.declared.name == name);
        let mut places = vec![place(&Declared::timers().name)];
        places.extend(declared.iter().filter(|d| d.kind != Kind::None).map(|d| place(&d.name)));
        let gone = declared.iter().filter(|d| d.kind == Kind::None);
        let deleted = gone.filter_map(|d| place(&d.name)).collect();
        Self { places, deleted, variables, stores, key_count, at, figures: Figures::default() }
    }

    /// What is over at a time, as jobs: the timers of a group are all in one queue, in the order of their times.
    fn expired(&mut self, task: &StatefulTask, over_ms: i64) -> Result<Vec<Vec<Job>>> {
        let Some(Some(place)) = self.places.first().copied() else { return Ok(Vec::new()) };
        let due = self.stores[place].due(over_ms.saturating_mul(1000))?;
        self.figures.expired_timers = due.num_rows();
        if due.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let fields = due.columns()[..self.key_count].iter().map(|k| SortField::new(k.data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(internal)?;
        let keys = converter.convert_columns(&due.columns()[..self.key_count]).map_err(internal)?;
        let count = most();
        let mut queues = vec![Vec::new(); count];
        for row in 0..due.num_rows() {
            let mut hasher = DefaultHasher::new();
            keys.row(row).data().hash(&mut hasher);
            queues[(hasher.finish() % count as u64) as usize].push(row as u32);
        }
        let jobs = |rows: &Vec<u32>| -> Result<Vec<Job>> {
            let parts = rows.chunks(TIMERS_AT_ONCE);
            parts.map(|rows| self.timers_job(task, &due, rows, |row| keys.row(row).data())).collect()
        };
        queues.iter().map(jobs).collect()
    }

    fn timers_job<'k>(
        &self,
        task: &StatefulTask,
        due: &RecordBatch,
        rows: &[u32],
        key: impl Fn(usize) -> &'k [u8],
    ) -> Result<Job> {
        let mut groups: HashMap<&[u8], i32> = HashMap::new();
        let mut firsts = Vec::new();
        let mut of = Vec::with_capacity(rows.len());
        for row in rows {
            let next = groups.len() as i32;
            let group = *groups.entry(key(*row as usize)).or_insert(next);
            if group == next {
                firsts.push(*row);
            }
            of.push(group);
        }
        let keys = taken(due, &firsts)?.columns()[..self.key_count].to_vec();
        let times = milliseconds(taken(due, rows)?.column(self.key_count));
        let schema = Schema::new(vec![
            Field::new("group", DataType::Int32, false),
            Field::new("at", DataType::Int64, true),
        ]);
        let of: ArrayRef = Arc::new(Int32Array::from(of));
        let expired = RecordBatch::try_new(Arc::new(schema), vec![of, times]).map_err(internal)?;
        Ok(Job { part: GroupPart::of_keys(task, keys), more: vec![("expired".to_string(), expired)] })
    }

    /// Removes what is over, and variables that are to be forgotten.
    fn forget(&mut self) -> Result<()> {
        for (store, variable) in self.stores.iter_mut().zip(&self.variables) {
            if variable.declared.ttl_ms.is_some() {
                let gone = store.forget_over(self.at.batch_ms.saturating_mul(1000))?;
                self.figures.expired_values += gone;
                self.figures.removed += gone;
            }
        }
        for place in &self.deleted {
            if self.stores[*place].len() > 0 {
                self.stores[*place].clear()?;
                self.figures.deleted_variables += 1;
            }
        }
        Ok(())
    }

    /// The rows of state as Spark counts them: a list is one row, and timers are none.
    fn total(&self) -> usize {
        let counted =
            self.stores.iter().zip(&self.variables).map(|(store, variable)| match variable.declared.kind {
                Kind::Timers => 0,
                Kind::List => store.found_by(),
                _ => store.len(),
            });
        counted.sum()
    }

    /// As Spark's progress reports have them.
    fn figures(&self, declared: &[Declared]) -> serde_json::Map<String, serde_json::Value> {
        let count = |kind: Kind, ttl: bool| {
            declared.iter().filter(|d| d.kind == kind && d.ttl_ms.is_some() == ttl).count()
        };
        let f = &self.figures;
        let figures = [
            ("numValueStateVars", count(Kind::Value, false)),
            ("numListStateVars", count(Kind::List, false)),
            ("numMapStateVars", count(Kind::Map, false)),
            ("numValueStateWithTTLVars", count(Kind::Value, true)),
            ("numListStateWithTTLVars", count(Kind::List, true)),
            ("numMapStateWithTTLVars", count(Kind::Map, true)),
            ("numDeletedStateVars", f.deleted_variables),
            ("numRegisteredTimers", f.registered_timers),
            ("numDeletedTimers", f.deleted_timers),
            ("numExpiredTimers", f.expired_timers),
            ("numValuesRemovedDueToTTLExpiry", f.expired_values),
        ];
        figures.into_iter().map(|(k, n)| (k.to_string(), n.into())).collect()
    }
}

impl Memory for Variables<'_> {
    fn recall(&self, keys: &[ArrayRef]) -> Result<Vec<(String, RecordBatch)>> {
        let mut all = Vec::with_capacity(self.places.len());
        for (n, place) in self.places.iter().enumerate() {
            let Some(place) = *place else { continue };
            let (variable, store) = (&self.variables[place], &self.stores[place]);
            if store.len() == 0 {
                continue;
            }
            let name = if n == 0 { "timers".to_string() } else { format!("state {}", n - 1) };
            all.push((name, variable.recall(store, keys, self.at.batch_ms)?));
        }
        Ok(all)
    }

    fn change(&mut self, keys: &[ArrayRef], variable: usize, changes: &RecordBatch) -> Result<()> {
        let Some(Some(place)) = self.places.get(variable).copied() else {
            return Err(Error::internal("changes of a variable that there is not"));
        };
        let batch_ms = self.at.batch_ms;
        let (put, gone) = self.variables[place].change(&mut self.stores[place], keys, changes, batch_ms)?;
        if variable == 0 {
            self.figures.registered_timers += put;
            self.figures.deleted_timers += gone;
        }
        Ok(())
    }

    fn count(&mut self, updated: usize, removed: usize) {
        self.figures.updated += updated;
        self.figures.removed += removed;
    }
}

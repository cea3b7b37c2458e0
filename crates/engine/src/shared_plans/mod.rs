//! Parts of a query that stand in it more than once, made once.
//!
//! A common table expression, a view or a DataFrame that a query names twice is in its plan twice. After the optimizer has
//! pushed to each copy what concerns it, those that are still the same (`same`) run once, and their readers take the rows as
//! they come (`rows`): Spark's reuse of exchanges and subqueries. Copies that have become different stay apart, because each
//! reads less than all of them together.
//!
//! Only parts that take work are shared: aggregations, windows, DISTINCT, and joins that give few rows; and those that must be
//! made once, because they would give other rows each time (`operators::once`).

mod rows;
mod same;
mod scan;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;

use crate::column_cache::ColumnCache;
use crate::operators::once_key;
use crate::recursion::is_recursion;
use crate::{column_cache, join_order, nested_constants};
use rows::SharedRows;
use same::same;
use scan::SharedTable;

/// The physical plan of an optimized one. `columns` serves scans from memory.
pub(crate) async fn physical(
    state: &SessionState,
    plan: &LogicalPlan,
    columns: Option<&Arc<ColumnCache>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut copies = copies(plan);
    // A part may hold others: these are smaller.
    copies.sort_by_key(|copies| copies.size);
    let mut sharing = Sharing::default();
    for copies in &copies {
        let made = planned(state, &sharing.inside(copies.plans[0])?, columns).await?;
        // Columns of one name could not be told apart.
        if has_names_of_its_own(made.as_ref()) {
            sharing.note(copies, SharedRows::new(made, copies.plans.len()));
        }
    }
    planned(state, &sharing.rewritten(plan)?, columns).await
}

async fn planned(
    state: &SessionState,
    plan: &LogicalPlan,
    columns: Option<&Arc<ColumnCache>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = join_order::sized(plan).and_then(nested_constants::without_statistics).spark()?;
    let mut planned = state.query_planner().create_physical_plan(&plan, state).await.spark()?;
    if let Some(columns) = columns {
        planned = column_cache::cached(planned, columns).spark()?;
    }
    scan::shown(planned).spark()
}

fn has_names_of_its_own(plan: &dyn ExecutionPlan) -> bool {
    let schema = plan.schema();
    let fields = schema.fields();
    fields.iter().enumerate().all(|(i, f)| fields[..i].iter().all(|other| other.name() != f.name()))
}

/// Places of a plan that give the same rows.
struct Copies<'a> {
    plans: Vec<&'a LogicalPlan>,
    /// Operators in one of them.
    size: usize,
}

/// What is shared so far.
#[derive(Default)]
struct Sharing {
    shared: Vec<Shared>,
    /// Which of them stands at the place of a copy.
    places: HashMap<Place, usize>,
}

/// The address of a part of the plan.
type Place = usize;

fn place(plan: &LogicalPlan) -> Place {
    std::ptr::from_ref(plan).addr()
}

struct Shared {
    rows: Arc<SharedRows>,
    /// Readers so far.
    readers: usize,
}

impl Sharing {
    fn note(&mut self, copies: &Copies, rows: SharedRows) {
        self.places.extend(copies.plans.iter().map(|plan| (place(plan), self.shared.len())));
        self.shared.push(Shared { rows: Arc::new(rows), readers: 0 });
    }

    /// The plan with shared parts as tables.
    fn rewritten(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        match self.places.get(&place(plan)) {
            Some(number) => self.scan(*number, plan),
            None => self.inside(plan),
        }
    }

    fn inside(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let inputs = inputs(plan);
        if self.places.is_empty() || inputs.is_empty() {
            return Ok(plan.clone());
        }
        let inputs = inputs.into_iter().map(|input| self.rewritten(input)).collect::<Result<Vec<_>>>()?;
        plan.with_new_exprs(plan.expressions(), inputs).spark()
    }

    /// Shared rows under the names of a copy.
    fn scan(&mut self, number: usize, copy: &LogicalPlan) -> Result<LogicalPlan> {
        let shared = &mut self.shared[number];
        let table = SharedTable { rows: Arc::clone(&shared.rows), reader: shared.readers, number };
        shared.readers += 1;
        let name = TableReference::bare(format!("shared_{number}"));
        let schema = shared.rows.plan.schema();
        let columns = copy.schema().iter().zip(schema.fields()).map(|((qualifier, field), shared)| {
            let column = Expr::Column(Column::new(Some(name.clone()), shared.name()));
            column.alias_qualified(qualifier.cloned(), field.name())
        });
        let columns: Vec<Expr> = columns.collect();
        LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)
            .and_then(|scan| scan.project(columns))
            .and_then(LogicalPlanBuilder::build)
            .spark()
    }
}

/// The inputs that run once. The step of a recursion runs again and again, over other rows each time.
fn inputs(plan: &LogicalPlan) -> Vec<&LogicalPlan> {
    if is_recursion(plan) { Vec::new() } else { plan.inputs() }
}

/// The parts of a plan that are worth sharing, the largest of each.
fn copies(plan: &LogicalPlan) -> Vec<Copies<'_>> {
    let mut shapes = HashMap::new();
    shape(plan, &mut shapes);
    let mut often: HashMap<u64, usize> = HashMap::new();
    for shape in shapes.values() {
        *often.entry(shape.hash).or_default() += 1;
    }
    let mut found = Vec::new();
    if often.values().any(|n| *n > 1) {
        collect(plan, &shapes, &often, &mut found);
    }
    found.retain(|copies: &Copies| copies.plans.len() > 1);
    found
}

/// What two copies of a plan have in common, whatever their columns are called.
struct Shape {
    hash: u64,
    size: usize,
    /// Whether it has an operator that takes work.
    works: bool,
}

fn shape(plan: &LogicalPlan, shapes: &mut HashMap<Place, Shape>) -> (u64, usize, bool) {
    let mut hasher = DefaultHasher::new();
    discriminant(plan).hash(&mut hasher);
    let mut size = 1;
    let mut works = matches!(
        plan,
        LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) | LogicalPlan::Distinct(_) | LogicalPlan::Join(_)
    );
    if let Some(key) = once_key(plan) {
        key.hash(&mut hasher);
        works = true;
    }
    for field in plan.schema().fields() {
        field.data_type().hash(&mut hasher);
    }
    if let LogicalPlan::TableScan(scan) = plan {
        scan.projection.hash(&mut hasher);
        scan.filters.len().hash(&mut hasher);
    }
    for input in inputs(plan) {
        let (hash, nodes, busy) = shape(input, shapes);
        hash.hash(&mut hasher);
        size += nodes;
        works |= busy;
    }
    let hash = hasher.finish();
    shapes.insert(place(plan), Shape { hash, size, works });
    (hash, size, works)
}

fn collect<'a>(
    plan: &'a LogicalPlan,
    shapes: &HashMap<Place, Shape>,
    often: &HashMap<u64, usize>,
    found: &mut Vec<Copies<'a>>,
) {
    if let Some(shape) = shapes.get(&place(plan))
        && shape.works
        && often.get(&shape.hash).is_some_and(|n| *n > 1)
        && is_worth_keeping(plan)
    {
        let known = found.iter_mut().find(|copies| copies.size == shape.size && same(copies.plans[0], plan));
        match known {
            // What is inside is inside the first, too.
            Some(copies) => return copies.plans.push(plan),
            None => found.push(Copies { plans: vec![plan], size: shape.size }),
        }
    }
    for input in inputs(plan) {
        collect(input, shapes, often, found);
    }
}

/// Whether the rows are likely to be few beside what it takes to make them.
fn is_worth_keeping(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Extension(_) => once_key(plan).is_some(),
        LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) | LogicalPlan::Distinct(_) => true,
        LogicalPlan::Projection(p) => is_worth_keeping(&p.input),
        LogicalPlan::Filter(f) => is_worth_keeping(&f.input),
        LogicalPlan::SubqueryAlias(s) => is_worth_keeping(&s.input),
        LogicalPlan::Sort(s) => is_worth_keeping(&s.input),
        LogicalPlan::Limit(_) => true,
        LogicalPlan::Union(u) => u.inputs.iter().all(|input| is_worth_keeping(input)),
        LogicalPlan::Join(_) => join_order::gives_few_rows(plan),
        _ => false,
    }
}

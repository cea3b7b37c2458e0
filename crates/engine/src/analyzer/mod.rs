//! The analyzer: `spec` to DataFusion's `LogicalPlan`, by Spark's rules. The only place where this happens.
//!
//! Every column of every plan has a name of its own, `name#id` ([`Attribute::column`]); what a user sees is the
//! attribute's name. So a plan may have equal names, names that differ by case, and the same table twice, and DataFusion
//! never resolves a name. Types, casts and nullability are decided here, in Spark's terms.
//!
//! The analyzer is plain blocking code: it runs on a blocking thread with a deep stack and waits for I/O by
//! [`Analyzer::wait`].
//!
//! `relation.rs` and `expr.rs` dispatch; each kind of relation and each group of expressions has its file.

mod aggregate;
mod aggregate_call;
mod aggregation;
mod analyzed;
mod as_of_join;
mod call;
mod canonical;
mod cast;
mod char_type;
mod collation;
mod column;
mod conditional;
mod dataset;
mod error;
mod except_all;
mod expect;
mod expr;
mod extract;
mod generate;
mod grouping;
mod join;
mod join_hint;
mod lambda;
mod limit;
mod literal;
mod missing;
mod named_arguments;
mod observe;
mod operator;
mod parameters;
mod parse;
mod pipe;
mod pivot;
mod project;
mod python;
mod recursion;
mod relation;
mod rename;
mod sample;
mod scalar_call;
mod session_function;
mod set_operation;
mod shared_aliases;
mod show;
mod sort;
mod source_metadata;
mod sql_function;
mod stateful;
mod statistic;
mod stream;
mod subquery;
mod table;
mod table_changes;
mod temporaries;
mod time_window;
mod transpose;
mod union_by_name;
mod values;
mod view_columns;
mod window;
mod window_frame;
mod with;

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use boathouse_functions::Context;
use boathouse_spec::{DataSourceRef, Expr, Origin, Relation, Result};

pub(crate) use aggregate::{forbid_aggregates, has_aggregate};
pub(crate) use analyzed::{Analyzed, Attribute, TypedExpr};
pub(crate) use canonical::canonical_plan;
pub(crate) use expr::is_foldable;
pub(crate) use parameters::mixed_parameters;
pub(crate) use temporaries::{Temporary, TemporaryKind};

use crate::kept_analysis::LookUp;
use crate::resolver::ResolvedTable;
use crate::temp_views::{Environment, TempView};
use crate::{Session, StreamReader};

/// Analyzes the plans of one request.
pub(crate) struct Analyzer {
    pub(crate) session: Arc<Session>,
    pub(crate) context: Context,
    next_id: u64,
    /// Tables that were opened for this plan: one that is named twice is read at one version.
    opened: HashMap<table::Named, ResolvedTable>,
    /// The same of paths.
    opened_sources: Vec<(DataSourceRef, ResolvedTable)>,
    /// The table that the statement changes.
    changed: Option<ResolvedTable>,
    /// Common table expressions in sight, innermost last.
    tables: Vec<with::CommonTables>,
    /// How many of them were in sight where each subquery of an expression began.
    table_boundaries: Vec<usize>,
    /// Columns of the queries around a subquery, innermost last.
    outer: Vec<Vec<Attribute>>,
    /// Columns of outer queries that the subquery being analyzed has used.
    outer_used: Vec<Vec<Attribute>>,
    /// The names of those that the last subquery used, each time it did.
    outer_names: Vec<String>,
    /// Aggregates of a HAVING's aggregation that its subqueries use, while such a condition is analyzed.
    outer_aggregates: Option<subquery::OuterAggregates>,
    /// Whether the HAVING of the aggregation being analyzed, which comes after it, has a subquery.
    subquery_in_having: bool,
    /// The subqueries of the aggregation being analyzed.
    known_subqueries: Option<subquery::KnownSubqueries>,
    /// Lambda parameters in sight, innermost last.
    lambda_parameters: Vec<(String, Attribute)>,
    /// Aggregates that stand in lambdas, each with the column that stands for it there.
    lambda_aggregates: Vec<(datafusion::logical_expr::Expr, Attribute)>,
    /// Aliases of SELECT lists that are computed below them.
    shared: Vec<Attribute>,
    /// Parameters of the SQL function whose body is being analyzed.
    function_parameters: Vec<HashMap<String, TypedExpr>>,
    /// Whether names are looked up without session variables, because others come before them.
    variables_are_hidden: bool,
    /// The SQL functions whose bodies were analyzed.
    pub(crate) functions_used: Vec<boathouse_catalog::ObjectName>,
    /// What the text names that ends with the session.
    pub(crate) temporaries_used: Vec<Temporary>,
    /// Whether a table or view is read, also by the functions that are called.
    pub(crate) reads_tables: bool,
    /// Grouping sets of the aggregation being analyzed.
    grouping: Option<call::GroupingScope>,
    /// `WINDOW w AS (..)`
    windows: Vec<(String, boathouse_spec::WindowSpec)>,
    /// The temporary views that names mean, where it is not the session's: inside a DataFrame's view.
    environment: Option<Environment>,
    /// The catalog and schema that names mean: those of the view being expanded, or the session's.
    namespace: (String, String),
    /// The collation of string literals and of casts to STRING: that of the view being expanded.
    default_collation: Option<String>,
    /// Views being expanded, to find cycles.
    expanding: Vec<String>,
    /// The temporary ones among them.
    expanding_temporary: Vec<Arc<TempView>>,
    /// Relations that subquery expressions name by plan id.
    references: HashMap<i64, Relation>,
    named_parameters: Vec<HashMap<String, Expr>>,
    positional_parameters: Vec<Vec<Expr>>,
    /// Who gives the streaming leaves, where a query over streams runs.
    streams: Option<Arc<dyn StreamReader>>,
    /// Streaming leaves met so far; `None` while relations are only checked.
    stream_count: Option<usize>,
    /// The CHAR columns, by their names in plans.
    char_columns: HashMap<String, char_type::CharColumn>,
    /// Whether a query names the `_metadata` of what it reads.
    reads_metadata: bool,
    /// The columns that are fields of a `_metadata`, by the identity of that.
    metadata_fields: HashMap<u64, Vec<Attribute>>,
    /// Where what is being analyzed stands.
    origin: Origin,
    /// The metrics of `observe` in the plan.
    observed: Vec<observe::Observed>,
    /// Observations of plans that had to run during analysis (`show`, pivot values).
    pub(crate) collected: Vec<Arc<crate::observe::Observation>>,
    /// Whether the plan depends on nothing but the session and on the names that were looked up.
    is_repeatable: Cell<bool>,
    /// The names that were looked up.
    look_ups: Vec<LookUp>,
}

impl Analyzer {
    pub fn new(session: Arc<Session>) -> Result<Self> {
        let context = session.conf().function_context();
        let namespace = session.namespace.read().clone();
        Ok(Self {
            session,
            context,
            next_id: 0,
            opened: HashMap::new(),
            opened_sources: Vec::new(),
            changed: None,
            tables: Vec::new(),
            table_boundaries: Vec::new(),
            outer: Vec::new(),
            outer_used: Vec::new(),
            outer_names: Vec::new(),
            outer_aggregates: None,
            subquery_in_having: false,
            known_subqueries: None,
            lambda_parameters: Vec::new(),
            lambda_aggregates: Vec::new(),
            shared: Vec::new(),
            function_parameters: Vec::new(),
            variables_are_hidden: false,
            functions_used: Vec::new(),
            temporaries_used: Vec::new(),
            reads_tables: false,
            grouping: None,
            windows: Vec::new(),
            environment: None,
            namespace,
            default_collation: None,
            expanding: Vec::new(),
            expanding_temporary: Vec::new(),
            references: HashMap::new(),
            named_parameters: Vec::new(),
            positional_parameters: Vec::new(),
            streams: None,
            stream_count: Some(0),
            char_columns: HashMap::new(),
            reads_metadata: false,
            metadata_fields: HashMap::new(),
            origin: Origin::default(),
            observed: Vec::new(),
            collected: Vec::new(),
            is_repeatable: Cell::new(true),
            look_ups: Vec::new(),
        })
    }

    /// Analyzes a whole query: the plan has the output columns and no others.
    pub fn query(&mut self, relation: &Relation) -> Result<Analyzed> {
        self.reads_metadata = self.reads_metadata || source_metadata::is_named(relation);
        self.relation(relation)?.without_hidden()
    }

    /// What follows is of a statement that changes this table: what it reads of it is of the version that it changes.
    pub fn changes(&mut self, table: &ResolvedTable) {
        self.changed = Some(table.clone());
    }

    /// Whether what was analyzed reads a table of the catalog, itself or in a view.
    pub fn reads(&self, name: &boathouse_catalog::ObjectName) -> bool {
        self.opened.values().any(|opened| opened.record.as_ref().is_some_and(|record| record.name == *name))
    }

    /// A scalar expression over a relation's columns.
    pub fn expression(&mut self, expr: &Expr, over: &Analyzed) -> Result<TypedExpr> {
        self.expr(expr, over)
    }

    /// What a clause of a statement that changes a table computes of one row: no window function, no generator.
    pub fn row_expression(&mut self, expr: &Expr, over: &Analyzed, clause: &str) -> Result<TypedExpr> {
        let typed = self.expr(expr, over).map_err(relation::outside_select)?;
        window::forbid_uncomputed_windows(&typed, clause)?;
        Ok(typed)
    }

    /// The value of an expression without columns.
    pub fn constant(
        &mut self,
        expr: &Expr,
    ) -> Result<(datafusion::scalar::ScalarValue, boathouse_spec::DataType)> {
        let typed = self.expr(expr, &Analyzed::one_row()?)?;
        let value = self.fold(&typed)?;
        Ok((value, typed.data_type))
    }

    /// Waits for I/O.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.is_repeatable.set(false);
        self.session.engine.runtime.block_on(future)
    }

    /// The names that were looked up, where they and the session are all that the analysis depended on.
    pub fn look_ups(&mut self) -> Option<Vec<LookUp>> {
        let is_repeatable = self.is_repeatable.get() && self.observed.is_empty();
        is_repeatable.then(|| std::mem::take(&mut self.look_ups))
    }

    /// A new attribute.
    fn attribute(
        &mut self,
        name: impl Into<String>,
        data_type: boathouse_spec::DataType,
        nullable: bool,
    ) -> Attribute {
        self.next_id += 1;
        Attribute {
            id: self.next_id,
            name: name.into(),
            data_type,
            nullable,
            metadata: String::new(),
            qualifier: Vec::new(),
            plan_id: None,
            repeats: None,
            qualified_only: false,
        }
    }

    /// The same column under a new identity.
    fn renewed(&mut self, attribute: &Attribute) -> Attribute {
        self.next_id += 1;
        let renewed = Attribute { id: self.next_id, ..attribute.clone() };
        self.note_char(&renewed);
        renewed
    }
}

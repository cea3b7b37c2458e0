//! What analysis gives: [`Analyzed`] relations, their [`Attribute`]s, and [`TypedExpr`]essions.

use std::collections::HashMap;
use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Result, StructField, StructType};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection};

use super::collation::CollationStrength;

/// A column of a plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    /// Unique within the request.
    pub id: u64,
    /// The name users see, its case kept.
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
    /// JSON text, as [`StructField::metadata`].
    pub metadata: String,
    /// What may stand before the name: `[catalog, schema, table]`, or `[alias]`.
    pub qualifier: Vec<String>,
    /// The DataFrame it came from where two share an input (self-joins): see `column.rs`.
    pub plan_id: Option<i64>,
    /// The column that this one repeats, in a list that names it twice: together they are not ambiguous.
    pub repeats: Option<u64>,
    /// Only `table.column` means it, the bare name does not: a side's key of a USING join (Spark's `qualifiedAccessOnly`).
    pub qualified_only: bool,
}

impl Attribute {
    /// The name in DataFusion's plans.
    pub fn internal_name(&self) -> String {
        format!("{}#{}", self.name, self.id)
    }

    /// The column in DataFusion's plans.
    pub fn column(&self) -> Expr {
        Expr::Column(self.df_column())
    }

    /// The column as one of a query around.
    pub fn outer_column(&self) -> Expr {
        let field = boathouse_bridge::typed_field(self.internal_name(), &self.data_type, self.nullable);
        Expr::OuterReferenceColumn(Arc::new(field), self.df_column())
    }

    pub fn df_column(&self) -> Column {
        Column::new_unqualified(self.internal_name())
    }

    pub fn field(&self) -> StructField {
        StructField {
            name: self.name.clone(),
            data_type: self.data_type.clone(),
            nullable: self.nullable,
            metadata: self.metadata.clone(),
        }
    }

    /// The expression that is this column.
    pub fn typed(&self) -> TypedExpr {
        TypedExpr {
            expr: self.column(),
            data_type: self.data_type.clone(),
            nullable: self.nullable,
            name: self.name.clone(),
            collation: CollationStrength::Implicit,
        }
    }

    /// The column where its bare name means it, as in a list that selects it.
    pub fn by_any_name(&self) -> Self {
        Self { qualified_only: false, ..self.clone() }
    }

    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }
}

/// An analyzed expression.
#[derive(Debug, Clone)]
pub(crate) struct TypedExpr {
    pub expr: Expr,
    pub data_type: DataType,
    pub nullable: bool,
    /// The name Spark gives a column of it, and what messages call it.
    pub name: String,
    /// How much its collation weighs, where it is a string.
    pub collation: CollationStrength,
}

impl TypedExpr {
    pub fn new(expr: Expr, data_type: DataType, nullable: bool, name: impl Into<String>) -> Self {
        Self { expr, data_type, nullable, name: name.into(), collation: CollationStrength::default() }
    }

    pub fn with_collation(mut self, collation: CollationStrength) -> Self {
        self.collation = collation;
        self
    }

    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

/// A column of a DataFrame inside of a relation.
#[derive(Debug, Clone)]
pub(crate) struct FrameColumn {
    pub attribute: Attribute,
    /// How many relations there are from the DataFrame up to this one.
    pub depth: usize,
}

/// An analyzed relation.
#[derive(Debug, Clone)]
pub(crate) struct Analyzed {
    /// Its columns are those of `output`, then those of `hidden`, in this order.
    pub plan: LogicalPlan,
    pub output: Vec<Attribute>,
    /// Columns that names can reach but `*` does not show: the other side's keys of a USING join, metadata columns.
    pub hidden: Vec<Attribute>,
    /// Columns of the DataFrames inside, by the client's plan id.
    pub plan_ids: HashMap<i64, Vec<FrameColumn>>,
    /// What the relation was made from, where ORDER BY, HAVING and filters may still reach it.
    pub below: Option<Arc<Below>>,
    /// Kept for the DataFrame API: the relation reads a stream.
    pub is_streaming: bool,
}

/// The input of a projection or aggregation, for names that its output lacks.
#[derive(Debug, Clone)]
pub(crate) enum Below {
    /// `output` are `exprs` over `input`.
    Project {
        input: Analyzed,
        exprs: Vec<(Expr, Attribute)>,
    },
    Aggregate(super::aggregation::Aggregation),
    /// Rows changed, columns did not: look further below, and rebuild on top.
    Filter {
        input: Analyzed,
        condition: Expr,
    },
}

impl Analyzed {
    pub fn new(plan: LogicalPlan, output: Vec<Attribute>) -> Self {
        Self { plan, output, hidden: Vec::new(), plan_ids: HashMap::new(), below: None, is_streaming: false }
    }

    /// One row without columns.
    pub fn one_row() -> Result<Self> {
        Ok(Self::new(LogicalPlanBuilder::empty(true).build().spark()?, Vec::new()))
    }

    /// The same columns for expressions that have them already, and for no name.
    pub fn without_names(&self) -> Self {
        let unnamed = |a: &Attribute| Attribute { qualifier: Vec::new(), qualified_only: true, ..a.clone() };
        Self {
            hidden: self.columns().map(unnamed).collect(),
            is_streaming: self.is_streaming,
            ..Self::new(self.plan.clone(), Vec::new())
        }
    }

    pub fn schema(&self) -> StructType {
        StructType::new(self.output.iter().map(Attribute::field).collect())
    }

    /// All columns names can reach.
    pub fn columns(&self) -> impl Iterator<Item = &Attribute> {
        self.output.iter().chain(&self.hidden)
    }

    /// The same relation with its rows changed: a filter, sort or limit over it.
    pub fn with_plan(self, plan: LogicalPlan) -> Self {
        Self { plan, below: None, ..self }
    }

    /// Projects to exactly the output columns, where there are others.
    pub fn without_hidden(self) -> Result<Self> {
        if self.hidden.is_empty() && self.plan.schema().fields().len() == self.output.len() {
            return Ok(self);
        }
        let exprs = self.output.iter().map(Attribute::column).collect();
        let plan = project(exprs, self.plan)?;
        Ok(Self { plan, hidden: Vec::new(), below: None, ..self })
    }

    /// Aggregates that follow the order of rows need the columns they were sorted by, also where nobody else sees them.
    pub fn with_sort_columns(self) -> Self {
        match super::sort::with_sort_columns(&self.plan) {
            Some(plan) => Self { plan, ..self },
            None => self,
        }
    }

    /// Says that the relation is the DataFrame with this plan id.
    pub fn is_frame(&mut self, plan_id: i64) {
        let columns = self.columns().map(|a| FrameColumn { attribute: a.clone(), depth: 0 }).collect();
        self.plan_ids.insert(plan_id, columns);
    }

    /// Takes over what the inputs know of DataFrames inside.
    pub fn with_plan_ids_of<'a>(mut self, inputs: impl IntoIterator<Item = &'a Analyzed>) -> Self {
        for input in inputs {
            for (id, columns) in &input.plan_ids {
                self.plan_ids.entry(*id).or_default().extend(columns.iter().cloned());
            }
            self.is_streaming |= input.is_streaming;
        }
        self
    }

    /// Columns that go by their name in another case are still those of the DataFrames inside: for each the identity that it
    /// had, and the column that it became.
    pub fn still_of_frames(mut self, written: &[(u64, Attribute)]) -> Self {
        for (id, column) in written {
            if self.output.iter().any(|o| o.id == *id) {
                continue;
            }
            for columns in self.plan_ids.values_mut() {
                let had = columns.iter().find(|c| c.attribute.id == *id).cloned();
                columns.extend(had.map(|c| FrameColumn {
                    attribute: Attribute { qualifier: c.attribute.qualifier, ..column.clone() },
                    depth: c.depth,
                }));
            }
        }
        self
    }

    /// Gives every output column the qualifier.
    pub fn qualified(mut self, qualifier: &[String]) -> Self {
        for a in &mut self.output {
            a.qualifier = qualifier.to_vec();
        }
        self
    }
}

/// A projection; no expression is looked at by DataFusion's name rules.
pub(crate) fn project(exprs: Vec<Expr>, input: LogicalPlan) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input)).spark()?))
}

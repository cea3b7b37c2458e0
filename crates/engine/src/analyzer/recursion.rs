//! Recursive common table expressions: `anchor UNION ALL step`, where the step names the table itself.

use std::sync::Arc;

use arrow::datatypes::Schema;
use boathouse_bridge::ResultExt;
use boathouse_functions::cast::{self, Mode};
use boathouse_spec::{DataType, Error, Relation, RelationNode, Result, SetOperation};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Extension, JoinType, LogicalPlan};

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, project};
use super::project::named;
use super::with::{Body, CommonTables, used_more_than_once};
use crate::recursion::{Limits, Recursion, WorkRows};

/// The rows of the level before, as a recursive step sees them.
#[derive(Debug, Clone)]
pub(super) struct WorkTable {
    rows: Arc<WorkRows>,
    columns: Vec<Attribute>,
}

impl Analyzer {
    pub(super) fn recursion(
        &mut self,
        table: &CommonTables,
        query: &Relation,
        max_recursion: Option<i64>,
    ) -> Result<Analyzed> {
        let depth = self.tables.len();
        let result = self.recursive_union(table, query, max_recursion);
        self.tables.truncate(depth);
        result
    }

    fn recursive_union(
        &mut self,
        table: &CommonTables,
        query: &Relation,
        max_recursion: Option<i64>,
    ) -> Result<Analyzed> {
        let (anchor, step) = match query.node.as_ref() {
            // Common tables inside may be recursive, but not by this table.
            RelationNode::With { input, tables, recursive } => {
                if tables.iter().any(|t| refers_to(&t.query, &table.name)) {
                    return Err(invalid());
                }
                for (t, is_shared) in tables.iter().zip(used_more_than_once(input, tables)) {
                    self.tables.push(CommonTables::of(t, *recursive, self.outer.len(), is_shared));
                }
                union_parts(input, &table.name)?
            }
            _ => union_parts(query, &table.name)?,
        };
        let anchor = self.query(anchor)?;
        let columns: Vec<Attribute> = anchor.output.iter().map(|a| self.renewed(a).nullable()).collect();
        let work = self.work_rows(&columns);
        let body = Body::Work(WorkTable { rows: Arc::clone(&work), columns });
        let (name, columns, outer) = (table.name.clone(), table.columns.clone(), table.outer);
        self.tables.push(CommonTables::new(name, columns, body, outer));
        let step = self.query(step)?;
        let step_plan = step.plan.clone();
        let union = self.union_loop(anchor, step, Arc::clone(&work), max_recursion)?;
        check_places(&step_plan, &work)?;
        self.forbid_outer_columns(&union.plan, "A recursive common table")?;
        Ok(union)
    }

    fn work_rows(&self, columns: &[Attribute]) -> Arc<WorkRows> {
        let field =
            |(i, a): (usize, &Attribute)| boathouse_bridge::typed_field(i.to_string(), &a.data_type, true);
        WorkRows::new(Arc::new(Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>())))
    }

    /// The name of the table inside its own step.
    pub(super) fn work_table(&mut self, work: &WorkTable) -> Result<Analyzed> {
        let output: Vec<Attribute> = work.columns.iter().map(|a| self.renewed(a)).collect();
        let plan = super::values::scan(work.rows.table().spark()?, &output)?;
        Ok(Analyzed::new(plan, output))
    }

    fn union_loop(
        &mut self,
        anchor: Analyzed,
        step: Analyzed,
        work: Arc<WorkRows>,
        max_recursion: Option<i64>,
    ) -> Result<Analyzed> {
        if anchor.output.len() != step.output.len() {
            return Err(Error::new("NUM_COLUMNS_MISMATCH")
                .param("operator", "UNION")
                .param("firstNumColumns", anchor.output.len())
                .param("invalidOrdinalNum", "second")
                .param("invalidNumColumns", step.output.len())
                .message("The recursive step must give as many columns as the anchor."));
        }
        let mut output = Vec::new();
        let mut list = Vec::new();
        for (a, s) in anchor.output.iter().zip(&step.output) {
            if !merges(&a.data_type, &s.data_type) {
                return Err(Error::new("CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE")
                    .param("left", super::error::quoted(&a.data_type))
                    .param("right", super::error::quoted(&s.data_type))
                    .message(format!(
                        "The recursive step gives {} where the anchor gives {}.",
                        s.data_type.sql(),
                        a.data_type.sql()
                    )));
            }
            // What the step may have as NULL inside, the table may have.
            let wanted = match cast::can_cast(&s.data_type, &a.data_type, Mode::of(&self.context)) {
                true => a.data_type.clone(),
                false => a.data_type.as_nullable(),
            };
            let attribute = self.attribute(&a.name, wanted.clone(), a.nullable || s.nullable);
            list.push((self.implicit(s.typed(), &wanted)?.expr, attribute.clone()));
            output.push(attribute);
        }
        let step = project(list.into_iter().map(|(e, a)| named(e, &a)).collect(), step.plan)?;
        let mut anchor_list = Vec::with_capacity(output.len());
        for (a, o) in anchor.output.iter().zip(&output) {
            anchor_list.push(named(self.implicit(a.typed(), &o.data_type)?.expr, o));
        }
        let anchor = project(anchor_list, anchor.plan)?;
        let fields: Vec<_> = output
            .iter()
            .map(|a| (None, Arc::new(boathouse_bridge::typed_field(a.internal_name(), &a.data_type, true))))
            .collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default()).spark()?);
        let conf = self.session.conf();
        let limit = |key: &str| conf.integer(key).and_then(|n| u64::try_from(n).ok());
        let limits = Limits {
            levels: match max_recursion {
                Some(n) => u64::try_from(n).ok(),
                None => limit("spark.sql.cteRecursionLevelLimit"),
            },
            rows: limit("spark.sql.cteRecursionRowLimit"),
        };
        let node = Recursion { anchor, step, schema, work, limits };
        Ok(Analyzed::new(LogicalPlan::Extension(Extension { node: Arc::new(node) }), output))
    }
}

/// Anchor and step of a recursive query.
fn union_parts<'a>(query: &'a Relation, name: &str) -> Result<(&'a Relation, &'a Relation)> {
    match query.node.as_ref() {
        RelationNode::SetOperation {
            left,
            right,
            operation: SetOperation::Union,
            all,
            by_name: false,
            ..
        } if !refers_to(left, name) => {
            if *all {
                return Ok((left, right));
            }
            Err(Error::new("UNION_NOT_SUPPORTED_IN_RECURSIVE_CTE")
                .message("A recursive common table expression needs UNION ALL, not UNION."))
        }
        _ => Err(invalid()),
    }
}

fn invalid() -> Error {
    Error::new("INVALID_RECURSIVE_CTE").message(
        "A recursive common table expression is `anchor UNION ALL step`, where the anchor does not name the table itself.",
    )
}

/// Whether the types are the same but for the names of fields and what may be NULL inside.
fn is_alike(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::Array { element: a, .. }, DataType::Array { element: b, .. }) => is_alike(a, b),
        (DataType::Map { key: k, value: v, .. }, DataType::Map { key: l, value: w, .. }) => {
            is_alike(k, l) && is_alike(v, w)
        }
        (DataType::Struct(a), DataType::Struct(b)) => {
            let mut pairs = a.fields.iter().zip(&b.fields);
            a.fields.len() == b.fields.len() && pairs.all(|(a, b)| is_alike(&a.data_type, &b.data_type))
        }
        _ => a == b,
    }
}

/// Whether the step's column can be taken for the anchor's.
fn merges(anchor: &DataType, step: &DataType) -> bool {
    if is_alike(anchor, step) || *step == DataType::Null {
        return true;
    }
    if matches!(
        (anchor, step),
        (DataType::Timestamp, DataType::Date | DataType::TimestampNtz)
            | (DataType::TimestampNtz, DataType::Date)
    ) {
        return true;
    }
    let rank = |t: &DataType| match t {
        DataType::Byte => Some(1),
        DataType::Short => Some(2),
        DataType::Integer => Some(3),
        DataType::Long => Some(4),
        DataType::Float => Some(5),
        DataType::Double => Some(6),
        _ => None,
    };
    matches!((rank(anchor), rank(step)), (Some(a), Some(s)) if s <= a)
}

/// The table may be read only where every level's rows come from those of the one before alone.
fn check_places(plan: &LogicalPlan, work: &Arc<WorkRows>) -> Result<()> {
    let mut misplaced = false;
    let reads = |p: &LogicalPlan| reads_work(p, work);
    plan.apply_with_subqueries(|node| {
        misplaced |= match node {
            LogicalPlan::Join(join) => match join.join_type {
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                    reads(&join.right)
                }
                JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                    reads(&join.left)
                }
                JoinType::Full => reads(&join.left) || reads(&join.right),
                JoinType::Inner => false,
            },
            LogicalPlan::Aggregate(a) => reads(&a.input),
            LogicalPlan::Window(w) => reads(&w.input),
            LogicalPlan::Sort(s) => reads(&s.input),
            _ => false,
        };
        Ok(if misplaced { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .spark()?;
    if !misplaced {
        return Ok(());
    }
    Err(Error::new("INVALID_RECURSIVE_REFERENCE.PLACE").message(
        "A recursive reference cannot be on the right side of a left outer, semi or anti join, on the left side of a \
         right outer join, in a full outer join, in an aggregate, a window function or a sort.",
    ))
}

fn reads_work(plan: &LogicalPlan, work: &Arc<WorkRows>) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found |= work.is_table(&scan.source);
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.is_ok() && found
}

/// Whether the relation reads the table of that name, anywhere.
pub(super) fn refers_to(relation: &Relation, name: &str) -> bool {
    match relation.node.as_ref() {
        RelationNode::Table(t) => matches!(t.name.as_slice(), [n] if n.eq_ignore_ascii_case(name)),
        // A name that is given anew inside hides the one outside.
        RelationNode::With { tables, .. } if tables.iter().any(|t| t.name.eq_ignore_ascii_case(name)) => {
            false
        }
        node => {
            node.inputs().into_iter().any(|r| refers_to(r, name))
                || crate::relation_walk::subqueries(node).into_iter().any(|r| refers_to(r, name))
        }
    }
}

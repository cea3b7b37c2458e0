//! A file's columns as the table's: names in any case, missing columns, narrower types, and what is rescued of the others.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use boathouse_formats::json::Options;
use boathouse_formats::rescue::Rescue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

use crate::fitting::{check_types, renamed};
use crate::rescue::{self, RescuedExpr};

/// Finds the table's columns in files by Spark's rules.
#[derive(Debug)]
pub(super) struct AdapterFactory {
    case_sensitive: bool,
    rescue: Option<Rescue>,
    options: Arc<Options>,
}

impl PhysicalExprAdapterFactory for AdapterFactory {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let (renamed, rescued) = match &self.rescue {
            Some(rescue) => {
                let (renamed, expr) = rescue::of_file(&logical, &physical, rescue, &self.options)?;
                (renamed, Some((rescue.column.clone(), Arc::new(expr))))
            }
            None => (renamed(&logical, &physical, self.case_sensitive)?, None),
        };
        for field in logical.fields() {
            if let Ok(found) = renamed.field_with_name(field.name()) {
                check_types(field, found)?;
            }
        }
        let inner = DefaultPhysicalExprAdapterFactory.create(logical, renamed)?;
        Ok(Arc::new(Adapter { inner, physical, rescued }))
    }
}

impl AdapterFactory {
    /// `case_sensitive` is the session's; where data is rescued, the reader has its own.
    pub(super) fn new(case_sensitive: bool, rescue: Option<Rescue>, options: Arc<Options>) -> Self {
        Self { case_sensitive, rescue, options }
    }
}

#[derive(Debug)]
struct Adapter {
    inner: Arc<dyn PhysicalExprAdapter>,
    physical: SchemaRef,
    /// The column of rescued data, and what gives it.
    rescued: Option<(String, Arc<RescuedExpr>)>,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = match &self.rescued {
            None => expr,
            Some((name, rescued)) => expr
                .transform(|e| {
                    let is_rescued = e.downcast_ref::<Column>().is_some_and(|c| c.name() == name);
                    Ok(if is_rescued {
                        Transformed::yes(Arc::clone(rescued) as Arc<dyn PhysicalExpr>)
                    } else {
                        Transformed::no(e)
                    })
                })
                .data()?,
        };
        let rewritten = self.inner.rewrite(expr)?;
        let rewritten = match &self.rescued {
            None => rewritten,
            Some(_) => rewritten
                .transform(|e| {
                    Ok(match e.downcast_ref::<RescuedExpr>() {
                        Some(rescued) => {
                            Transformed::yes(Arc::new(rescued.over_file()) as Arc<dyn PhysicalExpr>)
                        }
                        None => Transformed::no(e),
                    })
                })
                .data()?,
        };
        // Pruning looks columns up by the names that the file has.
        rewritten
            .transform(|e| {
                let renamed = e.downcast_ref::<Column>().and_then(|c| {
                    let name = self.physical.fields().get(c.index())?.name();
                    (name != c.name()).then(|| Column::new(name, c.index()))
                });
                Ok(match renamed {
                    Some(column) => Transformed::yes(Arc::new(column) as Arc<dyn PhysicalExpr>),
                    None => Transformed::no(e),
                })
            })
            .data()
    }
}

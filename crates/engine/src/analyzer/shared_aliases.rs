//! Aliases of a SELECT list that later items use and whose values are others each time (`SELECT uuid() AS id, upper(id)`):
//! they are computed once, in a projection below the list. Other aliases are put in place of their names.

use boathouse_bridge::ResultExt;
use boathouse_spec::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr as DfExpr;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr};
use super::project::Item;

/// A value that is computed below the list.
pub(super) struct SharedAlias {
    /// The item that has the alias.
    item: usize,
    /// The value's name below.
    attribute: Attribute,
    pub value: DfExpr,
}

impl Analyzer {
    /// Lets later items see a column in place of each value that is another one each time.
    pub(super) fn share_volatile(&mut self, aliased: &mut [TypedExpr], places: &[usize]) -> Vec<SharedAlias> {
        let mut shared = Vec::new();
        for (alias, item) in aliased.iter_mut().zip(places).filter(|(alias, _)| alias.expr.is_volatile()) {
            let attribute = self.attribute(&alias.name, alias.data_type.clone(), alias.nullable);
            let value = std::mem::replace(&mut alias.expr, attribute.column());
            self.shared.push(attribute.clone());
            shared.push(SharedAlias { item: *item, attribute, value });
        }
        shared
    }

    /// The relation with the shared values as hidden columns.
    pub(super) fn with_shared(&mut self, mut input: Analyzed, shared: Vec<SharedAlias>) -> Result<Analyzed> {
        for SharedAlias { attribute, value, .. } in shared {
            let columns = input.columns().map(|a| (a.column(), a.clone()));
            let columns = columns.chain([(value, attribute.clone())]).collect();
            let plan = self.project_pairs(input.clone(), columns)?.plan;
            input.hidden.push(attribute);
            input = Analyzed { plan, below: None, ..input };
        }
        Ok(input)
    }
}

/// The values that items do use; the items that have them become columns.
pub(super) fn in_use(items: &mut [Item], shared: Vec<SharedAlias>) -> Vec<SharedAlias> {
    let uses = |expr: &DfExpr, alias: &SharedAlias| {
        let name = alias.attribute.internal_name();
        expr.column_refs().iter().any(|column| column.name == name)
    };
    let mut used: Vec<SharedAlias> = Vec::new();
    // From the last: what is shared may use what is shared before it.
    for alias in shared.into_iter().rev() {
        let by_items = items.iter().any(|item| uses(&item.value.expr, &alias));
        if by_items || used.iter().any(|later| uses(&later.value, &alias)) {
            items[alias.item].value.expr = alias.attribute.column();
            used.push(alias);
        }
    }
    used.reverse();
    used
}

/// Puts the values in place of their names, where nothing can be computed below.
pub(super) fn unshare(items: &mut [Item], shared: Vec<SharedAlias>) -> Result<()> {
    for SharedAlias { attribute, value, .. } in shared.into_iter().rev() {
        let name = attribute.internal_name();
        for item in items.iter_mut() {
            let expr = std::mem::replace(&mut item.value.expr, value.clone());
            let replaced = expr.transform_up(|e| {
                Ok(match &e {
                    DfExpr::Column(column) if column.name == name => Transformed::yes(value.clone()),
                    _ => Transformed::no(e),
                })
            });
            item.value.expr = replaced.spark()?.data;
        }
    }
    Ok(())
}

//! What names stand for that a service around the engine gives: datasets of a pipeline, and its table functions.

use std::sync::Arc;

use boathouse_spec::{Expr, Result, TableRef};

use super::Analyzer;
use super::analyzed::Analyzed;
use crate::{Dataset, TableFunction, literals};

impl Analyzer {
    /// A dataset of the pipeline that the session works for.
    pub(super) fn dataset(&mut self, table: &TableRef) -> Result<Option<Analyzed>> {
        let Some(datasets) = self.session.datasets() else { return Ok(None) };
        let (catalog, schema) = self.namespace.clone();
        let Some(found) = datasets.find(&table.name, (&catalog, &schema), table.is_streaming)? else {
            return Ok(None);
        };
        let analyzed = match found {
            Dataset::Columns(columns) => {
                let is_streaming = table.is_streaming;
                Analyzed { is_streaming, ..self.empty(&columns)? }
            }
            Dataset::Relation(relation, namespace) => {
                let environment = self.environment.clone();
                self.inside_view(&table.name.join("."), environment, namespace, |a| a.query(&relation))?
            }
        };
        self.aliased(analyzed, table.name.clone()).map(Some)
    }

    pub(super) fn service_function(
        &mut self,
        name: &str,
        function: Arc<dyn TableFunction>,
        args: &[Expr],
    ) -> Result<Analyzed> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            let (value, data_type) = self.constant(arg)?;
            values.push(literals::from_scalar(&value, &data_type)?);
        }
        let session = Arc::clone(&self.session);
        let relation = self.wait(async move { function.relation(&session, values).await })?;
        let analyzed = self.query(&relation)?;
        self.aliased(analyzed, vec![name.to_string()])
    }
}

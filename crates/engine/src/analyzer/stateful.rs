//! `applyInPandasWithState` and `transformWithState`.

use std::sync::Arc;

use boathouse_spec::{Error, Expr, Relation, Result, StatefulGroups, StatefulKind};
use datafusion::logical_expr::{Extension, LogicalPlan};

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, project};
use super::python::df_schema;
use crate::python::{Remembered, Setup, StateTime, StatefulGroups as Node, StatefulTask};

impl Analyzer {
    pub(super) fn stateful_groups(&mut self, groups: &StatefulGroups) -> Result<Analyzed> {
        let (input, keys, plan) = self.keyed(&groups.input, &groups.grouping)?;
        let mut inputs = vec![plan];
        let mut initial = Vec::new();
        let (remembered, time, time_name) = match &groups.kind {
            StatefulKind::GroupState { state, timeout } => {
                if !input.is_streaming {
                    return Err(Error::new("_LEGACY_ERROR_TEMP_3176")
                        .message("applyInPandasWithState is unsupported in batch query. Use applyInPandas instead.")
                        .exception("UnsupportedOperationException"));
                }
                (Remembered::Value(state.clone()), timeout_of(timeout)?, timeout.clone())
            }
            StatefulKind::Processor { time_mode, initial: first, .. } => {
                if let Some((first, grouping)) = first {
                    let (first, first_keys, plan) = self.keyed(first, grouping)?;
                    same_keys(&keys, &first_keys)?;
                    initial = first.schema().fields;
                    inputs.push(plan);
                }
                (Remembered::Variables, time_mode_of(time_mode)?, time_mode.clone())
            }
        };
        let output = self.attributes_of(&groups.output);
        let event_time = match &groups.kind {
            StatefulKind::Processor { event_time: Some(name), .. } => Some(event_time_of(&output, name)?),
            _ => None,
        };
        let task = StatefulTask {
            name: groups.name.clone(),
            remembered,
            time,
            time_name,
            output_mode: output_mode_of(&groups.output_mode, &groups.kind)?,
            keys: keys.iter().map(Attribute::field).collect(),
            columns: input.schema().fields,
            initial,
            output: groups.output.clone(),
            event_time,
            function: groups.function.clone(),
            setup: Setup::of(&self.session),
        };
        let is_streaming = input.is_streaming;
        let schema = df_schema(&output)?;
        let plan = match is_streaming {
            true => {
                let node = Node { task: Arc::new(task), inputs, schema };
                LogicalPlan::Extension(Extension { node: Arc::new(node) })
            }
            false => crate::python::stateful_batch(task, inputs, schema)?,
        };
        Ok(Analyzed { is_streaming, ..Analyzed::new(plan, output) })
    }

    /// A relation's keys, and the plan of its keys and columns.
    fn keyed(
        &mut self,
        input: &Relation,
        grouping: &[Expr],
    ) -> Result<(Analyzed, Vec<Attribute>, LogicalPlan)> {
        let input = self.query(input)?;
        let (columns, mut list) = self.keys_of_groups(grouping, &input)?;
        list.extend(input.output.iter().map(Attribute::column));
        let plan = project(list, input.plan.clone())?;
        Ok((input, columns, plan))
    }
}

/// Spark's `GroupStateTimeout` by its name.
fn timeout_of(text: &str) -> Result<StateTime> {
    match text {
        "NoTimeout" => Ok(StateTime::Never),
        "ProcessingTimeTimeout" => Ok(StateTime::ProcessingTime),
        "EventTimeTimeout" => Ok(StateTime::EventTime),
        _ => Err(Error::new("")
            .message(format!("Unknown group state timeout: {text}"))
            .exception("IllegalArgumentException")),
    }
}

/// Spark's `TimeMode` by its name.
fn time_mode_of(text: &str) -> Result<StateTime> {
    match text.to_lowercase().as_str() {
        "none" => Ok(StateTime::Never),
        "processingtime" => Ok(StateTime::ProcessingTime),
        "eventtime" => Ok(StateTime::EventTime),
        _ => Err(Error::new("STATEFUL_PROCESSOR_UNKNOWN_TIME_MODE")
            .param("timeMode", text)
            .message(format!(
                "Unknown time mode {text}. Accepted timeMode modes are 'none', 'processingTime', 'eventTime'"
            ))
            .exception("IllegalArgumentException")),
    }
}

fn output_mode_of(text: &str, kind: &StatefulKind) -> Result<String> {
    let mode = text.to_lowercase();
    if !matches!(mode.as_str(), "append" | "update" | "complete") {
        return Err(Error::new("STREAMING_OUTPUT_MODE.INVALID")
            .param("outputMode", text)
            .message(format!(
                "Invalid streaming output mode: {text}. Accepted output modes are 'Append', 'Complete', 'Update'."
            ))
            .exception("IllegalArgumentException"));
    }
    if mode == "complete" && matches!(kind, StatefulKind::GroupState { .. }) {
        return Err(Error::new("")
            .message("The output mode of function should be append or update")
            .exception("IllegalArgumentException"));
    }
    Ok(mode)
}

fn same_keys(keys: &[Attribute], initial: &[Attribute]) -> Result<()> {
    let same = keys.len() == initial.len()
        && keys.iter().zip(initial).all(|(k, i)| k.data_type.same_type(&i.data_type));
    if same {
        return Ok(());
    }
    let types =
        |keys: &[Attribute]| keys.iter().map(|k| k.data_type.simple_string()).collect::<Vec<_>>().join(", ");
    Err(Error::new("UNSUPPORTED_FEATURE.INITIAL_STATE_KEYS").message(format!(
        "The groups of the initial state have keys of other types ({}) than those of the rows ({}).",
        types(initial),
        types(keys)
    )))
}

fn event_time_of(output: &[Attribute], name: &str) -> Result<usize> {
    let found = output.iter().position(|a| a.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names: Vec<_> = output.iter().map(|a| vec![a.name.clone()]).collect();
        super::error::unresolved_column(&[name.to_string()], &names)
    })?;
    let data_type = &output[found].data_type;
    if !data_type.is_datetime() || matches!(data_type, boathouse_spec::DataType::Date) {
        return Err(super::error::not_a_time(name, data_type));
    }
    Ok(found)
}

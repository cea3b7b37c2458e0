//! Python data sources: a class of the user's that says its columns, its partitions, and the rows of each.

use std::sync::Arc;

use arrow::array::{BinaryArray, RecordBatch};
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use boathouse_bridge::ResultExt;
use boathouse_python::{Answer, EvalType, Question};
use boathouse_spec::{
    DataSourceRef, DataType, Error, Options, PythonFunction, Result, StructField, StructType,
};

use super::Setup;

/// A registered class.
#[derive(Debug, Clone)]
pub(crate) struct PythonSource {
    pub name: String,
    /// The pickled class.
    pub command: Vec<u8>,
    pub python_version: String,
}

/// A source with its options: its columns, and the pickled instance.
pub(crate) struct Opened {
    pub schema: StructType,
    pub(super) instance: Vec<u8>,
}

/// How the rows are read: a function over partitions.
pub(crate) struct ReadPlan {
    pub function: PythonFunction,
    pub(super) partitions: Vec<Vec<u8>>,
}

impl PythonSource {
    /// Makes an instance.
    pub async fn open(
        &self,
        setup: &Setup,
        schema: Option<&StructType>,
        options: &Options,
    ) -> Result<Opened> {
        let mut question = self.question("create_data_source", setup);
        question.bytes(&self.command);
        question.text(&self.name);
        question.flag(schema.is_some());
        if let Some(schema) = schema {
            question.text(&schema.json());
        }
        question.count(options.len());
        for (key, value) in options {
            question.text(key);
            question.text(value);
        }
        let mut answer =
            setup.workers.ask(&setup.options, question).await.map_err(|e| self.failed("create", &e))?;
        let instance = answer.bytes()?;
        let is_ddl = answer.int()? == 1;
        let text = answer.text()?;
        let schema = match is_ddl {
            true => boathouse_sql::parse_schema(&text)?,
            false => match DataType::from_json(&text)? {
                DataType::Struct(schema) => schema,
                _ => return Err(Error::internal("the schema of a data source is no struct")),
            },
        };
        Ok(Opened { schema, instance })
    }

    /// Plans the reading of an instance.
    pub async fn plan(&self, setup: &Setup, opened: &Opened) -> Result<ReadPlan> {
        let (function, mut answer) = self.read_function(setup, opened, false).await?;
        let count = answer.int()?;
        let partitions = (0..count).map(|_| answer.bytes()).collect::<Result<Vec<_>>>()?;
        Ok(ReadPlan { function, partitions })
    }

    /// The function that reads a partition; where nothing streams, the partitions follow in the answer.
    pub(super) async fn read_function(
        &self,
        setup: &Setup,
        opened: &Opened,
        is_streaming: bool,
    ) -> Result<(PythonFunction, Answer)> {
        let mut question = self.question("plan_data_source_read", setup);
        question.bytes(&opened.instance);
        let input = StructType::new(vec![StructField::new("partition", DataType::Binary, true)]);
        question.text(&input.json());
        question.text(&opened.schema.json());
        question.count(setup.batch_rows.min(10_000));
        // No filters are pushed down, and bytes are bytes.
        question.flag(false);
        question.flag(is_streaming);
        question.flag(true);
        let mut answer =
            setup.workers.ask(&setup.options, question).await.map_err(|e| self.failed("plan", &e))?;
        Ok((self.map_function(answer.bytes()?, opened.schema.clone()), answer))
    }

    /// A pickled function over the batches of a partition.
    pub(super) fn map_function(&self, command: Vec<u8>, gives: StructType) -> PythonFunction {
        PythonFunction {
            command,
            eval_type: EvalType::MAP_ARROW_ITER.0,
            python_version: self.python_version.clone(),
            includes: Vec::new(),
            return_type: Some(DataType::Struct(gives)),
        }
    }

    pub(super) fn question(&self, module: &'static str, setup: &Setup) -> Question {
        Question::new(module, &self.python_version, &setup.files, &setup.includes)
    }

    pub(super) fn failed(&self, action: &str, error: &Error) -> Error {
        Error::new("PYTHON_DATA_SOURCE_ERROR")
            .param("action", action)
            .param("type", &self.name)
            .param("msg", error.text())
            .message(format!("Failed to {action} the Python data source {}: {}", self.name, error.text()))
            .exception("AnalysisException")
    }
}

/// The options of a source, its paths among them.
pub(crate) fn options_of(source: &DataSourceRef) -> Options {
    let mut options = source.options.clone();
    match source.paths.as_slice() {
        [] => {}
        [path] => options.push(("path".to_string(), path.clone())),
        many => {
            let paths = serde_json::Value::from(many.to_vec()).to_string();
            options.push(("paths".to_string(), paths));
        }
    }
    options
}

impl ReadPlan {
    /// The partitions as rows, each in a partition of its own.
    pub fn rows(&self) -> Result<(SchemaRef, Vec<Vec<RecordBatch>>)> {
        let schema = Arc::new(Schema::new(vec![Field::new("0", ArrowType::Binary, true)]));
        let batch = |bytes: &Vec<u8>| {
            let column = BinaryArray::from_vec(vec![bytes.as_slice()]);
            Ok(vec![RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(column)]).spark()?])
        };
        let partitions = self.partitions.iter().map(batch).collect::<Result<Vec<_>>>()?;
        Ok((schema, partitions))
    }
}

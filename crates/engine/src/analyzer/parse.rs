//! `spark.read.json(df)` and `csv(df)`: text that is a column of a DataFrame.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use boathouse_bridge::{ResultExt, to_datafusion};
use boathouse_formats::{csv, json, xml};
use boathouse_spec::{DataType, Error, Options, Relation, Result, StructType};
use datafusion::common::DFSchema;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute};
use crate::operators::{self, PartitionOperator, PartitionWork};

impl Analyzer {
    pub(super) fn parse(
        &mut self,
        input: &Relation,
        format: &str,
        schema: Option<&StructType>,
        options: &Options,
    ) -> Result<Analyzed> {
        self.refuse_char(schema)?;
        let texts = self.texts(input)?;
        let defaults = crate::sources::context(&self.session)?.session;
        let (reader, schema) = match format {
            "json" => {
                let options = json::Options::parse(options, &defaults)?;
                let schema = match schema {
                    Some(schema) => schema.clone(),
                    None => {
                        options.check_for_inferring()?;
                        let mut inference = json::Inference::new(options.clone());
                        self.each_text(&texts, |text| inference.push(text).map(|()| true))?;
                        inference.finish()
                    }
                };
                json::Parser::new(&schema, options.clone())?;
                (Reader::Json(Box::new(options)), schema)
            }
            "xml" => {
                let options = xml::Options::parse(options, &defaults, false)?;
                let schema = match schema {
                    Some(schema) => schema.clone(),
                    None => {
                        options.check_for_inferring()?;
                        let mut all = Vec::new();
                        self.each_text(&texts, |text| {
                            all.push(text.to_string());
                            Ok(true)
                        })?;
                        xml::schema_of(all.iter().map(String::as_str), &options)
                    }
                };
                (Reader::Xml(Box::new(options)), schema)
            }
            "csv" => self.csv_reader(&texts, schema, options, &defaults)?,
            other => return Err(Error::unsupported(format!("reading {other} from a DataFrame of strings"))),
        };
        let output: Vec<Attribute> =
            schema.fields.iter().map(|f| self.attribute(&f.name, f.data_type.as_nullable(), true)).collect();
        let fields: Vec<_> = output
            .iter()
            .map(|a| boathouse_bridge::typed_field(a.internal_name(), &a.data_type, true))
            .collect();
        let arrow = Arc::new(Schema::new(fields));
        let columns = DFSchema::try_from(arrow.as_ref().clone()).spark()?;
        let parse = Parse { reader, schema, arrow };
        let plan = operators::plan(parse, vec![texts.plan], Vec::new(), Some(Arc::new(columns)));
        Ok(Analyzed::new(plan, output))
    }

    /// The one column of text.
    fn texts(&mut self, input: &Relation) -> Result<Analyzed> {
        let input = self.query(input)?;
        let [only] = input.output.as_slice() else {
            return Err(Error::new("UNSUPPORTED_DESERIALIZER.FIELD_NUMBER_MISMATCH")
                .param("schema", format!("\"{}\"", DataType::Struct(input.schema()).sql()))
                .param("ordinal", 1)
                .message(format!(
                    "Text is read from one column of strings, not from {} columns.",
                    input.output.len()
                )));
        };
        let only = only.clone();
        let text = self.implicit(only.typed(), &DataType::STRING)?;
        let attribute = self.attribute(&only.name, DataType::STRING, only.nullable);
        self.project_pairs(input, vec![(text.expr, attribute)])
    }

    fn csv_reader(
        &mut self,
        texts: &Analyzed,
        schema: Option<&StructType>,
        options: &Options,
        defaults: &boathouse_formats::options::SessionDefaults,
    ) -> Result<(Reader, StructType)> {
        let options = csv::Options::parse(options, defaults)?;
        let mut first: Option<String> = None;
        let mut inference = csv::Inference::new(options.clone());
        let infers = schema.is_none();
        if infers && options.infer_schema {
            options.check_for_inferring()?;
        }
        self.each_text(texts, |text| {
            if csv::is_filler(text, &options) {
                return Ok(true);
            }
            match &first {
                None => first = Some(text.to_string()),
                Some(header) if options.header && header == text => return Ok(true),
                Some(_) => {}
            }
            if infers {
                inference.push(text, 0)?;
            }
            Ok(infers && !inference.is_done())
        })?;
        let schema = schema.cloned().unwrap_or_else(|| inference.finish());
        csv::Parser::new(&schema, None, options.clone())?;
        let header = first.filter(|_| options.header);
        Ok((Reader::Csv { options: Box::new(options), header }, schema))
    }

    /// Looks at the texts, as long as `look` wants more.
    fn each_text(&mut self, texts: &Analyzed, mut look: impl FnMut(&str) -> Result<bool>) -> Result<()> {
        let session = Arc::clone(&self.session);
        let plan = texts.plan.clone();
        self.wait(async move {
            let mut rows = crate::execute::stream_of(&session, &plan).await?;
            while let Some(batch) = rows.next().await {
                let batch = batch.spark()?;
                for text in batch.column(0).as_string::<i32>().iter().flatten() {
                    if !look(text)? {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }
}

#[derive(Debug, Clone)]
enum Reader {
    Json(Box<json::Options>),
    Xml(Box<xml::Options>),
    /// Lines equal to the header are left out.
    Csv {
        options: Box<csv::Options>,
        header: Option<String>,
    },
}

#[derive(Clone)]
struct Parse {
    reader: Reader,
    schema: StructType,
    arrow: SchemaRef,
}

impl fmt::Debug for Parse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parse {:?} {:?}", self.reader, self.schema)
    }
}

impl PartitionOperator for Parse {
    fn key(&self) -> String {
        format!("{self:?}")
    }

    fn schema(&self) -> &SchemaRef {
        &self.arrow
    }
}

impl PartitionWork for Parse {
    fn name(&self) -> &str {
        "Parse"
    }

    fn run(
        &self,
        _: usize,
        rows: SendableRecordBatchStream,
        _: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let parse = self.clone();
        let parsed = rows.map(move |batch| parse.parsed(&batch?).map_err(to_datafusion));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.arrow), parsed)))
    }
}

impl Parse {
    fn parsed(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let texts = batch.column(0).as_string::<i32>();
        let texts = texts.iter().flatten();
        let read = match &self.reader {
            Reader::Json(options) => {
                let mut parser = json::Parser::new(&self.schema, options.as_ref().clone())?;
                for text in texts {
                    parser.push(text)?;
                }
                parser.finish()?
            }
            Reader::Xml(options) => {
                let texts = StringArray::from_iter_values(texts);
                let rows = xml::from_xml(&texts, &self.schema, options)?;
                let rows =
                    rows.as_struct_opt().ok_or_else(|| Error::internal("XML records gave no structs"))?;
                RecordBatch::from(rows)
            }
            Reader::Csv { options, header } => {
                let mut parser = csv::Parser::new(&self.schema, None, options.as_ref().clone())?;
                for text in texts.filter(|t| header.as_deref() != Some(*t)) {
                    parser.push(text)?;
                }
                parser.finish()?
            }
        };
        let columns = read.columns().iter().zip(self.arrow.fields());
        let columns = columns.map(|(c, f)| boathouse_functions::conform(Arc::clone(c), f.data_type()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(read.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.arrow), columns, &options).spark()
    }
}

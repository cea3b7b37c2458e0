//! Rows as messages: which columns make a message, and of which types. Spark: `KafkaWriter`.

use arrow::array::{Array, BinaryArray, Int32Array, ListArray, RecordBatch, StringArray, StructArray};
use boathouse_spec::{DataType, Error, Result, StructType};
use rdkafka::message::{Header, OwnedHeaders};

use super::rows::headers_type;

/// Refuses rows that are no messages. Names are as they are written: `VALUE` is another column.
pub fn check(schema: &StructType, topic: Option<&str>) -> Result<()> {
    let type_of = |name: &str| schema.fields.iter().find(|f| f.name == name).map(|f| &f.data_type);
    let text_or_bytes = [DataType::STRING, DataType::Binary];
    let columns: [(&str, &[DataType]); 5] = [
        ("topic", &[DataType::STRING]),
        ("key", &text_or_bytes),
        ("value", &text_or_bytes),
        ("headers", &[headers_type()]),
        ("partition", &[DataType::Integer]),
    ];
    for (name, wanted) in columns {
        match type_of(name) {
            // The option goes before the column.
            Some(_) if name == "topic" && topic.is_some() => {}
            Some(given) if wanted.iter().any(|t| t.as_nullable() == given.as_nullable()) => {}
            Some(given) => {
                let names: Vec<String> = wanted.iter().map(DataType::simple_string).collect();
                return Err(refused(format!(
                    "{name} attribute unsupported type {}. {name} must be a(n) {}",
                    given.simple_string(),
                    names.join(" or ")
                )));
            }
            None if name == "topic" && topic.is_none() => {
                return Err(refused(
                    "topic option required when no 'topic' attribute is present. Use the topic option for setting a topic.".into(),
                ));
            }
            None if name == "value" => return Err(refused("Required attribute 'value' not found".into())),
            None => {}
        }
    }
    Ok(())
}

fn refused(message: String) -> Error {
    Error::new("_LEGACY_ERROR_TEMP_3080")
        .param("msg", &message)
        .message(message)
        .exception("AnalysisException")
}

/// The columns of a batch that make messages.
pub struct Messages<'a> {
    topic: Option<&'a StringArray>,
    key: Option<Bytes<'a>>,
    value: Bytes<'a>,
    headers: Option<&'a ListArray>,
    partition: Option<&'a Int32Array>,
}

enum Bytes<'a> {
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
}

impl<'a> Bytes<'a> {
    fn of(column: &'a dyn Array) -> Result<Self> {
        if let Some(text) = column.as_any().downcast_ref() {
            return Ok(Self::Text(text));
        }
        column.as_any().downcast_ref().map(Self::Binary).ok_or_else(unknown)
    }

    fn get(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => text.is_valid(row).then(|| text.value(row).as_bytes()),
            Self::Binary(binary) => binary.is_valid(row).then(|| binary.value(row)),
        }
    }
}

impl<'a> Messages<'a> {
    /// The batch has the columns that [`check`] saw.
    pub fn of(batch: &'a RecordBatch) -> Result<Self> {
        let schema = batch.schema();
        let column = |name: &str| {
            let at = schema.fields().iter().position(|f| f.name() == name)?;
            Some(batch.column(at).as_ref())
        };
        fn typed<T: 'static>(column: Option<&dyn Array>) -> Option<&T> {
            column.and_then(|c| c.as_any().downcast_ref())
        }
        Ok(Self {
            topic: typed(column("topic")),
            key: column("key").map(Bytes::of).transpose()?,
            value: Bytes::of(column("value").ok_or_else(unknown)?)?,
            headers: typed(column("headers")),
            partition: typed(column("partition")),
        })
    }

    pub fn topic(&self, row: usize) -> Option<&'a str> {
        self.topic.filter(|t| t.is_valid(row)).map(|t| t.value(row))
    }

    pub fn key(&self, row: usize) -> Option<&'a [u8]> {
        self.key.as_ref().and_then(|k| k.get(row))
    }

    pub fn value(&self, row: usize) -> Option<&'a [u8]> {
        self.value.get(row)
    }

    pub fn partition(&self, row: usize) -> Option<i32> {
        self.partition.filter(|p| p.is_valid(row)).map(|p| p.value(row))
    }

    /// `None` where a message has no headers.
    pub fn headers(&self, row: usize) -> Result<Option<OwnedHeaders>> {
        let Some(list) = self.headers.filter(|h| h.is_valid(row)) else { return Ok(None) };
        let headers = list.value(row);
        let headers: &StructArray = headers.as_any().downcast_ref().ok_or_else(unknown)?;
        let keys: &StringArray = headers.column(0).as_any().downcast_ref().ok_or_else(unknown)?;
        let values: &BinaryArray = headers.column(1).as_any().downcast_ref().ok_or_else(unknown)?;
        let mut out = OwnedHeaders::new_with_capacity(headers.len());
        for i in 0..headers.len() {
            if headers.is_null(i) || keys.is_null(i) {
                return Err(Error::new("")
                    .message("A header of a Kafka message has no key.")
                    .exception("SparkException"));
            }
            let value = values.is_valid(i).then(|| values.value(i));
            out = out.insert(Header { key: keys.value(i), value });
        }
        Ok(Some(out))
    }
}

fn unknown() -> Error {
    Error::internal("columns of messages in another form than they were checked in")
}

#[cfg(test)]
mod tests {
    use boathouse_spec::StructField;

    use super::*;

    /// The texts are Spark 4.2's.
    #[test]
    fn rows_that_are_no_messages() {
        let schema = |columns: &[(&str, DataType)]| {
            StructType::new(columns.iter().map(|(n, t)| StructField::new(*n, t.clone(), true)).collect())
        };
        let text = DataType::STRING;
        let refusal = |columns: &[(&str, DataType)], topic| {
            check(&schema(columns), topic).map_or_else(|e| e.text().to_string(), |()| "taken".to_string())
        };
        assert_eq!(refusal(&[("value", text.clone()), ("topic", DataType::Integer)], Some("t")), "taken");
        assert_eq!(refusal(&[("VALUE", text.clone())], Some("t")), "Required attribute 'value' not found");
        assert_eq!(
            refusal(&[("value", text.clone())], None),
            "topic option required when no 'topic' attribute is present. Use the topic option for setting a topic."
        );
        assert_eq!(
            refusal(&[("value", DataType::Integer)], Some("t")),
            "value attribute unsupported type int. value must be a(n) string or binary"
        );
        assert_eq!(
            refusal(
                &[("value", text.clone()), ("headers", DataType::array(DataType::Integer, true))],
                Some("t")
            ),
            "headers attribute unsupported type array<int>. headers must be a(n) array<struct<key:string,value:binary>>"
        );
        assert_eq!(
            refusal(&[("value", text), ("partition", DataType::Long)], Some("t")),
            "partition attribute unsupported type bigint. partition must be a(n) int"
        );
    }
}

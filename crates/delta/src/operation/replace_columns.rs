//! ALTER TABLE REPLACE COLUMNS: the columns in another order, with other comments, with NULLs, with more and, where they are
//! mapped, with fewer of them (delta-spark's `AlterTableReplaceColumnsDeltaCommand`).

use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use serde_json::Value;

use super::alter::{commit_changed, field_json, refuse_constrained};
use super::delete::DmlOptions;
use crate::clustering;
use crate::schema::identity;
use crate::schema::stored::declared_schema;
use crate::schema::widening::{is_wider, widened, widened_inside};
use crate::snapshot::Snapshot;
use crate::stats::columns;
use crate::transaction::{Committed, Operation};

/// Gives the table these columns. Those it has keep what they are: their comments change where new ones are given.
pub async fn replace_columns(
    table: &Snapshot,
    wanted: &StructType,
    options: &DmlOptions,
) -> Result<Committed> {
    if !identity::identity_columns(table.schema()).is_empty() {
        return Err(Error::new("DELTA_IDENTITY_COLUMNS_REPLACE_COLUMN_NOT_SUPPORTED")
            .message("ALTER TABLE REPLACE COLUMNS does not take tables with identity columns.")
            .exception("UnsupportedOperationException"));
    }
    let old = declared_schema(table.schema());
    let mut replacing = Replacing {
        is_mapped: table.columns().is_mapped(),
        widens: table.metadata().is_on("delta.enableTypeWidening"),
        dropped: Vec::new(),
    };
    let schema =
        replacing.fields(&old, wanted, &mut Vec::new()).map_err(|reason| refused(&reason, &old, wanted))?;
    refuse_dropped(table, &replacing.dropped).await?;
    let mut metadata = table.metadata().clone();
    columns::drop(&mut metadata, &replacing.dropped);
    let listed = Value::Array(wanted.fields.iter().map(field_json).collect());
    let operation = Operation::new("REPLACE COLUMNS").json("columns", &listed);
    commit_changed(table, metadata, schema, operation, false, options).await
}

/// How columns are replaced; what is refused has its reason in delta-spark's words (`SchemaUtils.canChangeDataType`).
struct Replacing {
    is_mapped: bool,
    widens: bool,
    dropped: Vec<Vec<String>>,
}

/// The elements, keys and values of a field that get wider types, by the way to them.
type Grown = Vec<(Vec<String>, DataType)>;

impl Replacing {
    fn fields(
        &mut self,
        old: &StructType,
        wanted: &StructType,
        path: &mut Vec<String>,
    ) -> std::result::Result<StructType, String> {
        let mut out = Vec::with_capacity(wanted.fields.len());
        for field in &wanted.fields {
            let known = old.field(&field.name);
            path.push(known.unwrap_or(field).name.clone());
            match known {
                Some(known) => out.push(self.field(known, field, path)?),
                None if field.nullable => out.push(field.clone()),
                None => return Err(format!("adding non-nullable column {}", path.join("."))),
            }
            path.pop();
        }
        let gone: Vec<&str> =
            old.fields.iter().map(|f| f.name.as_str()).filter(|name| wanted.field(name).is_none()).collect();
        if gone.is_empty() {
            return Ok(StructType::new(out));
        }
        // A column that comes may be one that goes, by another name.
        if out.len() + gone.len() > old.fields.len() {
            return Err(format!("columns are dropped ([{}]) and added at once", gone.join(", ")));
        }
        if !self.is_mapped {
            return Err(format!("dropping column(s) [{}]", gone.join(", ")));
        }
        self.dropped.extend(gone.iter().map(|name| {
            let mut whole = path.clone();
            whole.push((*name).to_string());
            whole
        }));
        Ok(StructType::new(out))
    }

    fn field(
        &mut self,
        old: &StructField,
        wanted: &StructField,
        path: &mut Vec<String>,
    ) -> std::result::Result<StructField, String> {
        if old.nullable && !wanted.nullable {
            return Err(format!("tightening nullability of {}", path.join(".")));
        }
        let mut out = match wanted.comment() {
            Some(comment) => old.clone().with_comment(Some(&comment)),
            None => old.clone(),
        };
        out.nullable = wanted.nullable;
        if self.widens && is_wider(&old.data_type, &wanted.data_type) {
            return Ok(widened(&out, &wanted.data_type));
        }
        let mut grown = Grown::new();
        out.data_type =
            self.data_type(&old.data_type, &wanted.data_type, path, &mut Vec::new(), &mut grown)?;
        let whole = grown.iter().try_fold(out, |field, (way, to)| widened_inside(&field, way, to));
        whole.ok_or_else(|| format!("changing data type of {}", path.join(".")))
    }

    fn data_type(
        &mut self,
        old: &DataType,
        wanted: &DataType,
        path: &mut Vec<String>,
        way: &mut Vec<String>,
        grown: &mut Grown,
    ) -> std::result::Result<DataType, String> {
        let mut inside = |part: &str, old: &DataType, wanted: &DataType| {
            path.push(part.to_string());
            way.push(part.to_string());
            let t = self.data_type(old, wanted, path, way, grown);
            path.pop();
            way.pop();
            t
        };
        let tightens = |old: bool, wanted: bool| match old && !wanted {
            true => Err("tightening nullability of elements or values".to_string()),
            false => Ok(()),
        };
        Ok(match (old, wanted) {
            (
                DataType::Array { element: a, contains_null },
                DataType::Array { element: b, contains_null: n },
            ) => {
                tightens(*contains_null, *n)?;
                DataType::array(inside("element", a, b)?, *contains_null)
            }
            (
                DataType::Map { key: k, value: v, value_contains_null },
                DataType::Map { key: l, value: w, value_contains_null: n },
            ) => {
                tightens(*value_contains_null, *n)?;
                DataType::map(inside("key", k, l)?, inside("value", v, w)?, *value_contains_null)
            }
            (DataType::Struct(a), DataType::Struct(b)) => DataType::Struct(self.fields(a, b, path)?),
            (a, b) if !way.is_empty() && self.widens && is_wider(a, b) => {
                grown.push((way.clone(), b.clone()));
                a.clone()
            }
            (a, b) if a == b => a.clone(),
            (a, b) => {
                return Err(format!(
                    "changing data type of {} from {} to {}",
                    path.join("."),
                    a.sql(),
                    b.sql()
                ));
            }
        })
    }
}

/// Columns that the table is arranged by, or others depend on, stay.
async fn refuse_dropped(table: &Snapshot, dropped: &[Vec<String>]) -> Result<()> {
    clustering::refuse_drop(&table.clustering_columns().await?.unwrap_or_default(), dropped)?;
    for column in dropped {
        super::alter::refuse_dropped_partition(table, column)?;
        refuse_constrained(table, column)?;
    }
    Ok(())
}

fn refused(reason: &str, old: &StructType, new: &StructType) -> Error {
    let (old, new) = (old.tree_string(None), new.tree_string(None));
    Error::new("DELTA_UNSUPPORTED_ALTER_TABLE_REPLACE_COL_OP")
        .param("details", reason)
        .param("oldSchema", &old)
        .param("newSchema", &new)
        .message(format!(
            "Columns cannot be replaced so: {reason}.\nThe table has:\n{old}\nand is to have:\n{new}"
        ))
        .exception("AnalysisException")
}

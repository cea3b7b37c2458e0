//! `unionByName`: the columns of the right side in the order of the left, and so the fields of their structs, at any depth
//! of structs and arrays (Spark's `ResolveUnion`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, new_null_array};
use arrow::datatypes::DataType as ArrowType;
use boathouse_bridge::ResultExt;
use boathouse_functions::{Inputs, Resolved, scalar_udf};
use boathouse_spec::{DataType, Error, Result, StructField, StructType};
use datafusion::logical_expr::Expr as DfExpr;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr};
use super::column::same_name;
use super::error;
use super::extract::{ambiguous_field, no_such_field};

/// Where the fields of a value come from.
#[derive(Clone)]
enum Layout {
    /// The value is as it was.
    Same,
    /// Each field is one of the value's struct, or NULL.
    Fields(Vec<Option<(usize, Layout)>>),
    /// Each element of the value's array is laid out.
    Elements(Box<Layout>),
}

impl Analyzer {
    /// Both sides with the same columns in the same order, as far as their names allow.
    pub(super) fn by_name(
        &mut self,
        left: Analyzed,
        right: Analyzed,
        allow_missing: bool,
    ) -> Result<(Analyzed, Analyzed)> {
        self.refuse_equal_names(&left.output)?;
        self.refuse_equal_names(&right.output)?;
        let right = self.with_columns_of(right, &left.output, allow_missing)?;
        let left = if allow_missing { self.with_columns_of(left, &right.output, true)? } else { left };
        Ok((left, right))
    }

    fn refuse_equal_names(&self, columns: &[Attribute]) -> Result<()> {
        let twice =
            |(i, a): &(usize, &Attribute)| columns[..*i].iter().any(|b| self.same_name(&a.name, &b.name));
        match columns.iter().enumerate().find(twice) {
            Some((_, a)) => Err(error::column_twice(&a.name)),
            None => Ok(()),
        }
    }

    fn same_name(&self, a: &str, b: &str) -> bool {
        same_name(a, b, self.context.case_sensitive)
    }

    /// The columns that are wanted, in their order, and then those that only `side` has.
    fn with_columns_of(
        &mut self,
        side: Analyzed,
        wanted: &[Attribute],
        allow_missing: bool,
    ) -> Result<Analyzed> {
        let mut pairs = Vec::with_capacity(wanted.len());
        for to in wanted {
            match side.output.iter().find(|from| self.same_name(&from.name, &to.name)) {
                Some(from) => pairs.push(self.with_fields_of(from, &to.data_type, allow_missing)?),
                None if allow_missing => pairs.push(self.null_column(to)?),
                None => {
                    let class = "UNRESOLVED_COLUMN_AMONG_FIELD_NAMES";
                    return Err(error::no_such_column_of_frame(class, &to.name, &side.output));
                }
            }
        }
        let more =
            side.output.iter().filter(|from| !wanted.iter().any(|to| self.same_name(&from.name, &to.name)));
        pairs.extend(more.map(|from| (from.column(), from.clone())));
        self.project_pairs(side, pairs)
    }

    fn null_column(&mut self, of: &Attribute) -> Result<(DfExpr, Attribute)> {
        let null = DfExpr::Literal(ScalarValue::Null, None);
        let value = self.implicit(TypedExpr::new(null, DataType::Null, true, &of.name), &of.data_type)?;
        Ok((value.expr, self.attribute(&of.name, of.data_type.clone(), true)))
    }

    /// The column with the fields of `wanted` in their order, and then those that only the column has.
    fn with_fields_of(
        &mut self,
        column: &Attribute,
        wanted: &DataType,
        allow_missing: bool,
    ) -> Result<(DfExpr, Attribute)> {
        let (layout, data_type) = self.layout(&column.data_type, column.nullable, wanted, allow_missing)?;
        if matches!(layout, Layout::Same) {
            return Ok((column.column(), column.clone()));
        }
        let mut output = self.attribute(&column.name, data_type.clone(), column.nullable);
        output.metadata.clone_from(&column.metadata);
        // The type is part of the function's identity: with the column's own it decides the layout.
        let name = format!("fields_of_{}", data_type.sql());
        let arrow = boathouse_bridge::arrow_type(&data_type);
        let types = vec![column.data_type.clone()];
        let resolved = Resolved::new(types, data_type, column.nullable, move |inputs: &Inputs| {
            laid_out(&inputs.array(0)?, &layout, &arrow)
        });
        let function = scalar_udf(&name, resolved, &self.context);
        Ok((DfExpr::ScalarFunction(ScalarFunction::new_udf(function, vec![column.column()])), output))
    }

    /// How a value of one type gets the fields of another, and its type then.
    fn layout(
        &self,
        from: &DataType,
        nullable: bool,
        wanted: &DataType,
        allow_missing: bool,
    ) -> Result<(Layout, DataType)> {
        match (from, wanted) {
            (DataType::Struct(from), DataType::Struct(wanted)) if !self.same_fields(from, wanted) => {
                self.fields_layout(from, nullable, wanted, allow_missing)
            }
            (DataType::Array { element, contains_null }, DataType::Array { element: wanted, .. }) => {
                let (layout, element) = self.layout(element, *contains_null, wanted, allow_missing)?;
                let layout = match layout {
                    Layout::Same => Layout::Same,
                    other => Layout::Elements(Box::new(other)),
                };
                Ok((layout, DataType::array(element, *contains_null)))
            }
            (from, _) => Ok((Layout::Same, from.clone())),
        }
    }

    fn fields_layout(
        &self,
        from: &StructType,
        nullable: bool,
        wanted: &StructType,
        allow_missing: bool,
    ) -> Result<(Layout, DataType)> {
        let mut places = Vec::with_capacity(wanted.fields.len());
        let mut fields = Vec::with_capacity(wanted.fields.len());
        for to in &wanted.fields {
            let Some(i) = self.place_of(&to.name, from)? else {
                if !allow_missing {
                    return Err(no_such_field(&to.name, from));
                }
                places.push(None);
                fields.push(StructField::new(&to.name, to.data_type.clone(), true));
                continue;
            };
            // What is taken out of a NULL is NULL.
            let field_nullable = nullable || from.fields[i].nullable;
            let (layout, data_type) =
                self.layout(&from.fields[i].data_type, field_nullable, &to.data_type, allow_missing)?;
            places.push(Some((i, layout)));
            fields.push(StructField::new(&to.name, data_type, field_nullable));
        }
        for (i, field) in from.fields.iter().enumerate() {
            if !wanted.fields.iter().any(|to| self.same_name(&to.name, &field.name)) {
                places.push(Some((i, Layout::Same)));
                fields.push(StructField { nullable: nullable || field.nullable, ..field.clone() });
            }
        }
        Ok((Layout::Fields(places), DataType::structure(fields)))
    }

    fn place_of(&self, name: &str, of: &StructType) -> Result<Option<usize>> {
        let found: Vec<usize> =
            (0..of.fields.len()).filter(|i| self.same_name(&of.fields[*i].name, name)).collect();
        match found.as_slice() {
            [] => Ok(None),
            [i] => Ok(Some(*i)),
            _ => Err(ambiguous_field(name, found.len())),
        }
    }

    /// Whether two structs have the same names of fields in the same order, also inside of these.
    fn same_fields(&self, a: &StructType, b: &StructType) -> bool {
        let same = |(a, b): (&StructField, &StructField)| {
            self.same_name(&a.name, &b.name) && self.same_names(&a.data_type, &b.data_type)
        };
        a.fields.len() == b.fields.len() && a.fields.iter().zip(&b.fields).all(same)
    }

    fn same_names(&self, a: &DataType, b: &DataType) -> bool {
        match (a, b) {
            (DataType::Struct(a), DataType::Struct(b)) => self.same_fields(a, b),
            (DataType::Array { element: a, .. }, DataType::Array { element: b, .. }) => self.same_names(a, b),
            _ => true,
        }
    }
}

fn laid_out(array: &ArrayRef, layout: &Layout, target: &ArrowType) -> Result<ArrayRef> {
    match (layout, target) {
        (Layout::Same, _) => Ok(array.clone()),
        (Layout::Fields(places), ArrowType::Struct(fields)) => {
            let from = array.as_struct();
            let mut columns = Vec::with_capacity(fields.len());
            for (place, field) in places.iter().zip(fields) {
                columns.push(match place {
                    Some((i, layout)) => laid_out(from.column(*i), layout, field.data_type())?,
                    None => new_null_array(field.data_type(), from.len()),
                });
            }
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, from.nulls().cloned()).spark()?))
        }
        (Layout::Elements(layout), ArrowType::List(field)) => {
            let from = array.as_list::<i32>();
            let values = laid_out(from.values(), layout, field.data_type())?;
            let lists =
                ListArray::try_new(field.clone(), from.offsets().clone(), values, from.nulls().cloned());
            Ok(Arc::new(lists.spark()?))
        }
        (_, other) => Err(Error::internal(format!("{other} has no fields to lay out"))),
    }
}

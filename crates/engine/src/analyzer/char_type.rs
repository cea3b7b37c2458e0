//! CHAR columns: filled up by spaces when read, and compared without regard to trailing ones (Spark's
//! `ApplyCharTypePadding`).

use arrow::array::ArrayRef;
use boathouse_delta::Lengths;
use boathouse_functions::{Inputs, Resolved, refuse_char, scalar_udf};
use boathouse_spec::{Result, StructType};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::scalar::ScalarValue;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr, project};
use super::expr::is_foldable;
use super::project::named;

/// What comparisons know of a CHAR column.
#[derive(Debug, Clone, Copy)]
pub(super) struct CharColumn {
    length: usize,
    /// Whether its values were filled up when they were read.
    is_filled: bool,
}

impl Analyzer {
    /// A schema for reading has STRING in place of CHAR and VARCHAR, which are types of tables' columns (Spark's
    /// `CharVarcharUtils.failIfHasCharVarchar`).
    pub(super) fn refuse_char(&self, schema: Option<&StructType>) -> Result<()> {
        let refused = schema.into_iter().flat_map(|s| &s.fields).try_for_each(|f| refuse_char(&f.data_type));
        let is_off = || self.session.conf().flag("spark.sql.legacy.charVarcharAsString");
        refused.or_else(|e| if is_off() { Ok(()) } else { Err(e) })
    }

    /// Remembers that a column is CHAR, for comparisons with it.
    pub(super) fn note_char(&mut self, attribute: &Attribute) {
        self.note_char_column(attribute, true);
    }

    /// The same of a column as its files have it.
    pub(super) fn note_stored_char(&mut self, attribute: &Attribute) {
        self.note_char_column(attribute, false);
    }

    fn note_char_column(&mut self, attribute: &Attribute, is_filled: bool) {
        if attribute.metadata.is_empty() || !attribute.data_type.is_string() {
            return;
        }
        if let Some(Lengths::Text { is_char: true, length }) = Lengths::of(&attribute.field()) {
            self.char_columns.insert(attribute.internal_name(), CharColumn { length, is_filled });
        }
    }

    /// A scan whose CHAR columns have their declared lengths, however they were stored.
    pub(super) fn with_padding(&mut self, scan: Analyzed) -> Result<Analyzed> {
        let conf = self.session.conf();
        let lengths: Vec<Option<Lengths>> = scan
            .output
            .iter()
            .map(|a| Lengths::of(&a.field()).filter(|_| !a.metadata.is_empty()).filter(Lengths::has_char))
            .collect();
        let is_off =
            !conf.flag("spark.sql.readSideCharPadding") || conf.flag("spark.sql.legacy.charVarcharAsString");
        if is_off || lengths.iter().all(Option::is_none) {
            return Ok(scan);
        }
        let mut output = Vec::with_capacity(scan.output.len());
        let mut list = Vec::with_capacity(scan.output.len());
        for (attribute, lengths) in scan.output.iter().zip(lengths) {
            let Some(lengths) = lengths else {
                output.push(attribute.clone());
                list.push(attribute.column());
                continue;
            };
            let value = self.padded(attribute.typed(), lengths);
            let new = self.renewed(attribute);
            list.push(named(value.expr, &new));
            output.push(new);
        }
        list.extend(scan.hidden.iter().map(Attribute::column));
        let plan = project(list, scan.plan)?;
        Ok(Analyzed { plan, output, ..scan })
    }

    /// The operands of a comparison: a CHAR column and what it is compared with, in the length of the longer.
    pub(super) fn with_char_lengths(&self, mut operands: Vec<TypedExpr>) -> Vec<TypedExpr> {
        let columns: Vec<Option<CharColumn>> = operands.iter().map(|o| self.char_column(&o.expr)).collect();
        let is_off = || self.session.conf().flag("spark.sql.legacy.charVarcharAsString");
        if columns.iter().all(Option::is_none) || is_off() {
            return operands;
        }
        let literals: Vec<Option<usize>> = operands.iter().map(|o| self.constant_length(o)).collect();
        if columns.iter().zip(&literals).any(|(column, literal)| column.is_none() && literal.is_none()) {
            return operands;
        }
        let lengths = columns.iter().flatten().map(|c| c.length).chain(literals.iter().flatten().copied());
        let Some(length) = lengths.max() else { return operands };
        let is_read_filled = self.session.conf().flag("spark.sql.readSideCharPadding");
        for (operand, column) in operands.iter_mut().zip(&columns) {
            // A column of the length stays as it is, also where a UNION took values into it that are shorter.
            if is_read_filled && column.is_some_and(|c| c.is_filled && c.length == length) {
                continue;
            }
            *operand = self.padded(operand.clone(), Lengths::Text { is_char: true, length });
        }
        operands
    }

    pub(super) fn is_char(&self, expr: &Expr) -> bool {
        self.char_column(expr).is_some()
    }

    fn char_column(&self, expr: &Expr) -> Option<CharColumn> {
        match expr {
            Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => {
                self.char_columns.get(&column.name).copied()
            }
            _ => None,
        }
    }

    /// The characters of a string that is the same for all rows.
    fn constant_length(&self, operand: &TypedExpr) -> Option<usize> {
        if !operand.data_type.is_string() || !is_foldable(&operand.expr) {
            return None;
        }
        match self.fold(operand) {
            Ok(ScalarValue::Utf8(text)) => Some(text.map_or(0, |t| t.chars().count())),
            _ => None,
        }
    }

    fn padded(&self, value: TypedExpr, lengths: Lengths) -> TypedExpr {
        // The lengths are a part of the function's identity.
        let name = format!("read_side_padding[{lengths:?}]");
        let resolved = Resolved::new(
            vec![value.data_type.clone()],
            value.data_type.clone(),
            value.nullable,
            move |inputs: &Inputs| -> Result<ArrayRef> {
                let arrays = inputs.arrays()?;
                arrays.first().map_or_else(
                    || Err(boathouse_spec::Error::internal("padding without a value")),
                    |values| lengths.padded(values),
                )
            },
        );
        let function = scalar_udf(&name, resolved, &self.context);
        let expr = Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value.expr]));
        TypedExpr { expr, ..value }
    }
}

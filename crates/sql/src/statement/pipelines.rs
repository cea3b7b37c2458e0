//! Statements of pipelines: datasets, flows, change data capture.

use boathouse_spec::{
    AutoCdc, ChangeColumns, Command, CreateTable, Error, Expr, Name, PipelineDataset, PipelineDatasetKind,
    PipelineStatement, Plan, Relation, RelationNode, Result, TableRef,
};

use super::column_definition::TableElements;
use super::{command, not_allowed};
use crate::parser::Parser;

fn pipeline(statement: PipelineStatement) -> Plan {
    command(Command::Pipeline(Box::new(statement)))
}

impl Parser<'_> {
    /// `CREATE [OR REFRESH] [PRIVATE] {STREAMING TABLE | MATERIALIZED VIEW} ..` and the older `LIVE` forms.
    pub fn create_dataset(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.expect("CREATE")?;
        let or_refresh = self.eat_all(&["OR", "REFRESH"]);
        if !or_refresh && self.eat("OR") {
            self.expect("REPLACE")?;
        }
        let mut private = false;
        let mut incremental = false;
        loop {
            if self.eat_word("PRIVATE") || self.eat("TEMPORARY") {
                private = true;
            } else if self.at_word(0, "LIVE") || self.at_word(0, "INCREMENTAL") {
                incremental |= self.at_word(0, "INCREMENTAL");
                self.advance();
            } else {
                break;
            }
        }
        let kind = if self.eat("STREAMING") {
            self.eat_word("LIVE");
            self.expect("TABLE")?;
            PipelineDatasetKind::StreamingTable
        } else if self.eat_all(&["MATERIALIZED", "VIEW"]) {
            PipelineDatasetKind::MaterializedView
        } else if self.eat("TABLE") {
            if incremental {
                PipelineDatasetKind::StreamingTable
            } else {
                PipelineDatasetKind::MaterializedView
            }
        } else {
            self.expect("VIEW")?;
            PipelineDatasetKind::TemporaryView
        };
        let if_not_exists = self.if_not_exists()?;
        let name = self.reference_name()?;
        let elements =
            if self.at_symbol("(") { self.table_elements(true)? } else { TableElements::default() };
        let mut clauses = CreateTable::default();
        if self.eat("USING") {
            clauses.provider = Some(self.name()?.join("."));
        }
        self.table_clauses(&mut clauses)?;
        for clause in ["SCHEDULE", "TRIGGER", "FLOW"] {
            if self.at_word(0, clause) {
                return Err(Error::unsupported(format!("the clause {clause} of a dataset")));
            }
        }
        if self.at_words(&["REFRESH", "POLICY"]) {
            return Err(Error::unsupported("the clause REFRESH POLICY of a dataset"));
        }
        for (given, clause) in [
            (clauses.bucket.is_some(), "CLUSTERED BY"),
            (!clauses.options.is_empty(), "OPTIONS"),
            (clauses.collation.is_some(), "DEFAULT COLLATION"),
            (clauses.row_filter.is_some(), "ROW FILTER"),
        ] {
            if given {
                return Err(self.not_allowed(start, &format!("{clause} of a pipeline dataset")));
            }
        }
        let query = if self.eat("AS") { Some(self.view_query()?) } else { None };
        if query.is_none() && kind != PipelineDatasetKind::StreamingTable {
            self.note_statement(not_allowed("Unable to find query for CREATE MATERIALIZED VIEW statement."));
        }
        Ok(pipeline(PipelineStatement::CreateDataset(PipelineDataset {
            kind,
            name,
            or_refresh,
            if_not_exists,
            private,
            columns: elements.columns,
            constraints: elements.constraints,
            provider: clauses.provider,
            partition_by: clauses.partition_by,
            cluster_by: clauses.cluster_by,
            location: clauses.location,
            comment: clauses.comment,
            properties: clauses.properties,
            query,
        })))
    }

    /// `STREAMING TABLE` or `MATERIALIZED VIEW`
    fn dataset_kind(&mut self) -> Result<PipelineDatasetKind> {
        if self.eat("STREAMING") {
            self.expect("TABLE")?;
            return Ok(PipelineDatasetKind::StreamingTable);
        }
        self.expect_all(&["MATERIALIZED", "VIEW"])?;
        Ok(PipelineDatasetKind::MaterializedView)
    }

    pub fn drop_dataset(&mut self) -> Result<Plan> {
        self.expect("DROP")?;
        let kind = self.dataset_kind()?;
        let if_exists = self.if_exists();
        Ok(pipeline(PipelineStatement::Drop { kind, name: self.reference_name()?, if_exists }))
    }

    pub fn alter_dataset(&mut self) -> Result<Plan> {
        self.expect("ALTER")?;
        let kind = self.dataset_kind()?;
        let what = match kind {
            PipelineDatasetKind::StreamingTable => "STREAMING TABLE",
            _ => "MATERIALIZED VIEW",
        };
        Err(Error::unsupported(format!("ALTER {what}")))
    }

    /// `CREATE FLOW f [COMMENT '..'] AS {INSERT INTO [ONCE] t [BY NAME] query | AUTO CDC ..}`
    pub fn create_flow(&mut self) -> Result<Plan> {
        self.expect_all(&["CREATE", "FLOW"])?;
        let name = self.reference_name()?;
        let comment = if self.eat("COMMENT") { Some(self.comment_text()?) } else { None };
        self.expect("AS")?;
        if self.eat_words(&["AUTO", "CDC"]) {
            let once = self.eat_word("ONCE");
            self.expect("INTO")?;
            return self.auto_cdc(Some(name), comment, once);
        }
        self.expect_all(&["INSERT", "INTO"])?;
        let once = self.at_word(0, "ONCE") && self.is_identifier(self.peek_at(1)) && !self.at_offset(1, "BY");
        if once {
            self.advance();
        }
        self.eat("TABLE");
        let target = self.reference_name()?;
        self.eat_all(&["BY", "NAME"]);
        let query = self.insert_source()?;
        Ok(pipeline(PipelineStatement::CreateFlow { name, target, query, comment, once }))
    }

    /// `APPLY CHANGES INTO t ..`
    pub fn apply_changes(&mut self) -> Result<Plan> {
        self.expect_words(&["APPLY", "CHANGES", "INTO"])?;
        self.auto_cdc(None, None, false)
    }

    /// What follows INTO: `t FROM s KEYS (..) .. SEQUENCE BY .. [STORED AS SCD TYPE n] ..`
    fn auto_cdc(&mut self, flow: Option<Name>, comment: Option<String>, once: bool) -> Result<Plan> {
        let target = self.reference_name()?;
        self.expect("FROM")?;
        let source = self.cdc_source()?;
        self.expect("KEYS")?;
        let keys = self.parenthesized(Self::name)?;
        let mut cdc = AutoCdc {
            flow,
            target,
            source,
            keys,
            sequence_by: Expr::Default,
            ignore_null_updates: false,
            apply_as_deletes: None,
            apply_as_truncates: None,
            columns: ChangeColumns::All,
            scd_type: 1,
            track_history: ChangeColumns::All,
            comment,
            once,
        };
        let mut sequence_by = None;
        loop {
            if self.eat_words(&["IGNORE", "NULL", "UPDATES"]) {
                cdc.ignore_null_updates = true;
            } else if self.eat_words(&["APPLY", "AS", "DELETE", "WHEN"]) {
                cdc.apply_as_deletes = Some(self.expression()?);
            } else if self.eat_words(&["APPLY", "AS", "TRUNCATE", "WHEN"]) {
                cdc.apply_as_truncates = Some(self.expression()?);
            } else if self.eat_words(&["SEQUENCE", "BY"]) {
                sequence_by = Some(self.expression()?);
            } else if self.eat("COLUMNS") {
                cdc.columns = self.change_columns()?;
            } else if self.eat_words(&["STORED", "AS", "SCD", "TYPE"]) {
                cdc.scd_type = match self.integer_value()? {
                    1 => 1,
                    2 => 2,
                    _ => return Err(self.unexpected_at(self.pos - 1)),
                };
            } else if self.eat_words(&["TRACK", "HISTORY", "ON"]) {
                cdc.track_history = self.change_columns()?;
            } else {
                break;
            }
        }
        let Some(sequence_by) = sequence_by else { return Err(self.unexpected()) };
        cdc.sequence_by = sequence_by;
        Ok(pipeline(PipelineStatement::AutoCdc(cdc)))
    }

    /// `STREAM t`, `STREAM(t)`, `t` or a query in parentheses; always read as a stream.
    fn cdc_source(&mut self) -> Result<Relation> {
        let parenthesized = if self.eat("STREAM") { self.eat_symbol("(") } else { false };
        if self.at_symbol("(") {
            self.advance();
            let query = self.query()?;
            self.expect_symbol(")")?;
            return Ok(query);
        }
        let name = self.reference_name()?;
        if parenthesized {
            self.expect_symbol(")")?;
        }
        Ok(RelationNode::Table(TableRef { name, is_streaming: true, ..TableRef::default() }).into())
    }

    /// `(a, b)`, `a, b` or `* EXCEPT (a, b)`
    fn change_columns(&mut self) -> Result<ChangeColumns> {
        if self.eat_symbol("*") {
            if self.eat("EXCEPT") {
                return Ok(ChangeColumns::Except(self.parenthesized(Self::name)?));
            }
            return Ok(ChangeColumns::All);
        }
        let names = if self.at_symbol("(") { self.parenthesized(Self::name)? } else { self.names()? };
        Ok(ChangeColumns::Only(names))
    }
}

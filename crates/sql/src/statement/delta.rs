//! Maintenance of Delta tables.

use boathouse_spec::{Command, FsckMode, Name, Plan, RelationNode, Result, TableRef, TimeTravel, VacuumMode};

use super::command;
use crate::lexer::Kind;
use crate::parser::Parser;

impl Parser<'_> {
    /// A table's name, or a path in quotes, which means the Delta table there.
    pub fn table_or_path(&mut self) -> Result<Name> {
        if self.at_string() {
            return Ok(vec!["delta".to_string(), self.string_literal()?]);
        }
        self.reference_name()
    }

    /// `OPTIMIZE t [FULL] [WHERE ..] [ZORDER BY (a, b)]`
    pub fn optimize(&mut self) -> Result<Plan> {
        self.advance();
        self.optional_table_word();
        let table = self.table_or_path()?;
        let full = self.eat("FULL");
        let condition = if self.eat("WHERE") { Some(self.text_expression()?) } else { None };
        let mut zorder_by = vec![];
        if self.eat_words(&["ZORDER", "BY"]) {
            zorder_by = if self.at_symbol("(") { self.parenthesized(Self::name)? } else { self.names()? };
        }
        Ok(command(Command::Optimize { table, condition, zorder_by, full }))
    }

    fn optional_table_word(&mut self) {
        if self.at("TABLE")
            && (self.is_identifier(self.peek_at(1)) || self.is_string(self.peek_at(1)))
            && !self.symbol_at(1, ".")
        {
            self.advance();
        }
    }

    /// `VACUUM t [FULL | LITE] [USING INVENTORY {t | (query)}] [RETAIN n {HOURS | DAYS}] [DRY RUN]`
    pub fn vacuum(&mut self) -> Result<Plan> {
        self.advance();
        self.optional_table_word();
        let table = self.table_or_path()?;
        let (mut retain_hours, mut dry_run, mut mode) = (None, false, VacuumMode::Default);
        let mut inventory = None;
        let mut seen = Vec::new();
        loop {
            if self.eat_words(&["DRY", "RUN"]) {
                self.once(&mut seen, "DRY RUN");
                dry_run = true;
            } else if self.eat_word("RETAIN") {
                self.once(&mut seen, "RETAIN");
                let negative = self.eat_symbol("-");
                if !matches!(self.kind(), Kind::Integer | Kind::Decimal) {
                    return Err(self.unexpected());
                }
                let token = self.advance();
                let hours: f64 = self.source(token).parse().map_err(|_| self.unexpected_at(self.pos - 1))?;
                let hours = if negative { -hours } else { hours };
                retain_hours = Some(match self.eat_any(&["HOURS", "HOUR", "DAYS", "DAY"]) {
                    Some("HOURS" | "HOUR") => hours,
                    Some(_) => hours * 24.0,
                    None => return Err(self.unexpected()),
                });
            } else if self.eat("FULL") {
                self.once(&mut seen, "FULL");
                mode = VacuumMode::Full;
            } else if self.eat_word("LITE") {
                self.once(&mut seen, "LITE");
                mode = VacuumMode::Lite;
            } else if self.eat_words(&["USING", "INVENTORY"]) {
                self.once(&mut seen, "USING INVENTORY");
                inventory = Some(if self.at_symbol("(") {
                    self.advance();
                    let query = self.query()?;
                    self.expect_symbol(")")?;
                    query
                } else {
                    let name = self.table_or_path()?;
                    RelationNode::Table(TableRef { name, ..TableRef::default() }).into()
                });
            } else {
                return Ok(command(Command::Vacuum { table, retain_hours, dry_run, mode, inventory }));
            }
        }
    }

    /// `RESTORE [TABLE] t [TO] {VERSION AS OF n | TIMESTAMP AS OF t}`
    pub fn restore(&mut self) -> Result<Plan> {
        self.advance();
        self.optional_table_word();
        let table = self.table_or_path()?;
        self.eat("TO");
        let Some(to) = self.time_travel()? else { return Err(self.unexpected()) };
        if let TimeTravel::Version(version) = &to
            && crate::query::long_value(version).is_none()
        {
            return Err(self.unexpected_at(self.pos - 1));
        }
        Ok(command(Command::Restore { table, to }))
    }

    /// `REORG TABLE t {[WHERE ..] APPLY (PURGE) | APPLY (UPGRADE UNIFORM (ICEBERG_COMPAT_VERSION = n))}`
    pub fn reorg(&mut self) -> Result<Plan> {
        self.advance();
        self.expect("TABLE")?;
        let table = self.table_or_path()?;
        let condition = if self.eat("WHERE") { Some(self.text_expression()?) } else { None };
        self.expect_word("APPLY")?;
        self.expect_symbol("(")?;
        if condition.is_none() && self.eat_words(&["UPGRADE", "UNIFORM"]) {
            self.expect_symbol("(")?;
            self.expect_word("ICEBERG_COMPAT_VERSION")?;
            self.expect_symbol("=")?;
            let token = self.advance();
            let version: i32 = self.source(token).parse().map_err(|_| self.unexpected_at(self.pos - 1))?;
            self.expect_symbol(")")?;
            self.expect_symbol(")")?;
            return Ok(command(Command::UpgradeUniform { table, version }));
        }
        self.expect_word("PURGE")?;
        self.expect_symbol(")")?;
        Ok(command(Command::Reorg { table, condition }))
    }

    /// ``CONVERT TO DELTA parquet.`path` [NO STATISTICS] [PARTITIONED BY (a INT)]``
    pub fn convert(&mut self) -> Result<Plan> {
        self.advance();
        self.expect_words(&["TO", "DELTA"])?;
        let table = self.reference_name()?;
        let (mut no_statistics, mut partition_schema) = (false, None);
        loop {
            if self.eat_words(&["NO", "STATISTICS"]) {
                no_statistics = true;
            } else if self.eat_all(&["PARTITIONED", "BY"]) {
                self.expect_symbol("(")?;
                partition_schema = Some(self.column_types()?);
                self.expect_symbol(")")?;
            } else {
                let names_table = false;
                return Ok(command(Command::ConvertToDelta {
                    table,
                    partition_schema,
                    no_statistics,
                    names_table,
                }));
            }
        }
    }

    /// `FSCK REPAIR TABLE t [METADATA ONLY | VERIFY ALL FILES | VERIFY FILES MODIFIED BETWEEN a AND b] [DRY RUN]`
    pub fn fsck(&mut self) -> Result<Plan> {
        self.advance();
        self.expect_words(&["REPAIR", "TABLE"])?;
        let table = self.table_or_path()?;
        let mode = if self.eat_words(&["METADATA", "ONLY"]) {
            FsckMode::MetadataOnly
        } else if self.eat_words(&["VERIFY", "ALL", "FILES"]) {
            FsckMode::VerifyAll
        } else if self.eat_words(&["VERIFY", "FILES", "MODIFIED", "BETWEEN"]) {
            let from = self.value_expression()?;
            self.expect("AND")?;
            FsckMode::VerifyModified { from, to: self.value_expression()? }
        } else {
            FsckMode::Default
        };
        let dry_run = self.eat_words(&["DRY", "RUN"]);
        Ok(command(Command::Fsck { table, mode, dry_run }))
    }

    /// `GENERATE symlink_format_manifest FOR TABLE t`
    pub fn generate(&mut self) -> Result<Plan> {
        self.advance();
        let mode = self.identifier()?;
        self.expect_all(&["FOR", "TABLE"])?;
        Ok(command(Command::Generate { table: self.table_or_path()?, mode }))
    }
}

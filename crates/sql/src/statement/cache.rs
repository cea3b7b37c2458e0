//! Caches, statistics and other care for tables.

use boathouse_spec::{AnalyzeColumns, Command, Error, PipelineDatasetKind, PipelineStatement, Plan, Result};

use super::command;
use crate::error;
use crate::parser::Parser;

impl Parser<'_> {
    /// `CACHE [LAZY] TABLE t [OPTIONS (..)] [[AS] query]`
    pub fn cache(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.expect("CACHE")?;
        let lazy = self.eat("LAZY");
        self.expect("TABLE")?;
        let name = self.reference_name()?;
        let options = if self.eat("OPTIONS") { self.property_list()? } else { vec![] };
        let query = if self.eat("AS") || self.is_query_at(self.pos) { Some(self.query()?) } else { None };
        if query.is_some() && name.len() > 1 {
            let parts: Vec<_> =
                name[..name.len() - 1].iter().map(|p| boathouse_spec::quote_if_needed(p)).collect();
            let prefix = parts.join(".");
            return Err(self.error_from(
                start,
                Error::new("_LEGACY_ERROR_TEMP_0037")
                    .param("quoted", &prefix)
                    .message(format!("The name of a cached query takes no prefix {prefix}.")),
            ));
        }
        Ok(command(Command::CacheTable { name, query, lazy, options }))
    }

    pub fn uncache(&mut self) -> Result<Plan> {
        self.expect_all(&["UNCACHE", "TABLE"])?;
        let if_exists = self.if_exists();
        Ok(command(Command::UncacheTable { name: self.reference_name()?, if_exists }))
    }

    pub fn clear_cache(&mut self) -> Result<Plan> {
        self.expect_all(&["CLEAR", "CACHE"])?;
        Ok(command(Command::ClearCache))
    }

    /// `REFRESH {TABLE | FUNCTION | MATERIALIZED VIEW | STREAMING TABLE} name`, `REFRESH path`
    pub fn refresh(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.expect("REFRESH")?;
        let kind = if self.eat_all(&["MATERIALIZED", "VIEW"]) {
            Some(PipelineDatasetKind::MaterializedView)
        } else if self.eat_all(&["STREAMING", "TABLE"]) {
            Some(PipelineDatasetKind::StreamingTable)
        } else {
            None
        };
        if let Some(kind) = kind {
            let name = self.reference_name()?;
            let full = self.eat("FULL");
            if self.at_any(&["SYNC"]) || self.at_word(0, "ASYNC") {
                return Err(Error::unsupported("REFRESH .. SYNC and ASYNC"));
            }
            return Ok(command(Command::Pipeline(Box::new(PipelineStatement::Refresh { kind, name, full }))));
        }
        if self.at("TABLE") && !self.at_end_after() {
            self.advance();
            return Ok(command(Command::RefreshTable { name: self.reference_name()? }));
        }
        if self.at("FUNCTION") && !self.at_end_after() {
            self.advance();
            return Ok(command(Command::RefreshFunction { name: self.reference_name()? }));
        }
        if self.at_string() {
            let path = self.string_literal()?;
            return Ok(command(Command::RefreshPath { path }));
        }
        let begin = self.tokens[start].end;
        self.skip_rest();
        let path = self.text[begin..self.peek().start].trim().to_string();
        if path.is_empty() {
            let message = "Resource paths cannot be empty in REFRESH statements. Use / to match everything";
            return Err(self.error_from(start, error::legacy("0064", "msg", message)));
        }
        if path.contains(char::is_whitespace) {
            return Err(self.error_from(
                start,
                error::legacy(
                    "0064",
                    "msg",
                    "REFRESH statements cannot contain ' ', '\\n', '\\r', '\\t' inside unquoted resource paths",
                ),
            ));
        }
        Ok(command(Command::RefreshPath { path }))
    }

    fn at_end_after(&self) -> bool {
        self.peek_at(1).kind == crate::lexer::Kind::End
    }

    /// `ANALYZE TABLE t [PARTITION (..)] COMPUTE STATISTICS [NOSCAN | FOR COLUMNS a, b | FOR ALL COLUMNS]`
    pub fn analyze(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.expect("ANALYZE")?;
        if self.eat("TABLES") {
            let schema = self.scope()?;
            self.expect_all(&["COMPUTE", "STATISTICS"])?;
            let no_scan = self.no_scan(start)?;
            return Ok(command(Command::AnalyzeTables { schema, no_scan }));
        }
        self.expect("TABLE")?;
        let name = self.reference_name()?;
        let partition = self.optional_partition_spec()?;
        self.expect("COMPUTE")?;
        if self.at_words(&["DELTA", "STATISTICS"]) {
            return Err(Error::unsupported("ANALYZE TABLE .. COMPUTE DELTA STATISTICS"));
        }
        self.expect("STATISTICS")?;
        let (mut columns, mut no_scan) = (AnalyzeColumns::None, false);
        if self.eat_all(&["FOR", "ALL", "COLUMNS"]) {
            columns = AnalyzeColumns::All;
        } else if self.eat_all(&["FOR", "COLUMNS"]) {
            columns = AnalyzeColumns::Named(self.list(Self::identifier)?);
        } else {
            no_scan = self.no_scan(start)?;
        }
        Ok(command(Command::AnalyzeTable { name, partition, columns, no_scan }))
    }

    fn no_scan(&mut self, start: usize) -> Result<bool> {
        if !self.at_identifier() {
            return Ok(false);
        }
        let word = self.simple_identifier()?;
        if word.eq_ignore_ascii_case("noscan") {
            return Ok(true);
        }
        Err(self.error_from(
            start,
            Error::new("INVALID_SQL_SYNTAX.ANALYZE_TABLE_UNEXPECTED_NOSCAN")
                .param("ctx", word.to_uppercase())
                .message(format!("COMPUTE STATISTICS is followed by NOSCAN or nothing, not {word}.")),
        ))
    }

    pub fn truncate(&mut self) -> Result<Plan> {
        self.expect_all(&["TRUNCATE", "TABLE"])?;
        let name = self.reference_name()?;
        Ok(command(Command::TruncateTable { name, partition: self.optional_partition_values()? }))
    }

    /// `[MSCK] REPAIR TABLE t [{ADD | DROP | SYNC} PARTITIONS]`
    pub fn repair(&mut self) -> Result<Plan> {
        self.eat("MSCK");
        self.expect_all(&["REPAIR", "TABLE"])?;
        let name = self.reference_name()?;
        // Files are listed when they are read: there is nothing to add, and nothing to drop.
        if let Some(word) = self.eat_any(&["ADD", "DROP", "SYNC"]) {
            if word == "SYNC" && self.eat_word("METADATA") {
                return Err(Error::unsupported("REPAIR TABLE .. SYNC METADATA"));
            }
            self.expect("PARTITIONS")?;
        }
        Ok(command(Command::RepairTable { name }))
    }
}

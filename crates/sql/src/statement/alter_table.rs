//! ALTER TABLE, and what ALTER VIEW shares with it.

use boathouse_spec::{
    ColumnChange, Command, Error, NewColumn, Options, PartitionSpec, Plan, Result, TableChange,
};

use super::column_definition::plain_column;
use super::command;
use crate::parser::Parser;

impl Parser<'_> {
    /// `ALTER TABLE name ..`; `is_view` for the parts that ALTER VIEW has too, whose first two words are read the same.
    pub fn alter_table(&mut self, is_view: bool) -> Result<Plan> {
        let start = self.pos;
        self.pos += 2;
        let if_exists = self.if_exists();
        let name = self.reference_name()?;
        let changes = self.table_changes(start)?;
        Ok(command(Command::AlterTable { name, if_exists, is_view, changes }))
    }

    fn table_changes(&mut self, start: usize) -> Result<Vec<TableChange>> {
        let partition = self.optional_partition_values()?;
        if let Some(spec) = partition {
            return self.partition_change(start, spec).map(|c| vec![c]);
        }
        let word = self.source(self.peek()).to_ascii_uppercase();
        let change = match word.as_str() {
            "ADD" => self.add_to_table()?,
            "DROP" => self.drop_from_table()?,
            "RENAME" => self.rename_in_table()?,
            "ALTER" | "CHANGE" => return self.alter_columns(start),
            "REPLACE" => {
                self.expect_all(&["REPLACE", "COLUMNS"])?;
                let columns = self.parenthesized(Self::new_column)?;
                TableChange::ReplaceColumns(columns.into_iter().map(|c| c.definition).collect())
            }
            "SET" => self.set_in_table()?,
            "UNSET" => {
                self.advance();
                if self.eat_word("TAGS") {
                    TableChange::UnsetTags(self.parenthesized(Self::property_key)?)
                } else {
                    self.expect("TBLPROPERTIES")?;
                    let if_exists = self.if_exists();
                    TableChange::UnsetProperties { keys: self.property_keys()?, if_exists }
                }
            }
            "RECOVER" => {
                self.expect_all(&["RECOVER", "PARTITIONS"])?;
                TableChange::RecoverPartitions
            }
            "CLUSTER" => TableChange::ClusterBy(self.cluster_by()?),
            "DEFAULT" => TableChange::SetCollation(self.default_collation()?),
            "OWNER" => {
                self.advance();
                self.expect("TO")?;
                TableChange::SetOwner(self.identifier()?)
            }
            "NOT" | "CLUSTERED" | "SKEWED" | "EXCHANGE" | "ARCHIVE" | "UNARCHIVE" | "TOUCH" | "COMPACT"
            | "CONCATENATE" => return Err(self.hive_change_of_table(start)),
            _ => return Err(self.unexpected()),
        };
        Ok(vec![change])
    }

    fn partition_change(&mut self, start: usize, spec: PartitionSpec) -> Result<TableChange> {
        if self.eat_all(&["RENAME", "TO"]) {
            return Ok(TableChange::RenamePartition { from: spec, to: self.partition_values()? });
        }
        if self.eat_all(&["SET", "LOCATION"]) {
            return Ok(TableChange::SetLocation { location: self.string_literal()?, partition: Some(spec) });
        }
        if self.at_all(&["SET", "SERDE"]) || self.at_all(&["SET", "SERDEPROPERTIES"]) {
            return Err(Error::unsupported("SET SERDE for a partition"));
        }
        match self.peek().text {
            "CHANGE" | "REPLACE" => {
                let word = if self.at("CHANGE") { "CHANGE COLUMN" } else { "REPLACE COLUMNS" };
                self.skip_rest();
                Err(self.invalid_statement(start, &format!("ALTER TABLE ... PARTITION ... {word}")))
            }
            "COMPACT" | "CONCATENATE" | "SET" => Err(self.hive_change_of_table(start)),
            _ => Err(self.unexpected()),
        }
    }

    /// A change that only Hive knows.
    fn hive_change_of_table(&mut self, start: usize) -> Error {
        const PHRASES: &[&[&str]] = &[
            &["NOT", "CLUSTERED"],
            &["CLUSTERED", "BY"],
            &["NOT", "SORTED"],
            &["SKEWED", "BY"],
            &["NOT", "SKEWED"],
            &["NOT", "STORED", "AS", "DIRECTORIES"],
            &["SET", "SKEWED", "LOCATION"],
            &["EXCHANGE", "PARTITION"],
            &["ARCHIVE", "PARTITION"],
            &["UNARCHIVE", "PARTITION"],
            &["TOUCH"],
            &["COMPACT"],
            &["CONCATENATE"],
            &["SET", "FILEFORMAT"],
        ];
        match PHRASES.iter().find(|phrase| self.at_all(phrase)) {
            Some(phrase) => {
                self.skip_rest();
                self.invalid_statement(start, &format!("ALTER TABLE {}", phrase.join(" ")))
            }
            None => self.unexpected_at(self.pos + 1),
        }
    }

    fn add_to_table(&mut self) -> Result<TableChange> {
        self.expect("ADD")?;
        if self.at("PARTITION") || (self.at("IF") && !self.symbol_at(1, "(")) {
            let if_not_exists = self.if_not_exists()?;
            let mut partitions = Vec::new();
            while self.at("PARTITION") {
                let spec = self.partition_values()?;
                let location = if self.eat("LOCATION") { Some(self.string_literal()?) } else { None };
                partitions.push((spec, location));
                self.eat_symbol(",");
            }
            if partitions.is_empty() {
                return Err(self.unexpected());
            }
            return Ok(TableChange::AddPartitions { partitions, if_not_exists });
        }
        if self.at_table_constraint() {
            return Ok(TableChange::AddConstraint(self.table_constraint()?));
        }
        if self.eat_word("FEATURE") {
            return Ok(TableChange::AddFeature(self.feature_name()?));
        }
        if self.eat_any(&["COLUMN", "COLUMNS"]).is_none() {
            return Err(self.unexpected());
        }
        let if_not_exists = self.if_not_exists()?;
        let columns = if self.at_symbol("(") {
            self.parenthesized(Self::new_column)?
        } else {
            self.list(Self::new_column)?
        };
        Ok(TableChange::AddColumns { columns, if_not_exists })
    }

    fn feature_name(&mut self) -> Result<String> {
        if self.at_string() { self.string_literal() } else { self.identifier() }
    }

    /// `name TYPE [NOT NULL] [DEFAULT expr] [COMMENT '..'] [FIRST | AFTER c]`
    fn new_column(&mut self) -> Result<NewColumn> {
        let start = self.pos;
        let name = self.name()?;
        let data_type = self.data_type()?;
        let mut duplicate = None;
        let mut definition = plain_column(name.last().cloned().unwrap_or_default(), data_type);
        let mut position = None;
        let mut seen: Vec<&str> = Vec::new();
        loop {
            let option = if self.eat_not_null()? {
                definition.nullable = false;
                "NOT NULL"
            } else if self.at("DEFAULT") && !self.at_offset(1, "COLLATION") {
                self.advance();
                definition.default = Some(self.text_expression()?);
                "DEFAULT"
            } else if self.eat("COMMENT") {
                definition.comment = Some(self.comment_text()?);
                "COMMENT"
            } else if self.at_any(&["FIRST", "AFTER"]) {
                position = self.column_position()?;
                "FIRST|AFTER"
            } else {
                break;
            };
            if seen.contains(&option) {
                duplicate = Some(option);
            }
            seen.push(option);
        }
        if let Some(option) = duplicate {
            let written = name.join(".");
            let error = Error::new("ALTER_TABLE_COLUMN_DESCRIPTOR_DUPLICATE")
                .param("type", "ADD")
                .param("columnName", &written)
                .param("optionName", option)
                .message(format!("The column {written} has {option} more than once."));
            let error = self.error_from(start, error);
            self.note(error);
        }
        Ok(NewColumn { name, definition, position })
    }

    fn drop_from_table(&mut self) -> Result<TableChange> {
        self.expect("DROP")?;
        if self.at("PARTITION") || (self.at_all(&["IF", "EXISTS"]) && self.at_offset(2, "PARTITION")) {
            let if_exists = self.if_exists();
            let partitions = self.list(Self::partition_values)?;
            let purge = self.eat("PURGE");
            return Ok(TableChange::DropPartitions { partitions, if_exists, purge });
        }
        if self.at("CONSTRAINT") || self.at_all(&["PRIMARY", "KEY"]) || self.at_all(&["FOREIGN", "KEY"]) {
            if !self.eat("CONSTRAINT") {
                return Err(Error::unsupported("DROP PRIMARY KEY and DROP FOREIGN KEY; name the constraint"));
            }
            let if_exists = self.if_exists();
            let name = self.bare_identifier()?;
            let cascade = self.eat_any(&["RESTRICT", "CASCADE"]) == Some("CASCADE");
            return Ok(TableChange::DropConstraint { name, if_exists, cascade });
        }
        if self.eat_word("FEATURE") {
            let name = self.feature_name()?;
            let truncate_history = self.eat_words(&["TRUNCATE", "HISTORY"]);
            return Ok(TableChange::DropFeature { name, truncate_history });
        }
        if self.eat_words(&["ROW", "FILTER"]) {
            return Ok(TableChange::DropRowFilter);
        }
        if self.eat_any(&["COLUMN", "COLUMNS"]).is_none() {
            return Err(self.unexpected());
        }
        let if_exists = self.if_exists();
        let columns = if self.at_symbol("(") { self.parenthesized(Self::name)? } else { self.names()? };
        Ok(TableChange::DropColumns { columns, if_exists })
    }

    fn rename_in_table(&mut self) -> Result<TableChange> {
        self.expect("RENAME")?;
        if self.eat("TO") {
            return Ok(TableChange::RenameTo(self.name()?));
        }
        self.expect("COLUMN")?;
        let from = self.name()?;
        self.expect("TO")?;
        Ok(TableChange::RenameColumn { from, to: self.identifier()? })
    }

    fn set_in_table(&mut self) -> Result<TableChange> {
        if self.at_all(&["SET", "FILEFORMAT"]) || self.at_all(&["SET", "SKEWED"]) {
            return Err(self.hive_change_of_table(self.statement_start));
        }
        self.expect("SET")?;
        if self.eat("TBLPROPERTIES") {
            return Ok(TableChange::SetProperties(self.property_list()?));
        }
        if self.eat("LOCATION") {
            return Ok(TableChange::SetLocation { location: self.string_literal()?, partition: None });
        }
        if self.eat_words(&["ROW", "FILTER"]) {
            let (function, columns) = self.row_filter()?;
            return Ok(TableChange::SetRowFilter { function, columns });
        }
        if self.eat_word("TAGS") {
            return Ok(TableChange::SetTags(self.tags()?));
        }
        if self.eat_word("OWNER") {
            self.expect("TO")?;
            return Ok(TableChange::SetOwner(self.identifier()?));
        }
        if self.eat("SERDE") {
            let class = Some(self.string_literal()?);
            let properties =
                if self.eat_all(&["WITH", "SERDEPROPERTIES"]) { self.property_list()? } else { vec![] };
            return Ok(TableChange::SetSerde { class, properties });
        }
        if self.eat("SERDEPROPERTIES") {
            return Ok(TableChange::SetSerde { class: None, properties: self.property_list()? });
        }
        Err(self.unexpected())
    }

    /// `('key' = 'value', 'key')`: a tag may have no value.
    pub fn tags(&mut self) -> Result<Options> {
        self.parenthesized(|p| {
            let key = p.property_key()?;
            let value = if p.eat_symbol("=") { p.string_literal()? } else { String::new() };
            Ok((key, value))
        })
    }

    // ---- columns

    /// `ALTER [COLUMN] c change, ..` and Hive's `CHANGE [COLUMN] c c TYPE ..`
    fn alter_columns(&mut self, start: usize) -> Result<Vec<TableChange>> {
        let word = self.advance().text;
        if self.at("COLUMN") && self.is_identifier(self.peek_at(1)) {
            self.advance();
        }
        let first = self.pos;
        let column = self.name()?;
        // Hive's form repeats the column's name before its type.
        if word == "CHANGE" && self.at_identifier() && !self.at_column_action() {
            return self.hive_change(start, column);
        }
        self.pos = first;
        let changes = self.list(|p| p.alter_column(start, word))?;
        Ok(changes.concat())
    }

    fn at_column_action(&self) -> bool {
        self.at_any(&["TYPE", "COMMENT", "FIRST", "AFTER", "SET", "DROP"])
            || self.at_words(&["SYNC", "IDENTITY"])
            || self.at_word(0, "UNSET")
    }

    fn hive_change(&mut self, start: usize, column: Vec<String>) -> Result<Vec<TableChange>> {
        let field = self.column_type()?;
        let position = self.column_position()?;
        let same = column.len() == 1 && column[0].eq_ignore_ascii_case(&field.name);
        let refuse = |p: &Self, what: &str, instead: &str| {
            Err(p.error_from(
                start,
                Error::new("_LEGACY_ERROR_TEMP_0034")
                    .param("operation", what)
                    .param("command", "ALTER COLUMN")
                    .param("msg", format!(", please run {instead} instead"))
                    .message(format!("{what} is not supported in Hive-style ALTER COLUMN; use {instead}.")),
            ))
        };
        if !same {
            return refuse(self, "Renaming column", "RENAME COLUMN");
        }
        if !field.nullable {
            return refuse(self, "NOT NULL", "ALTER COLUMN ... SET/DROP NOT NULL");
        }
        let comment = field.comment();
        let mut changes = vec![ColumnChange::Type(field.data_type)];
        changes.extend(comment.map(|c| ColumnChange::Comment(Some(c))));
        changes.extend(position.map(ColumnChange::Position));
        Ok(changes
            .into_iter()
            .map(|change| TableChange::AlterColumn { column: column.clone(), change })
            .collect())
    }

    fn alter_column(&mut self, start: usize, verb: &str) -> Result<Vec<TableChange>> {
        let column = self.name()?;
        let change = match self.source(self.peek()).to_ascii_uppercase().as_str() {
            "TYPE" => {
                self.advance();
                ColumnChange::Type(self.data_type()?)
            }
            "COMMENT" => {
                self.advance();
                ColumnChange::Comment(Some(self.comment_text()?))
            }
            "FIRST" | "AFTER" => match self.column_position()? {
                Some(position) => ColumnChange::Position(position),
                None => return Err(self.unexpected()),
            },
            "SYNC" => {
                self.expect_words(&["SYNC", "IDENTITY"])?;
                ColumnChange::SyncIdentity
            }
            "UNSET" => {
                self.expect_words(&["UNSET", "TAGS"])?;
                ColumnChange::UnsetTags(self.parenthesized(Self::property_key)?)
            }
            "SET" => {
                self.advance();
                if self.eat_not_null()? {
                    ColumnChange::SetNotNull
                } else if self.eat("DEFAULT") {
                    ColumnChange::SetDefault(self.text_expression()?)
                } else if self.eat_word("TAGS") {
                    ColumnChange::SetTags(self.tags()?)
                } else if self.eat_word("MASK") {
                    let function = self.name()?;
                    let using =
                        if self.eat_words(&["USING", "COLUMNS"]) { self.identifier_list()? } else { vec![] };
                    return Ok(vec![TableChange::SetMask { column, function, using }]);
                } else {
                    return Err(self.unexpected());
                }
            }
            "DROP" => {
                self.advance();
                if self.eat_not_null()? {
                    ColumnChange::DropNotNull
                } else if self.eat("DEFAULT") {
                    ColumnChange::DropDefault
                } else if self.eat_word("MASK") {
                    return Ok(vec![TableChange::DropMask { column }]);
                } else {
                    return Err(self.unexpected());
                }
            }
            _ if self.at_end() || self.at_symbol(";") || self.at_symbol(",") => {
                let message = format!(
                    "ALTER TABLE table {verb} COLUMN requires a TYPE, a SET/DROP, a COMMENT, or a FIRST/AFTER"
                );
                return Err(self.not_allowed(start, &message));
            }
            _ => return Err(self.unexpected()),
        };
        Ok(vec![TableChange::AlterColumn { column, change }])
    }
}

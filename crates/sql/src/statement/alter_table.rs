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
        let partition = self.optional_partition_spec()?;
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
                let columns = self.parenthesized(|p| p.new_column(start))?;
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
            "NOT" | "CLUSTERED" | "SKEWED" | "EXCHANGE" | "ARCHIVE" | "UNARCHIVE" | "TOUCH" | "COMPACT" | "CONCATENATE" => {
                self.skip_rest();
                return Err(self.not_allowed(start, &format!("ALTER TABLE {word}")));
            }
            _ => return Err(self.unexpected()),
        };
        Ok(vec![change])
    }

    fn partition_change(&mut self, start: usize, spec: PartitionSpec) -> Result<TableChange> {
        if self.eat_all(&["RENAME", "TO"]) {
            return Ok(TableChange::RenamePartition { from: spec, to: self.partition_spec()? });
        }
        if self.eat_all(&["SET", "LOCATION"]) {
            return Ok(TableChange::SetLocation { location: self.string_literal()?, partition: Some(spec) });
        }
        if self.at_all(&["SET", "SERDE"]) || self.at_all(&["SET", "SERDEPROPERTIES"]) {
            return Err(Error::unsupported("SET SERDE for a partition"));
        }
        let known = self.at_any(&["CHANGE", "REPLACE", "COMPACT", "CONCATENATE", "SET"]);
        if !known {
            return Err(self.unexpected());
        }
        let word = self.peek().text;
        self.skip_rest();
        Err(self.not_allowed(start, &format!("ALTER TABLE PARTITION {word}")))
    }

    fn add_to_table(&mut self) -> Result<TableChange> {
        let start = self.pos;
        self.expect("ADD")?;
        if self.at("PARTITION") || (self.at("IF") && !self.symbol_at(1, "(")) {
            let if_not_exists = self.if_not_exists()?;
            let mut partitions = Vec::new();
            while self.at("PARTITION") {
                let spec = self.partition_spec()?;
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
            self.parenthesized(|p| p.new_column(start))?
        } else {
            self.list(|p| p.new_column(start))?
        };
        Ok(TableChange::AddColumns { columns, if_not_exists })
    }

    fn feature_name(&mut self) -> Result<String> {
        if self.at_string() { self.string_literal() } else { self.identifier() }
    }

    /// `name TYPE [NOT NULL] [DEFAULT expr] [COMMENT '..'] [FIRST | AFTER c]`
    fn new_column(&mut self, _start: usize) -> Result<NewColumn> {
        let name = self.name()?;
        let data_type = self.data_type()?;
        let mut definition = plain_column(name.last().cloned().unwrap_or_default(), data_type);
        let mut position = None;
        let mut seen: Vec<&str> = Vec::new();
        loop {
            let option_start = self.pos;
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
                return Ok(NewColumn { name, definition, position });
            };
            if seen.contains(&option) {
                return Err(self.error_from(
                    option_start,
                    Error::new("ALTER_TABLE_COLUMN_DESCRIPTOR_DUPLICATE")
                        .param("type", "ADD")
                        .param("columnName", name.join("."))
                        .param("optionName", option)
                        .message(format!("The column {} has {option} more than once.", name.join("."))),
                ));
            }
            seen.push(option);
        }
    }

    fn drop_from_table(&mut self) -> Result<TableChange> {
        self.expect("DROP")?;
        if self.at("PARTITION") || (self.at_all(&["IF", "EXISTS"]) && self.at_offset(2, "PARTITION")) {
            let if_exists = self.if_exists();
            let partitions = self.list(Self::partition_spec)?;
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
        let columns =
            if self.at_symbol("(") { self.parenthesized(Self::name)? } else { self.names()? };
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
        let start = self.pos;
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
        if self.at_any(&["FILEFORMAT", "SKEWED"]) {
            let word = self.peek().text;
            self.skip_rest();
            return Err(self.not_allowed(start, &format!("ALTER TABLE SET {word}")));
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
        let changes = self.list(|p| p.alter_column(start))?;
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
        let refuse = |p: &Self, what: &str| {
            Err(p.error_from(
                start,
                Error::new("_LEGACY_ERROR_TEMP_0034")
                    .param("operation", what)
                    .param("command", "ALTER COLUMN")
                    .param("msg", ", please run RENAME COLUMN instead")
                    .message(format!("{what} is not supported in Hive-style ALTER COLUMN.")),
            ))
        };
        if !same {
            return refuse(self, "Renaming column");
        }
        if !field.nullable {
            return refuse(self, "NOT NULL");
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

    fn alter_column(&mut self, start: usize) -> Result<Vec<TableChange>> {
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
                    let using = if self.eat_words(&["USING", "COLUMNS"]) {
                        self.identifier_list()?
                    } else {
                        vec![]
                    };
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
                return Err(self.not_allowed(
                    start,
                    "ALTER TABLE table CHANGE COLUMN requires a TYPE, a SET/DROP, a COMMENT, or a FIRST/AFTER",
                ));
            }
            _ => return Err(self.unexpected()),
        };
        Ok(vec![TableChange::AlterColumn { column, change }])
    }
}

//! CREATE TABLE, REPLACE TABLE, CREATE TABLE LIKE, CLONE, DROP TABLE.

use boathouse_spec::{
    Bucket, ColumnDefinition, Command, CreateMode, CreateTable, CreateView, DataSourceRef, Error, Expr, Name,
    PartitionField, Plan, RelationNode, Result, StructType, TableConstraint, ViewKind,
};

use super::column_definition::plain_column;
use super::{command, not_allowed};
use crate::lexer::Kind;
use crate::parser::Parser;

impl Parser<'_> {
    /// From CREATE or REPLACE on.
    pub fn create_table_statement(&mut self) -> Result<Plan> {
        let mut table = CreateTable::default();
        if self.eat("CREATE") {
            if self.eat_all(&["OR", "REPLACE"]) {
                table.mode = CreateMode::OrReplace;
            }
        } else {
            self.expect("REPLACE")?;
            table.mode = CreateMode::Replace;
        }
        table.temporary = self.eat("TEMPORARY");
        table.external = self.eat("EXTERNAL");
        self.expect("TABLE")?;
        if self.if_not_exists()? {
            if table.mode != CreateMode::Create {
                return Err(self.unexpected_at(self.pos - 3));
            }
            table.mode = CreateMode::IfNotExists;
        }
        table.name = self.reference_name()?;
        if self.at("LIKE") {
            return self.create_table_like(table);
        }
        if self.at_word(0, "CLONE") || self.at_word(1, "CLONE") {
            return self.clone_table(table);
        }
        if self.at_symbol("(") && !self.is_query_at(self.pos) {
            let elements = self.table_elements(false)?;
            table.columns = elements.columns;
            table.constraints = elements.constraints;
        }
        if self.eat("USING") {
            table.provider = Some(self.name()?.join("."));
        }
        self.table_clauses(&mut table)?;
        self.check_table(&table);
        if self.eat("AS") || self.is_query_at(self.pos) {
            table.query = Some(self.query()?);
            self.check_table_of_query(&table);
        }
        if table.temporary {
            return self.temporary_table(table);
        }
        Ok(command(Command::CreateTable(Box::new(table))))
    }

    fn check_table(&mut self, table: &CreateTable) {
        if table.cluster_by.is_some() && !table.partition_by.is_empty() {
            self.note_statement(
                Error::new("SPECIFY_CLUSTER_BY_WITH_PARTITIONED_BY_IS_NOT_ALLOWED")
                    .message("A table is either CLUSTER BY or PARTITIONED BY."),
            );
        }
        if table.cluster_by.is_some() && table.bucket.is_some() {
            self.note_statement(
                Error::new("SPECIFY_CLUSTER_BY_WITH_BUCKETING_IS_NOT_ALLOWED")
                    .message("A table is either CLUSTER BY or CLUSTERED BY into buckets."),
            );
        }
        let keys: Vec<String> = table
            .constraints
            .iter()
            .filter_map(|c| match c {
                TableConstraint::PrimaryKey { columns, .. } => Some(format!("({})", columns.join(", "))),
                _ => None,
            })
            .collect();
        if keys.len() > 1 {
            self.note_statement(
                Error::new("MULTIPLE_PRIMARY_KEYS")
                    .param("columns", keys.join(", "))
                    .message("A table has at most one primary key."),
            );
        }
        self.refuse_mixed_partitioning(&table.partition_by);
    }

    /// A table made of a query takes its columns from the query.
    fn check_table_of_query(&mut self, table: &CreateTable) {
        let replaces = matches!(table.mode, CreateMode::OrReplace | CreateMode::Replace);
        let statement =
            if replaces { "Replace Table As Select (RTAS)" } else { "Create Table As Select (CTAS)" };
        if !table.columns.is_empty() {
            self.note_statement(not_allowed(&format!(
                "Schema may not be specified in a {statement} statement"
            )));
        } else if !table.constraints.is_empty() {
            self.note_statement(not_allowed(&format!(
                "Constraints may not be specified in a {statement} statement"
            )));
        } else if table.partition_by.iter().any(|f| matches!(f, PartitionField::Typed(_))) {
            self.note_statement(not_allowed(&format!(
                "Partition column types may not be specified in {statement}"
            )));
        }
    }

    /// Partition columns either all have types of their own, or none has.
    fn refuse_mixed_partitioning(&mut self, fields: &[PartitionField]) {
        let (mut expressions, mut columns) = (Vec::new(), Vec::new());
        for field in fields {
            match field {
                PartitionField::Column(name) => expressions.push(name.join(".")),
                PartitionField::Transform { name, .. } => expressions.push(format!("{name}(..)")),
                PartitionField::Typed(c) => {
                    columns.push(format!("{} {}", c.name, c.data_type.simple_string()))
                }
            }
        }
        if !expressions.is_empty() && !columns.is_empty() {
            self.note_statement(not_allowed(&format!(
                "PARTITION BY: Cannot mix partition expressions and partition columns: Expressions: {} Columns: {}",
                expressions.join(", "),
                columns.join(", ")
            )));
        }
    }

    /// `CREATE TEMPORARY TABLE .. USING` is an old spelling of a temporary view over a source.
    fn temporary_table(&mut self, table: CreateTable) -> Result<Plan> {
        let Some(format) = table.provider else {
            self.note_statement(
                Error::new("_LEGACY_ERROR_TEMP_0046")
                    .message("A temporary table needs a source; for a query use CREATE TEMPORARY VIEW."),
            );
            return Ok(command(Command::ClearCache));
        };
        if table.query.is_some() || table.mode != CreateMode::Create {
            self.note_statement(not_allowed(
                "CREATE TEMPORARY TABLE ... AS ..., use CREATE TEMPORARY VIEW instead",
            ));
        }
        let fields: Vec<_> = table.columns.iter().map(ColumnDefinition::field).collect();
        let mut options = table.options;
        options.extend(table.location.map(|location| ("path".to_string(), location)));
        let source = DataSourceRef {
            format,
            schema: (!fields.is_empty()).then(|| StructType::new(fields)),
            options,
            ..DataSourceRef::default()
        };
        Ok(command(Command::CreateView(Box::new(CreateView {
            name: table.name,
            mode: CreateMode::OrReplace,
            kind: ViewKind::Temporary,
            columns: vec![],
            comment: None,
            collation: None,
            properties: vec![],
            schema_mode: None,
            query: None,
            source: Some(RelationNode::DataSource(source).into()),
        }))))
    }

    /// OPTIONS, PARTITIONED BY, ..., in any order, each once.
    pub fn table_clauses(&mut self, table: &mut CreateTable) -> Result<()> {
        let mut seen = Vec::new();
        loop {
            if self.at("OPTIONS") && self.symbol_at(1, "(") {
                self.once(&mut seen, "OPTIONS");
                self.advance();
                table.options = self.expression_property_list()?;
            } else if self.at_all(&["PARTITIONED", "BY"]) {
                self.once(&mut seen, "PARTITIONED BY");
                self.pos += 2;
                table.partition_by = self.parenthesized(Self::partition_field)?;
            } else if self.at_all(&["CLUSTER", "BY"]) {
                self.once(&mut seen, "CLUSTER BY");
                table.cluster_by = self.cluster_by()?;
            } else if self.at_all(&["CLUSTERED", "BY"]) {
                self.once(&mut seen, "CLUSTERED BY");
                table.bucket = Some(self.bucket()?);
            } else if self.at("LOCATION") {
                self.once(&mut seen, "LOCATION");
                self.advance();
                table.location = Some(self.string_literal()?);
            } else if self.at("COMMENT") {
                self.once(&mut seen, "COMMENT");
                self.advance();
                table.comment = Some(self.comment_text()?);
            } else if self.at_all(&["DEFAULT", "COLLATION"]) {
                self.once(&mut seen, "DEFAULT COLLATION");
                table.collation = Some(self.default_collation()?);
            } else if self.at("TBLPROPERTIES") {
                self.once(&mut seen, "TBLPROPERTIES");
                self.advance();
                table.properties = self.property_list()?;
            } else if self.at_words(&["WITH", "ROW", "FILTER"]) || self.at_words(&["ROW", "FILTER"]) {
                self.once(&mut seen, "ROW FILTER");
                self.eat("WITH");
                self.pos += 2;
                table.row_filter = Some(self.row_filter()?);
            } else if self.at_all(&["STORED", "AS"]) {
                self.once(&mut seen, "STORED AS");
                self.pos += 2;
                table.provider = Some(self.stored_as()?);
            } else if self.at_all(&["STORED", "BY"])
                || self.at_all(&["ROW", "FORMAT"])
                || self.at_all(&["SKEWED", "BY"])
            {
                let (a, b) = (self.peek().text, self.peek_at(1).text);
                return Err(Error::unsupported(format!("the clause {a} {b} of Hive tables")));
            } else {
                return Ok(());
            }
        }
    }

    /// `STORED AS PARQUET`: the file format is the provider.
    fn stored_as(&mut self) -> Result<String> {
        if self.at("INPUTFORMAT") {
            return Err(Error::unsupported("STORED AS INPUTFORMAT"));
        }
        let format = self.simple_identifier()?.to_lowercase();
        match format.as_str() {
            "parquet" | "orc" | "avro" => Ok(format),
            _ => Err(Error::unsupported(format!("STORED AS {}", format.to_uppercase()))),
        }
    }

    pub fn default_collation(&mut self) -> Result<String> {
        self.expect_all(&["DEFAULT", "COLLATION"])?;
        Ok(self.identifier()?.to_uppercase())
    }

    /// `CLUSTER BY (a, b.c)`, `CLUSTER BY NONE`, `CLUSTER BY AUTO`
    pub fn cluster_by(&mut self) -> Result<Option<Vec<Name>>> {
        self.expect_all(&["CLUSTER", "BY"])?;
        if self.eat("NONE") {
            return Ok(None);
        }
        if self.eat_word("AUTO") {
            return Err(Error::unsupported("CLUSTER BY AUTO"));
        }
        self.parenthesized(Self::name).map(Some)
    }

    /// `name ON (columns)` of a row filter.
    pub fn row_filter(&mut self) -> Result<(Name, Vec<String>)> {
        let function = self.name()?;
        self.expect("ON")?;
        self.expect_symbol("(")?;
        let columns = if self.at_symbol(")") { vec![] } else { self.list(Self::identifier)? };
        self.expect_symbol(")")?;
        Ok((function, columns))
    }

    /// A column, a transform of one, or a column with its type.
    pub fn partition_field(&mut self) -> Result<PartitionField> {
        let token = self.peek();
        if self.is_identifier(token) && self.symbol_at(1, "(") {
            let name = self.simple_identifier()?;
            let args = self.parenthesized(Self::transform_argument)?;
            return Ok(PartitionField::Transform { name, args });
        }
        let start = self.pos;
        let name = self.name()?;
        if matches!(self.peek().text, "," | ")") {
            return Ok(PartitionField::Column(name));
        }
        self.pos = start;
        let field = self.column_type()?;
        let comment = field.comment();
        Ok(PartitionField::Typed(ColumnDefinition {
            nullable: field.nullable,
            comment,
            ..plain_column(field.name, field.data_type)
        }))
    }

    fn transform_argument(&mut self) -> Result<Expr> {
        let token = self.peek();
        let is_name = self.is_identifier(token)
            && !self.is_string(self.peek_at(1))
            && !matches!(token.text, "NULL" | "TRUE" | "FALSE" | "INTERVAL");
        if is_name { Ok(Expr::column(self.name()?)) } else { self.value_expression() }
    }

    /// `CLUSTERED BY (a) [SORTED BY (b DESC)] INTO 4 BUCKETS`
    fn bucket(&mut self) -> Result<Bucket> {
        let start = self.pos;
        self.expect_all(&["CLUSTERED", "BY"])?;
        let columns = self.identifier_list()?;
        let mut sort = Vec::new();
        if self.eat_all(&["SORTED", "BY"]) {
            sort = self.parenthesized(|p| {
                let name = p.identifier()?;
                let ascending = p.eat_any(&["ASC", "DESC"]) != Some("DESC");
                Ok((name, ascending))
            })?;
        }
        self.expect("INTO")?;
        let count = self.integer_value()?;
        self.expect("BUCKETS")?;
        if sort.iter().any(|(_, ascending)| !ascending) {
            let error = self.not_allowed(start, "Column ordering must be ASC, was 'DESC'");
            self.note(error);
        }
        Ok(Bucket { count: u32::try_from(count).unwrap_or(u32::MAX), columns, sort })
    }

    fn create_table_like(&mut self, mut table: CreateTable) -> Result<Plan> {
        let start = self.pos;
        self.expect("LIKE")?;
        if table.temporary || !matches!(table.mode, CreateMode::Create | CreateMode::IfNotExists) {
            return Err(self.unexpected_at(start));
        }
        table.like = Some(self.reference_name()?);
        self.table_clauses(&mut table)?;
        if self.eat("USING") {
            table.provider = Some(self.name()?.join("."));
            self.table_clauses(&mut table)?;
        }
        Ok(command(Command::CreateTable(Box::new(table))))
    }

    /// `[SHALLOW | DEEP] CLONE source [VERSION AS OF n] [TBLPROPERTIES (..)] [LOCATION '..']`
    fn clone_table(&mut self, table: CreateTable) -> Result<Plan> {
        let shallow = self.eat_word("SHALLOW");
        if !shallow {
            self.eat_word("DEEP");
        }
        self.expect_word("CLONE")?;
        let source = self.reference_name()?;
        let time_travel = self.time_travel()?;
        let (mut properties, mut location) = (vec![], None);
        loop {
            if self.eat("TBLPROPERTIES") {
                properties = self.property_list()?;
            } else if self.eat("LOCATION") {
                location = Some(self.string_literal()?);
            } else {
                break;
            }
        }
        Ok(command(Command::Clone {
            target: table.name,
            source,
            time_travel,
            shallow,
            or_replace: matches!(table.mode, CreateMode::OrReplace | CreateMode::Replace),
            if_not_exists: table.mode == CreateMode::IfNotExists,
            properties,
            location,
        }))
    }

    pub fn drop_table(&mut self) -> Result<Plan> {
        self.expect_all(&["DROP", "TABLE"])?;
        let if_exists = self.if_exists();
        let name = self.reference_name()?;
        let purge = self.eat("PURGE");
        Ok(command(Command::DropTable { name, if_exists, purge }))
    }

    /// `LOAD DATA ..`: a Hive statement.
    pub fn load_data(&mut self) -> Result<Plan> {
        self.expect_all(&["LOAD", "DATA"])?;
        self.eat("LOCAL");
        self.expect("INPATH")?;
        self.string_literal()?;
        self.eat("OVERWRITE");
        self.expect_all(&["INTO", "TABLE"])?;
        self.reference_name()?;
        self.optional_partition_values()?;
        Err(Error::unsupported("LOAD DATA"))
    }

    /// `ADD JAR ..`, `LIST FILES ..`
    pub fn resource(&mut self) -> Result<Plan> {
        let start = self.pos;
        let verb = self.advance().text;
        if self.kind() != Kind::Word {
            return Err(self.unexpected());
        }
        let what = self.simple_identifier()?.to_uppercase();
        self.skip_rest();
        if !matches!(what.as_str(), "FILE" | "FILES" | "ARCHIVE" | "ARCHIVES" | "JAR" | "JARS") {
            let message = format!("{verb} with resource type '{}'", what.to_lowercase());
            return Err(self.not_allowed(start, &message));
        }
        Err(Error::unsupported(format!("{verb} {what}")))
    }

    pub fn call(&mut self) -> Result<Plan> {
        self.expect("CALL")?;
        self.reference_name()?;
        self.expect_symbol("(")?;
        if !self.at_symbol(")") {
            self.list(Self::function_argument)?;
        }
        self.expect_symbol(")")?;
        Err(Error::unsupported("CALL: there are no procedures"))
    }
}

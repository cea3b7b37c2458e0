//! INSERT, also several from one source.

use boathouse_spec::{
    Command, Error, Expr, Insert, InsertMode, Plan, Relation, RelationNode, Result, TableTarget,
};

use super::command;
use crate::identifier::Reference;
use crate::parser::Parser;
use crate::query::{Ctes, aliased};

/// An INSERT up to its query.
struct Head {
    insert: Insert,
}

impl Parser<'_> {
    pub fn insert_statement(&mut self, ctes: Option<Ctes>) -> Result<Plan> {
        let Head { mut insert } = self.insert_head()?;
        let query = self.insert_source()?;
        let query = match ctes {
            Some(ctes) => ctes.over(query),
            None => query,
        };
        insert.query = defaults(query);
        Ok(command(Command::Insert(Box::new(insert))))
    }

    /// A query; one in parentheses may have an alias.
    pub fn insert_source(&mut self) -> Result<Relation> {
        if !self.at_symbol("(") || self.is_query_at(self.pos) {
            return self.query();
        }
        self.advance();
        let query = self.query()?;
        self.expect_symbol(")")?;
        let alias = self.table_alias()?;
        Ok(aliased(query, alias))
    }

    /// `FROM t INSERT INTO a SELECT .. INSERT INTO b SELECT ..`, or a query that begins with FROM.
    pub fn statement_from_first(&mut self, ctes: Option<Ctes>) -> Result<Plan> {
        let start = self.pos;
        let (positional, clauses) = (self.positional, self.identifier_clauses);
        self.expect("FROM")?;
        let source = self.relations_of_from()?;
        if !self.at("INSERT") {
            self.pos = start;
            (self.positional, self.identifier_clauses) = (positional, clauses);
            let query = self.query()?;
            return Ok(Plan::Query(match ctes {
                Some(ctes) => ctes.over(query),
                None => query,
            }));
        }
        let mut inserts = Vec::new();
        while self.at("INSERT") {
            let Head { mut insert } = self.insert_head()?;
            let body = self.select(Some(source.clone()))?;
            let body = self.query_organization(body)?;
            insert.query = match &ctes {
                Some(ctes) => ctes.clone().over(body),
                None => body,
            };
            inserts.push(insert);
        }
        if inserts.len() == 1
            && let Some(only) = inserts.pop()
        {
            return Ok(command(Command::Insert(Box::new(only))));
        }
        Ok(command(Command::MultiInsert(inserts)))
    }

    fn insert_head(&mut self) -> Result<Head> {
        let start = self.pos;
        self.expect("INSERT")?;
        let with_schema_evolution = self.eat_all(&["WITH", "SCHEMA", "EVOLUTION"]);
        let overwrite = match self.eat_any(&["INTO", "OVERWRITE"]) {
            Some(word) => word == "OVERWRITE",
            None => return Err(self.unexpected()),
        };
        let mut insert = Insert {
            table: TableTarget::Name(vec![]),
            query: RelationNode::OneRow.into(),
            columns: vec![],
            by_name: false,
            mode: if overwrite { InsertMode::Overwrite } else { InsertMode::Append },
            partition: None,
            if_partition_not_exists: false,
            options: vec![],
            with_schema_evolution,
        };
        let local = overwrite && self.at_all(&["LOCAL", "DIRECTORY"]);
        if local
            || (overwrite
                && self.at("DIRECTORY")
                && (self.is_string(self.peek_at(1)) || self.at_offset(1, "USING")))
        {
            if local {
                self.advance();
            }
            self.advance();
            insert.table = self.directory()?;
            return Ok(Head { insert });
        }
        if self.at("TABLE") && self.is_identifier(self.peek_at(1)) && !self.symbol_at(1, ".") {
            self.advance();
        }
        insert.table = match self.reference()? {
            Reference::Name(name) => TableTarget::Name(name),
            Reference::Clause(expr) => TableTarget::Identifier(expr),
        };
        let alias = self.replace_alias()?;
        if self.at("WITH") && self.symbol_at(1, "(") {
            self.advance();
            insert.options = self.property_list()?;
        }
        insert.partition = self.optional_partition_spec()?;
        if self.at("IF") && (self.at_offset(1, "NOT") || self.symbol_at(1, "!")) {
            insert.if_partition_not_exists = self.if_not_exists()?;
            if !overwrite {
                let error = self.invalid_statement(start, "INSERT INTO ... IF NOT EXISTS");
                self.note(error);
            }
            if let Some(spec) = &insert.partition
                && let dynamic =
                    spec.iter().filter(|(_, v)| v.is_none()).map(|(k, _)| k.as_str()).collect::<Vec<_>>()
                && !dynamic.is_empty()
            {
                let message = format!("IF NOT EXISTS with dynamic partitions: {}", dynamic.join(","));
                return Err(self.not_allowed(start, &message));
            }
        }
        if self.eat_all(&["BY", "NAME"]) {
            insert.by_name = true;
        } else if self.at_symbol("(") && !self.is_query_at(self.pos) && !self.is_query_at(self.pos + 1) {
            insert.columns = self.parenthesized(|p| Ok(vec![p.identifier()?]))?;
        }
        if !overwrite && self.at("REPLACE") {
            insert.mode = self.replace_mode(alias)?;
        }
        Ok(Head { insert })
    }

    /// The target's alias, which only the REPLACE forms have.
    fn replace_alias(&mut self) -> Result<Option<String>> {
        let name_at = usize::from(self.at("AS"));
        let is_alias = self.is_strict_identifier(self.peek_at(name_at))
            && (self.at_offset(name_at + 1, "REPLACE")
                || (self.at_all(&["AS"]) && self.at_offset(name_at + 1, "BY")));
        if !is_alias || (name_at == 0 && self.at("REPLACE")) {
            return Ok(None);
        }
        self.pos += name_at;
        self.identifier().map(Some)
    }

    fn replace_mode(&mut self, alias: Option<String>) -> Result<InsertMode> {
        self.expect("REPLACE")?;
        if self.eat("WHERE") {
            return Ok(InsertMode::ReplaceWhere(self.condition_before_query()?));
        }
        if self.eat("ON") {
            return Ok(InsertMode::ReplaceOn { alias, condition: self.condition_before_query()? });
        }
        self.expect("USING")?;
        let columns = self.identifier_list()?;
        Ok(InsertMode::ReplaceUsing(columns.into_iter().map(|c| vec![c]).collect()))
    }

    /// A condition right before a query, which may stand in parentheses.
    fn condition_before_query(&mut self) -> Result<Expr> {
        self.before_query = true;
        let condition = self.expression();
        self.before_query = false;
        condition
    }

    /// `['path'] USING format [OPTIONS (..)]`, or Hive's formats.
    fn directory(&mut self) -> Result<TableTarget> {
        let path = if self.at_string() { Some(self.string_literal()?) } else { None };
        if self.at("STORED") || self.at("ROW") {
            return Err(Error::unsupported("INSERT OVERWRITE DIRECTORY in a Hive format"));
        }
        if !self.at("USING") && path.is_some() {
            return Err(Error::unsupported("INSERT OVERWRITE DIRECTORY without USING"));
        }
        self.expect("USING")?;
        let format = Some(self.name()?.join("."));
        let options = if self.eat("OPTIONS") { self.property_list()? } else { vec![] };
        Ok(TableTarget::Directory { path, format, options })
    }
}

/// DEFAULT as a whole value of the query that is inserted means the column's default.
fn defaults(mut relation: Relation) -> Relation {
    match relation.node.as_mut() {
        RelationNode::Values(rows) => rows.iter_mut().flatten().for_each(default_value),
        RelationNode::Project { exprs, input }
            if matches!(exprs.as_slice(), [Expr::Star(_)]) && is_values(input) =>
        {
            let inner = std::mem::replace(input, RelationNode::OneRow.into());
            *input = defaults(inner);
        }
        RelationNode::Project { exprs, .. } => exprs.iter_mut().for_each(default_value),
        RelationNode::SubqueryAlias { input, .. } | RelationNode::With { input, .. } => {
            let inner = std::mem::replace(input, RelationNode::OneRow.into());
            *input = defaults(inner);
        }
        _ => {}
    }
    relation
}

fn is_values(relation: &Relation) -> bool {
    match relation.node.as_ref() {
        RelationNode::Values(_) => true,
        RelationNode::SubqueryAlias { input, .. } => is_values(input),
        _ => false,
    }
}

/// Turns the bare column `DEFAULT` into what it means as a value.
pub(crate) fn default_value(expr: &mut Expr) {
    if matches!(expr, Expr::Column(c) if c.name.len() == 1 && c.name[0].eq_ignore_ascii_case("default")) {
        *expr = Expr::Default;
    }
}

//! Views.

use boathouse_spec::{
    Command, CreateMode, CreateView, DataSourceRef, Error, Plan, Relation, RelationNode, Result, ViewKind,
    ViewQuery, quote, quote_if_needed, quote_name,
};

use super::{command, invalid_statement, not_allowed};
use crate::parser::Parser;

impl Parser<'_> {
    /// A query with its text.
    pub fn view_query(&mut self) -> Result<ViewQuery> {
        let start = self.pos;
        let query = self.query()?;
        Ok(ViewQuery { text: self.bound_text_from(start), query })
    }

    pub fn create_view(&mut self) -> Result<Plan> {
        self.expect("CREATE")?;
        let or_replace = self.eat_all(&["OR", "REPLACE"]);
        let global = self.eat("GLOBAL");
        let temporary = self.eat("TEMPORARY");
        if global && !temporary {
            return Err(self.unexpected());
        }
        self.expect("VIEW")?;
        let if_not_exists = self.if_not_exists()?;
        let name = self.reference_name()?;
        let kind = match (temporary, global) {
            (true, true) => ViewKind::GlobalTemporary,
            (true, false) => ViewKind::Temporary,
            _ => ViewKind::Persistent,
        };
        let mode = match (or_replace, if_not_exists) {
            (true, _) => CreateMode::OrReplace,
            (false, true) => CreateMode::IfNotExists,
            _ => CreateMode::Create,
        };
        let mut view = CreateView {
            name,
            mode,
            kind,
            columns: vec![],
            comment: None,
            collation: None,
            properties: vec![],
            schema_mode: None,
            query: None,
            source: None,
        };
        if temporary && self.view_over_source() {
            view.source = Some(self.view_source()?);
            self.check_view(&view, or_replace && if_not_exists);
            return Ok(command(Command::CreateView(Box::new(view))));
        }
        if self.at_symbol("(") {
            view.columns = self.commented_columns()?;
        }
        self.view_clauses(&mut view)?;
        self.expect("AS")?;
        if self.kind() == crate::lexer::Kind::DollarQuoted {
            return Err(Error::unsupported("metric views"));
        }
        view.query = Some(self.view_query()?);
        self.check_view(&view, or_replace && if_not_exists);
        Ok(command(Command::CreateView(Box::new(view))))
    }

    /// `(a COMMENT '..', b)`
    pub fn commented_columns(&mut self) -> Result<Vec<(String, Option<String>)>> {
        self.parenthesized(|p| {
            let name = p.identifier()?;
            let comment = if p.eat("COMMENT") { Some(p.comment_text()?) } else { None };
            Ok((name, comment))
        })
    }

    fn view_clauses(&mut self, view: &mut CreateView) -> Result<()> {
        let mut seen = Vec::new();
        loop {
            if self.at("COMMENT") {
                self.once(&mut seen, "COMMENT");
                self.advance();
                view.comment = Some(self.comment_text()?);
            } else if self.at_all(&["WITH", "SCHEMA"]) {
                self.once(&mut seen, "WITH SCHEMA");
                view.schema_mode = Some(self.schema_binding()?);
            } else if self.at_all(&["WITH", "METRICS"]) {
                return Err(Error::unsupported("metric views"));
            } else if self.at_all(&["DEFAULT", "COLLATION"]) {
                self.once(&mut seen, "DEFAULT COLLATION");
                view.collation = Some(self.default_collation()?);
            } else if self.at_all(&["PARTITIONED", "ON"]) {
                self.pos += 2;
                self.identifier_list()?;
                self.note_statement(invalid_statement("CREATE VIEW ... PARTITIONED ON"));
            } else if self.at("TBLPROPERTIES") {
                self.once(&mut seen, "TBLPROPERTIES");
                self.advance();
                view.properties = self.property_list()?;
            } else {
                return Ok(());
            }
        }
    }

    fn check_view(&mut self, view: &CreateView, both_modes: bool) {
        let temporary = view.kind != ViewKind::Persistent;
        if both_modes {
            self.note_statement(
                Error::new("CREATE_VIEW_WITH_IF_NOT_EXISTS_AND_REPLACE")
                    .param(
                        "viewName",
                        view.name.iter().map(|p| quote_if_needed(p)).collect::<Vec<_>>().join("."),
                    )
                    .message("A view is created with IF NOT EXISTS or OR REPLACE, not both."),
            );
        }
        if temporary && view.mode == CreateMode::IfNotExists {
            self.note_statement(
                Error::new("_LEGACY_ERROR_TEMP_0053")
                    .message("A temporary view cannot be created with IF NOT EXISTS."),
            );
        }
        if temporary && view.schema_mode.is_some() {
            self.note_statement(
                Error::new("UNSUPPORTED_FEATURE.TEMPORARY_VIEW_WITH_SCHEMA_BINDING_MODE")
                    .message("A temporary view takes no WITH SCHEMA clause."),
            );
        }
        if temporary && !view.properties.is_empty() {
            self.note_statement(not_allowed("TBLPROPERTIES can't coexist with CREATE TEMPORARY VIEW"));
        }
        if temporary {
            self.check_temporary_name(&view.name, "VIEW");
        }
    }

    /// A temporary object has a name of one part, or belongs to `session`.
    pub fn check_temporary_name(&mut self, name: &[String], kind: &str) {
        let Some((object, qualifier)) = name.split_last() else { return };
        let of_session = match qualifier {
            [] => true,
            [schema] => schema.eq_ignore_ascii_case("session"),
            [catalog, schema] => {
                catalog.eq_ignore_ascii_case("system") && schema.eq_ignore_ascii_case("session")
            }
            _ => false,
        };
        if !of_session {
            self.note_statement(
                Error::new("INVALID_TEMP_OBJ_QUALIFIER")
                    .param("objectType", kind)
                    .param("objectName", quote(object))
                    .param("qualifier", quote_name(qualifier))
                    .message(format!("A temporary {} belongs to no schema.", kind.to_lowercase())),
            );
        }
    }

    /// Whether `USING` follows the name, or the columns after it.
    fn view_over_source(&self) -> bool {
        let open = self.peek();
        let after = if open.text == "(" && open.pair != 0 { open.pair + 1 } else { self.pos };
        self.tokens[after].text == "USING"
    }

    /// `[(columns)] USING format [OPTIONS (..)]`
    fn view_source(&mut self) -> Result<Relation> {
        let mut source = DataSourceRef::default();
        if self.eat_symbol("(") {
            source.schema = Some(self.column_types()?);
            self.expect_symbol(")")?;
        }
        self.expect("USING")?;
        source.format = self.name()?.join(".");
        if self.eat("OPTIONS") {
            source.options = self.property_list()?;
        }
        Ok(RelationNode::DataSource(source).into())
    }

    /// `WITH SCHEMA ..`
    fn schema_binding(&mut self) -> Result<String> {
        self.expect_all(&["WITH", "SCHEMA"])?;
        if self.eat_all(&["TYPE", "EVOLUTION"]) {
            return Ok("TYPE EVOLUTION".to_string());
        }
        match self.eat_any(&["BINDING", "COMPENSATION", "EVOLUTION"]) {
            Some(word) => Ok(word.to_string()),
            None => Err(self.unexpected()),
        }
    }

    pub fn alter_view(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.pos += 2;
        let name = self.reference_name()?;
        if self.at_all(&["WITH", "SCHEMA"]) {
            let mode = self.schema_binding()?;
            return Ok(command(Command::AlterViewSchemaMode { name, mode }));
        }
        if self.eat("AS") || self.is_query_at(self.pos) {
            let query = self.view_query()?;
            return Ok(command(Command::AlterView { name, query }));
        }
        self.pos = start;
        self.identifier_clauses = 0;
        self.deferred_identifiers.clear();
        self.alter_table(true)
    }

    pub fn drop_view(&mut self) -> Result<Plan> {
        self.expect_all(&["DROP", "VIEW"])?;
        let if_exists = self.if_exists();
        Ok(command(Command::DropView { name: self.reference_name()?, if_exists }))
    }
}

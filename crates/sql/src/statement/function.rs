//! Functions and variables.

use boathouse_spec::{
    Command, CreateFunction, CreateMode, Error, FunctionBody, FunctionParameter, FunctionReturn, Plan, Result,
};

use super::column_definition::plain_column;
use super::command;
use crate::lexer::Kind;
use crate::parser::Parser;

impl Parser<'_> {
    pub fn create_function(&mut self) -> Result<Plan> {
        self.expect("CREATE")?;
        let or_replace = self.eat_all(&["OR", "REPLACE"]);
        let temporary = self.eat("TEMPORARY");
        self.expect("FUNCTION")?;
        let if_not_exists = self.if_not_exists()?;
        let name = self.reference_name()?;
        let mode = match (or_replace, if_not_exists) {
            (true, _) => CreateMode::OrReplace,
            (false, true) => CreateMode::IfNotExists,
            _ => CreateMode::Create,
        };
        let mut function = CreateFunction {
            name,
            mode,
            temporary,
            parameters: vec![],
            returns: None,
            body: FunctionBody::Source(String::new()),
            comment: None,
            deterministic: None,
            language: None,
            characteristics: vec![],
        };
        if self.eat("AS") {
            let class = self.string_literal()?;
            let mut resources = Vec::new();
            if self.eat("USING") {
                resources = self.list(|p| {
                    let kind = p.simple_identifier()?;
                    Ok((kind.to_lowercase(), p.string_literal()?))
                })?;
            }
            function.body = FunctionBody::Class { class, resources };
        } else {
            self.sql_function(&mut function)?;
        }
        self.check_function(&function, or_replace && if_not_exists);
        Ok(command(Command::CreateFunction(Box::new(function))))
    }

    fn check_function(&mut self, function: &CreateFunction, both_modes: bool) {
        if both_modes {
            self.note_statement(
                Error::new("INVALID_SQL_SYNTAX.CREATE_ROUTINE_WITH_IF_NOT_EXISTS_AND_REPLACE")
                    .message("A function is created with IF NOT EXISTS or OR REPLACE, not both."),
            );
        }
        if !function.temporary {
            return;
        }
        if function.mode == CreateMode::IfNotExists {
            self.note_statement(
                Error::new("INVALID_SQL_SYNTAX.CREATE_TEMP_FUNC_WITH_IF_NOT_EXISTS")
                    .message("A temporary function cannot be created with IF NOT EXISTS."),
            );
        }
        self.check_temporary_name(&function.name, "FUNCTION");
    }

    /// `(parameters) [RETURNS ..] characteristics {RETURN body | AS $$ source $$}`
    fn sql_function(&mut self, function: &mut CreateFunction) -> Result<()> {
        self.expect_symbol("(")?;
        if !self.at_symbol(")") {
            function.parameters = self.list(Self::function_parameter)?;
        }
        self.expect_symbol(")")?;
        if self.at("RETURNS") && !self.at_offset(1, "NULL") {
            self.advance();
            function.returns = Some(self.function_return()?);
        }
        let characteristics = self.pos;
        self.characteristics(function)?;
        // A source is of another language: SQL has RETURN.
        let is_other = function.language.as_deref().is_some_and(|language| language != "SQL");
        if is_other && (self.at("AS") || self.kind() == Kind::DollarQuoted) {
            self.eat("AS");
            function.body = FunctionBody::Source(self.function_source()?);
            return Ok(());
        }
        if let Some(language) = function.language.as_deref().filter(|l| *l != "SQL") {
            let message = format!("Unsupported language for user defined functions: {language}");
            let error = self.not_allowed(characteristics, &message);
            self.note(error);
        }
        self.expect("RETURN")?;
        function.body = if self.is_query_at(self.pos) {
            FunctionBody::Query(self.view_query()?)
        } else {
            FunctionBody::Expression(self.text_expression()?)
        };
        Ok(())
    }

    fn function_source(&mut self) -> Result<String> {
        if self.kind() == Kind::DollarQuoted {
            let token = self.advance();
            let source = self.source(token);
            let tag = source[1..].find('$').map_or(2, |i| i + 2);
            return Ok(source[tag..source.len() - tag].to_string());
        }
        self.string_literal()
    }

    fn function_parameter(&mut self) -> Result<FunctionParameter> {
        let mut constraints = Vec::new();
        let column = self.column_definition(false, &mut constraints)?;
        if column.generated.is_some() || column.identity.is_some() {
            self.note_statement(
                Error::new("INVALID_SQL_SYNTAX.CREATE_FUNC_WITH_GENERATED_COLUMNS_AS_PARAMETERS")
                    .message("A function's parameter cannot be generated."),
            );
        }
        if !constraints.is_empty() {
            self.note_statement(
                Error::new("INVALID_SQL_SYNTAX.CREATE_FUNC_WITH_COLUMN_CONSTRAINTS")
                    .message("A function's parameter takes no constraints."),
            );
        }
        Ok(FunctionParameter {
            name: column.name,
            data_type: column.data_type,
            default: column.default,
            comment: column.comment,
            nullable: column.nullable,
        })
    }

    /// A type, `TABLE (columns)` or `TABLE`.
    fn function_return(&mut self) -> Result<FunctionReturn> {
        if !self.eat("TABLE") {
            return Ok(FunctionReturn::Scalar(self.data_type()?));
        }
        if !self.eat_symbol("(") {
            return Ok(FunctionReturn::Table(None));
        }
        let schema = self.column_types()?;
        self.expect_symbol(")")?;
        let columns = schema
            .fields
            .into_iter()
            .map(|field| {
                let comment = field.comment();
                let mut column = plain_column(field.name, field.data_type);
                (column.nullable, column.comment) = (field.nullable, comment);
                column
            })
            .collect();
        Ok(FunctionReturn::Table(Some(columns)))
    }

    fn characteristics(&mut self, function: &mut CreateFunction) -> Result<()> {
        const PHRASES: &[&[&str]] = &[
            &["NO", "SQL"],
            &["CONTAINS", "SQL"],
            &["READS", "SQL", "DATA"],
            &["MODIFIES", "SQL", "DATA"],
            &["RETURNS", "NULL", "ON", "NULL", "INPUT"],
            &["CALLED", "ON", "NULL", "INPUT"],
            &["SQL", "SECURITY", "INVOKER"],
            &["SQL", "SECURITY", "DEFINER"],
        ];
        let mut seen = Vec::new();
        loop {
            if self.eat("LANGUAGE") {
                self.once(&mut seen, "LANGUAGE");
                function.language = Some(self.simple_identifier()?.to_uppercase());
            } else if self.eat("COMMENT") {
                self.once(&mut seen, "COMMENT");
                function.comment = Some(self.comment_text()?);
            } else if self.at("DETERMINISTIC") || self.at_offset(1, "DETERMINISTIC") {
                self.once(&mut seen, "DETERMINISTIC");
                let negated = self.eat_not()?;
                self.expect("DETERMINISTIC")?;
                function.deterministic = Some(!negated);
            } else if self.eat("SPECIFIC") {
                self.once(&mut seen, "SPECIFIC");
                function.characteristics.push(format!("SPECIFIC {}", self.identifier()?));
            } else if self.at_all(&["DEFAULT", "COLLATION"]) {
                let collation = self.default_collation()?;
                function.characteristics.push(format!("DEFAULT COLLATION {collation}"));
            } else if let Some(phrase) = PHRASES.iter().find(|phrase| self.at_all(phrase)) {
                let start = self.pos;
                self.pos += phrase.len();
                if phrase[0] == "RETURNS" {
                    let error = self
                        .not_allowed(start, "SQL function with RETURNS NULL ON NULL INPUT is not supported");
                    self.note(error);
                }
                function.characteristics.push(phrase.join(" "));
            } else {
                return Ok(());
            }
        }
    }

    pub fn drop_function(&mut self) -> Result<Plan> {
        self.expect("DROP")?;
        let temporary = self.eat("TEMPORARY");
        self.expect("FUNCTION")?;
        let if_exists = self.if_exists();
        let name = self.reference_name()?;
        if temporary {
            self.check_temporary_name(&name, "FUNCTION");
        }
        Ok(command(Command::DropFunction { name, if_exists, temporary }))
    }

    // ---- variables

    /// `DECLARE [OR REPLACE] [VARIABLE] a, b [TYPE] [{DEFAULT | =} expr]`
    pub fn declare(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.expect("DECLARE")?;
        if self.at_cursor_declaration() {
            return self.declare_cursor(start);
        }
        let or_replace = self.eat_all(&["OR", "REPLACE"]);
        if self.at_any(&["VARIABLE", "VAR"]) && self.is_identifier(self.peek_at(1)) {
            self.advance();
        }
        let names = self.list(Self::reference_name)?;
        let is_default = |p: &Self| p.at("DEFAULT") || p.at_symbol("=");
        let has_type = !is_default(self) && !self.at_end() && !self.at_symbol(";");
        let data_type = if has_type { Some(self.data_type()?) } else { None };
        let mut default = None;
        if is_default(self) {
            self.advance();
            default = Some(self.text_expression()?);
        }
        if data_type.is_none() && default.is_none() {
            return Err(self.error_from(
                start,
                Error::new("INVALID_SQL_SYNTAX.VARIABLE_TYPE_OR_DEFAULT_REQUIRED")
                    .message("A variable needs a data type or a default."),
            ));
        }
        Ok(command(Command::DeclareVariable { names, data_type, default, or_replace }))
    }

    pub fn drop_variable(&mut self) -> Result<Plan> {
        self.pos += 3;
        let if_exists = self.if_exists();
        Ok(command(Command::DropVariable { name: self.reference_name()?, if_exists }))
    }
}

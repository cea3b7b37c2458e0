//! Catalogs and schemas.

use boathouse_spec::{Command, Error, Options, Plan, Result, SchemaChange};

use super::command;
use crate::parser::Parser;

impl Parser<'_> {
    pub fn create_schema(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.pos += 2;
        let if_not_exists = self.if_not_exists()?;
        let name = self.reference_name()?;
        let (mut comment, mut location, mut collation) = (None, None, None);
        let mut properties: Options = vec![];
        let mut seen = Vec::new();
        loop {
            if self.at("COMMENT") {
                self.once(&mut seen, "COMMENT");
                self.advance();
                comment = Some(self.comment_text()?);
            } else if self.at("LOCATION") || (self.at_word(0, "MANAGED") && self.at_offset(1, "LOCATION")) {
                self.once(&mut seen, "LOCATION");
                self.eat_word("MANAGED");
                self.advance();
                location = Some(self.string_literal()?);
            } else if self.at_all(&["DEFAULT", "COLLATION"]) {
                self.once(&mut seen, "DEFAULT COLLATION");
                collation = Some(self.default_collation()?);
            } else if self.at_all(&["WITH", "DBPROPERTIES"]) || self.at_all(&["WITH", "PROPERTIES"]) {
                let word =
                    if self.at_offset(1, "PROPERTIES") { "WITH PROPERTIES" } else { "WITH DBPROPERTIES" };
                self.once(&mut seen, word);
                self.pos += 2;
                properties = self.property_list()?;
            } else {
                break;
            }
        }
        if seen.contains(&"WITH PROPERTIES") && seen.contains(&"WITH DBPROPERTIES") {
            return Err(self.error_from(
                start,
                Error::new("UNSUPPORTED_FEATURE.SET_PROPERTIES_AND_DBPROPERTIES")
                    .message("Use either PROPERTIES or DBPROPERTIES, not both."),
            ));
        }
        Ok(command(Command::CreateSchema { name, if_not_exists, comment, location, collation, properties }))
    }

    pub fn alter_schema(&mut self) -> Result<Plan> {
        self.pos += 2;
        let name = self.reference_name()?;
        let change = self.namespace_change()?;
        Ok(command(Command::AlterSchema { name, change }))
    }

    pub fn alter_catalog(&mut self) -> Result<Plan> {
        self.pos += 2;
        let name = self.identifier()?;
        let change = self.namespace_change()?;
        Ok(command(Command::AlterCatalog { name, change }))
    }

    fn namespace_change(&mut self) -> Result<SchemaChange> {
        if self.at_all(&["DEFAULT", "COLLATION"]) {
            return Ok(SchemaChange::SetCollation(self.default_collation()?));
        }
        if self.eat_word("OWNER") {
            self.expect("TO")?;
            return Ok(SchemaChange::SetOwner(self.identifier()?));
        }
        if self.eat("UNSET") {
            if self.eat_word("TAGS") {
                return Ok(SchemaChange::UnsetTags(self.parenthesized(Self::property_key)?));
            }
            if self.eat_any(&["DBPROPERTIES", "PROPERTIES"]).is_none() {
                return Err(self.unexpected());
            }
            return Ok(SchemaChange::UnsetProperties(self.property_keys()?));
        }
        self.expect("SET")?;
        if self.eat_any(&["DBPROPERTIES", "PROPERTIES"]).is_some() {
            return Ok(SchemaChange::SetProperties(self.property_list()?));
        }
        if self.eat("LOCATION") {
            return Ok(SchemaChange::SetLocation(self.string_literal()?));
        }
        if self.eat_word("TAGS") {
            return Ok(SchemaChange::SetTags(self.tags()?));
        }
        if self.eat_word("OWNER") {
            self.expect("TO")?;
            return Ok(SchemaChange::SetOwner(self.identifier()?));
        }
        Err(self.unexpected())
    }

    pub fn drop_schema(&mut self) -> Result<Plan> {
        self.pos += 2;
        let if_exists = self.if_exists();
        let name = self.reference_name()?;
        let cascade = self.eat_any(&["RESTRICT", "CASCADE"]) == Some("CASCADE");
        Ok(command(Command::DropSchema { name, if_exists, cascade }))
    }

    /// `CREATE CATALOG c [USING {DELTASHARING | SHARE p.s}] [COMMENT ..] [[MANAGED] LOCATION ..] [OPTIONS (..)] [WITH CREDENTIAL (..)]`
    pub fn create_catalog(&mut self) -> Result<Plan> {
        self.expect("CREATE")?;
        if self.at_word(0, "FOREIGN") {
            return Err(Error::unsupported("CREATE FOREIGN CATALOG"));
        }
        self.expect("CATALOG")?;
        let if_not_exists = self.if_not_exists()?;
        let name = self.identifier()?;
        let (mut comment, mut location, mut provider) = (None, None, None);
        let mut options: Options = vec![];
        let mut seen = Vec::new();
        loop {
            if self.at("USING") {
                self.once(&mut seen, "USING");
                self.advance();
                if self.at_word(0, "SHARE") && self.is_identifier(self.peek_at(1)) {
                    self.advance();
                    options.push(("share".to_string(), self.name()?.join(".")));
                    provider = Some("share".to_string());
                } else {
                    provider = Some(self.identifier()?.to_lowercase());
                }
            } else if self.at("COMMENT") {
                self.once(&mut seen, "COMMENT");
                self.advance();
                comment = Some(self.comment_text()?);
            } else if self.at("LOCATION") || (self.at_word(0, "MANAGED") && self.at_offset(1, "LOCATION")) {
                self.once(&mut seen, "LOCATION");
                self.eat_word("MANAGED");
                self.advance();
                location = Some(self.string_literal()?);
            } else if self.at("OPTIONS") {
                self.once(&mut seen, "OPTIONS");
                self.advance();
                options.extend(self.property_list()?);
            } else if self.at("WITH") && self.at_word(1, "CREDENTIAL") {
                self.once(&mut seen, "WITH CREDENTIAL");
                self.pos += 2;
                options.extend(self.property_list()?);
            } else {
                break;
            }
        }
        Ok(command(Command::CreateCatalog { name, if_not_exists, comment, location, provider, options }))
    }

    pub fn drop_catalog(&mut self) -> Result<Plan> {
        self.pos += 2;
        let if_exists = self.if_exists();
        let name = self.identifier()?;
        let cascade = self.eat_any(&["RESTRICT", "CASCADE"]) == Some("CASCADE");
        Ok(command(Command::DropCatalog { name, if_exists, cascade }))
    }
}

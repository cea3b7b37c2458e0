//! Privileges, principals, shares and volumes: Databricks' statements, not in Spark's grammar.

use boathouse_spec::{
    Command, Error, GovernanceStatement, Plan, Principal, PrincipalKind, Privilege, Result, Securable,
    SecurableKind, ShareChange,
};

use super::command;
use crate::lexer::Kind;
use crate::parser::Parser;

fn governance(statement: GovernanceStatement) -> Plan {
    command(Command::Governance(Box::new(statement)))
}

impl Parser<'_> {
    /// GRANT, REVOKE and DENY.
    pub fn privileges(&mut self) -> Result<Plan> {
        let verb = self.advance_word();
        if self.at("ROLE") {
            let start = self.pos - 1;
            self.skip_rest();
            return Err(self.invalid_statement(start, &format!("{verb} ROLE")));
        }
        let privileges = self.list(Self::privilege)?;
        self.expect("ON")?;
        let on = self.securable()?;
        Ok(governance(if verb == "REVOKE" {
            self.expect("FROM")?;
            GovernanceStatement::Revoke { privileges, on, from: self.principal()? }
        } else {
            self.expect("TO")?;
            let to = self.principal()?;
            if verb == "GRANT" {
                GovernanceStatement::Grant { privileges, on, to }
            } else {
                GovernanceStatement::Deny { privileges, on, to }
            }
        }))
    }

    /// `SELECT`, `USE CATALOG`, `SELECT (a, b)`; an underscore may stand for the space.
    fn privilege(&mut self) -> Result<Privilege> {
        let mut words: Vec<String> = Vec::new();
        while self.kind() == Kind::Word && !self.at("ON") {
            words.push(self.advance_word().replace('_', " "));
        }
        if words.is_empty() {
            return Err(self.unexpected());
        }
        let columns = if self.at_symbol("(") { self.identifier_list()? } else { vec![] };
        let name = match words.join(" ").as_str() {
            "ALL" => "ALL PRIVILEGES".to_string(),
            "USAGE" => "USE".to_string(),
            other => other.to_string(),
        };
        Ok(Privilege { name, columns })
    }

    /// `TABLE t`, `SCHEMA s`, `SHARE s`, `METASTORE`, ...; a bare name is a table.
    fn securable(&mut self) -> Result<Securable> {
        const KINDS: &[(&[&str], SecurableKind)] = &[
            (&["MATERIALIZED", "VIEW"], SecurableKind::MaterializedView),
            (&["EXTERNAL", "LOCATION"], SecurableKind::ExternalLocation),
            (&["STORAGE", "CREDENTIAL"], SecurableKind::StorageCredential),
            (&["CATALOG"], SecurableKind::Catalog),
            (&["SCHEMA"], SecurableKind::Schema),
            (&["DATABASE"], SecurableKind::Schema),
            (&["STREAMING", "TABLE"], SecurableKind::Table),
            (&["TABLE"], SecurableKind::Table),
            (&["VIEW"], SecurableKind::View),
            (&["FUNCTION"], SecurableKind::Function),
            (&["PROCEDURE"], SecurableKind::Function),
            (&["VOLUME"], SecurableKind::Volume),
            (&["SHARE"], SecurableKind::Share),
            (&["RECIPIENT"], SecurableKind::Recipient),
            (&["PROVIDER"], SecurableKind::Provider),
            (&["CONNECTION"], SecurableKind::Connection),
        ];
        if self.eat_words(&["ANY", "FILE"]) {
            return Ok(Securable { kind: SecurableKind::AnyFile, name: vec![] });
        }
        if self.at_word(0, "METASTORE") && !self.symbol_at(1, ".") {
            self.advance();
            return Ok(Securable { kind: SecurableKind::Metastore, name: vec![] });
        }
        for (words, kind) in KINDS {
            let named = self.is_identifier(self.peek_at(words.len()));
            let ends = ["TO", "FROM"].iter().any(|k| self.at_offset(words.len(), k));
            if named && !ends && self.eat_words(words) {
                return Ok(Securable { kind: *kind, name: self.reference_name()? });
            }
        }
        Ok(Securable { kind: SecurableKind::Table, name: self.reference_name()? })
    }

    /// `` `name` ``, `USER name`, `GROUP name`, `RECIPIENT name`, ...
    fn principal(&mut self) -> Result<Principal> {
        let kind = self.principal_kind();
        let name = if self.at_string() { self.string_literal()? } else { self.identifier()? };
        Ok(Principal { kind, name })
    }

    fn principal_kind(&mut self) -> PrincipalKind {
        const KINDS: &[(&[&str], PrincipalKind)] = &[
            (&["SERVICE", "PRINCIPAL"], PrincipalKind::ServicePrincipal),
            (&["USER"], PrincipalKind::User),
            (&["GROUP"], PrincipalKind::Group),
            (&["RECIPIENT"], PrincipalKind::Recipient),
        ];
        for (words, kind) in KINDS {
            let next = self.peek_at(words.len());
            if (self.is_identifier(next) || self.is_string(next)) && self.eat_words(words) {
                return *kind;
            }
        }
        PrincipalKind::Any
    }

    /// `SHOW GRANTS [principal] [ON securable]`, `SHOW SHARES`, `SHOW VOLUMES IN s`, ...; SHOW is read.
    pub fn show_governance(&mut self) -> Result<Plan> {
        if self.eat_words(&["ALL", "IN", "SHARE"]) {
            return Ok(governance(GovernanceStatement::ShowAllInShare { name: self.identifier()? }));
        }
        let word = self.advance_word();
        if matches!(word.as_str(), "GRANTS" | "GRANT") {
            if self.eat("TO") {
                let principal = Some(self.principal()?);
                return Ok(governance(GovernanceStatement::ShowGrants { principal, on: None }));
            }
            let principal = if self.at("ON") || self.at_end() || self.at_symbol(";") {
                None
            } else {
                Some(self.principal()?)
            };
            let on = if self.eat("ON") { Some(self.securable()?) } else { None };
            return Ok(governance(GovernanceStatement::ShowGrants { principal, on }));
        }
        let kind = match word.as_str() {
            "SHARES" => SecurableKind::Share,
            "RECIPIENTS" => SecurableKind::Recipient,
            "VOLUMES" => SecurableKind::Volume,
            "USERS" => SecurableKind::User,
            "GROUPS" => SecurableKind::Group,
            _ => return Err(self.unexpected_at(self.pos - 1)),
        };
        let scope = self.scope()?;
        Ok(governance(GovernanceStatement::Show { kind, scope, pattern: self.pattern()? }))
    }

    /// `CREATE {SHARE | RECIPIENT | USER | GROUP | SERVICE PRINCIPAL | TOKEN | [EXTERNAL] VOLUME} ..`
    pub fn create_securable(&mut self) -> Result<Plan> {
        let start = self.pos;
        self.expect("CREATE")?;
        if self.at("OR") {
            return Err(self.unexpected());
        }
        let external = self.eat("EXTERNAL");
        let word = self.advance_word();
        if external && word != "VOLUME" {
            return Err(self.unexpected_at(start + 1));
        }
        if word == "TOKEN" {
            return self.create_token();
        }
        if word == "SERVICE" {
            self.expect_word("PRINCIPAL")?;
        }
        let if_not_exists = self.if_not_exists()?;
        let statement = match word.as_str() {
            "SHARE" => {
                let name = self.identifier()?;
                GovernanceStatement::CreateShare { name, if_not_exists, comment: self.optional_comment()? }
            }
            "RECIPIENT" => {
                let name = self.identifier()?;
                let sharing_id =
                    if self.eat_words(&["USING", "ID"]) { Some(self.string_literal()?) } else { None };
                let comment = self.optional_comment()?;
                let properties = if self.eat("PROPERTIES") { self.property_list()? } else { vec![] };
                GovernanceStatement::CreateRecipient { name, if_not_exists, sharing_id, comment, properties }
            }
            "VOLUME" => {
                let name = self.reference_name()?;
                let mut comment = self.optional_comment()?;
                let location = if self.eat("LOCATION") { Some(self.string_literal()?) } else { None };
                if comment.is_none() {
                    comment = self.optional_comment()?;
                }
                if external != location.is_some() {
                    return Err(self.unexpected());
                }
                GovernanceStatement::CreateVolume { name, external, if_not_exists, location, comment }
            }
            kind => {
                let kind = match kind {
                    "USER" => PrincipalKind::User,
                    "GROUP" => PrincipalKind::Group,
                    _ => PrincipalKind::ServicePrincipal,
                };
                let name = if self.at_string() { self.string_literal()? } else { self.identifier()? };
                let password =
                    if self.eat_words(&["WITH", "PASSWORD"]) { Some(self.string_literal()?) } else { None };
                let principal = Principal { kind, name };
                GovernanceStatement::CreatePrincipal { principal, if_not_exists, password }
            }
        };
        Ok(governance(statement))
    }

    fn optional_comment(&mut self) -> Result<Option<String>> {
        if self.eat("COMMENT") { self.comment_text().map(Some) } else { Ok(None) }
    }

    /// `FOR USER u [COMMENT '..'] [LIFETIME n DAYS]`
    fn create_token(&mut self) -> Result<Plan> {
        self.expect("FOR")?;
        self.expect("USER")?;
        let user = if self.at_string() { self.string_literal()? } else { self.identifier()? };
        let comment = self.optional_comment()?;
        let mut lifetime_days = None;
        if self.eat_word("LIFETIME") {
            lifetime_days = Some(self.integer_value()?);
            if self.eat_any(&["DAYS", "DAY"]).is_none() {
                return Err(self.unexpected());
            }
        }
        Ok(governance(GovernanceStatement::CreateToken { user, comment, lifetime_days }))
    }

    /// `ALTER {SHARE | GROUP | ..} name ..`
    pub fn alter_securable(&mut self) -> Result<Plan> {
        self.expect("ALTER")?;
        if self.eat_word("GROUP") {
            return self.alter_group();
        }
        let on = self.securable()?;
        if self.at_word(0, "OWNER") || self.at_words(&["SET", "OWNER"]) {
            self.eat("SET");
            self.advance();
            self.expect("TO")?;
            let owner = self.identifier()?;
            return Ok(governance(GovernanceStatement::SetOwner { on, owner }));
        }
        if on.kind != SecurableKind::Share {
            return Err(Error::unsupported(format!("this change of a {:?}", on.kind).to_lowercase()));
        }
        let name = on.name.join(".");
        let change = self.share_change()?;
        Ok(governance(GovernanceStatement::AlterShare { name, change }))
    }

    fn alter_group(&mut self) -> Result<Plan> {
        let group = self.identifier()?;
        let add = match self.eat_any(&["ADD", "DROP"]) {
            Some(word) => word == "ADD",
            None => return Err(self.unexpected()),
        };
        let members = self.list(Self::principal)?;
        Ok(governance(GovernanceStatement::AlterGroup { group, add, members }))
    }

    fn share_change(&mut self) -> Result<ShareChange> {
        let add = self.eat("ADD");
        if add || self.eat_word("REMOVE") {
            if self.eat("SCHEMA") {
                let schema = self.name()?;
                return Ok(if add {
                    ShareChange::AddSchema { schema }
                } else {
                    ShareChange::RemoveSchema { schema }
                });
            }
            if self.eat_any(&["TABLE", "VIEW"]).is_none() && !self.eat_all(&["MATERIALIZED", "VIEW"]) {
                return Err(Error::unsupported("sharing other things than tables, views and schemas"));
            }
            let table = self.name()?;
            if !add {
                return Ok(ShareChange::RemoveTable { table });
            }
            if self.optional_comment()?.is_some() || self.at("PARTITION") {
                return Err(Error::unsupported("COMMENT and PARTITION of a shared table"));
            }
            let alias = if self.eat("AS") { Some(self.name()?) } else { None };
            let with_history = self.eat_words(&["WITH", "HISTORY"]);
            if !with_history {
                self.eat_words(&["WITHOUT", "HISTORY"]);
            }
            return Ok(ShareChange::AddTable { table, alias, with_history });
        }
        if self.eat_all(&["RENAME", "TO"]) {
            return Ok(ShareChange::RenameTo(self.identifier()?));
        }
        if self.eat_all(&["SET", "COMMENT"]) || self.eat("COMMENT") {
            return Ok(ShareChange::SetComment(self.string_literal()?));
        }
        Err(self.unexpected())
    }

    pub fn drop_securable(&mut self) -> Result<Plan> {
        self.expect("DROP")?;
        let word = self.advance_word();
        if word == "SERVICE" {
            self.expect_word("PRINCIPAL")?;
        }
        let if_exists = self.if_exists();
        let principal = match word.as_str() {
            "USER" => Some(PrincipalKind::User),
            "GROUP" => Some(PrincipalKind::Group),
            "SERVICE" => Some(PrincipalKind::ServicePrincipal),
            _ => None,
        };
        if let Some(kind) = principal {
            let name = if self.at_string() { self.string_literal()? } else { self.identifier()? };
            let principal = Principal { kind, name };
            return Ok(governance(GovernanceStatement::DropPrincipal { principal, if_exists }));
        }
        let kind = match word.as_str() {
            "SHARE" => SecurableKind::Share,
            "RECIPIENT" => SecurableKind::Recipient,
            _ => SecurableKind::Volume,
        };
        let on = Securable { kind, name: self.reference_name()? };
        Ok(governance(GovernanceStatement::Drop { on, if_exists }))
    }

    /// `DESCRIBE {SHARE | RECIPIENT | VOLUME} name`; DESCRIBE is read.
    pub fn describe_securable(&mut self) -> Result<Plan> {
        let on = self.securable()?;
        Ok(governance(GovernanceStatement::Describe { on, extended: false }))
    }
}

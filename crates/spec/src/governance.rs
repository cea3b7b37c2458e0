//! Statements about who may do what: privileges, principals, shares, volumes.

use crate::{Name, Options};

#[derive(Debug, Clone, PartialEq)]
pub enum GovernanceStatement {
    Grant {
        privileges: Vec<Privilege>,
        on: Securable,
        to: Principal,
    },
    Revoke {
        privileges: Vec<Privilege>,
        on: Securable,
        from: Principal,
    },
    Deny {
        privileges: Vec<Privilege>,
        on: Securable,
        to: Principal,
    },
    /// `SHOW GRANTS [principal] [ON securable]`
    ShowGrants {
        principal: Option<Principal>,
        on: Option<Securable>,
    },
    /// `ALTER <securable> [SET] OWNER TO principal`, where no other command says it.
    SetOwner {
        on: Securable,
        owner: String,
    },
    CreatePrincipal {
        principal: Principal,
        if_not_exists: bool,
        /// `WITH PASSWORD '..'`
        password: Option<String>,
    },
    DropPrincipal {
        principal: Principal,
        if_exists: bool,
    },
    /// `ALTER GROUP g ADD|DROP USER u, GROUP h`
    AlterGroup {
        group: String,
        add: bool,
        members: Vec<Principal>,
    },
    /// `CREATE TOKEN FOR USER u [COMMENT '..'] [LIFETIME n DAYS]`: one row with the column `token`.
    CreateToken {
        user: String,
        comment: Option<String>,
        lifetime_days: Option<i64>,
    },
    CreateShare {
        name: String,
        if_not_exists: bool,
        comment: Option<String>,
    },
    AlterShare {
        name: String,
        change: ShareChange,
    },
    CreateRecipient {
        name: String,
        if_not_exists: bool,
        /// `USING ID '..'`: a recipient known to another metastore.
        sharing_id: Option<String>,
        comment: Option<String>,
        properties: Options,
    },
    CreateVolume {
        name: Name,
        external: bool,
        if_not_exists: bool,
        location: Option<String>,
        comment: Option<String>,
    },
    /// `DROP SHARE|RECIPIENT|VOLUME name`
    Drop {
        on: Securable,
        if_exists: bool,
    },
    /// `SHOW SHARES`, `SHOW RECIPIENTS`, `SHOW VOLUMES IN schema`, `SHOW USERS`, `SHOW GROUPS`
    Show {
        kind: SecurableKind,
        scope: Option<Name>,
        pattern: Option<String>,
    },
    /// `SHOW ALL IN SHARE s`
    ShowAllInShare {
        name: String,
    },
    /// `DESCRIBE SHARE|RECIPIENT|VOLUME name`
    Describe {
        on: Securable,
        extended: bool,
    },
}

/// A privilege, in upper case with single spaces (`SELECT`, `USE CATALOG`, `ALL PRIVILEGES`), on all or on named columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Privilege {
    pub name: String,
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Securable {
    pub kind: SecurableKind,
    /// Empty for the metastore.
    pub name: Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecurableKind {
    Metastore,
    Catalog,
    Schema,
    /// Tables and views; also an object named without its kind.
    Table,
    View,
    MaterializedView,
    Function,
    Volume,
    Share,
    Recipient,
    Provider,
    Connection,
    ExternalLocation,
    StorageCredential,
    /// `ANY FILE`
    AnyFile,
    User,
    Group,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// Written as a bare name: a user, group or service principal.
    Any,
    User,
    Group,
    ServicePrincipal,
    Recipient,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    pub kind: PrincipalKind,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ShareChange {
    AddTable {
        table: Name,
        /// `AS schema.table`
        alias: Option<Name>,
        with_history: bool,
    },
    RemoveTable {
        table: Name,
    },
    AddSchema {
        schema: Name,
    },
    RemoveSchema {
        schema: Name,
    },
    RenameTo(String),
    SetComment(String),
}

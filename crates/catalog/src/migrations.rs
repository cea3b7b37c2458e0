//! The metastore's tables, as steps from an empty file to the present. Steps are only ever added.

/// Step `n` (from 1) takes the file from version `n - 1` to `n`. Statements are portable to PostgreSQL.
pub(crate) const STEPS: &[&[&str]] = &[
    &[
        "CREATE TABLE catalogs (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        comment TEXT,
        owner TEXT NOT NULL,
        location TEXT,
        properties TEXT NOT NULL,
        created_at_us BIGINT NOT NULL,
        created_by TEXT NOT NULL,
        updated_at_us BIGINT NOT NULL,
        updated_by TEXT NOT NULL
    )",
        "CREATE TABLE schemas (
        id TEXT PRIMARY KEY,
        catalog_id TEXT NOT NULL REFERENCES catalogs (id),
        name TEXT NOT NULL,
        comment TEXT,
        owner TEXT NOT NULL,
        location TEXT,
        properties TEXT NOT NULL,
        collation_name TEXT,
        created_at_us BIGINT NOT NULL,
        created_by TEXT NOT NULL,
        updated_at_us BIGINT NOT NULL,
        updated_by TEXT NOT NULL,
        UNIQUE (catalog_id, name)
    )",
        "CREATE TABLE relations (
        id TEXT PRIMARY KEY,
        schema_id TEXT NOT NULL REFERENCES schemas (id),
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        provider TEXT,
        schema_json TEXT NOT NULL,
        partition_columns TEXT NOT NULL,
        clustering_columns TEXT NOT NULL,
        bucket TEXT,
        location TEXT,
        properties TEXT NOT NULL,
        options TEXT NOT NULL,
        comment TEXT,
        collation_name TEXT,
        owner TEXT NOT NULL,
        view_definition TEXT,
        created_at_us BIGINT NOT NULL,
        created_by TEXT NOT NULL,
        created_version TEXT NOT NULL,
        updated_at_us BIGINT NOT NULL,
        updated_by TEXT NOT NULL,
        UNIQUE (schema_id, name)
    )",
        "CREATE INDEX relations_by_location ON relations (location)",
        "CREATE TABLE functions (
        id TEXT PRIMARY KEY,
        schema_id TEXT NOT NULL REFERENCES schemas (id),
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        language TEXT NOT NULL,
        parameters TEXT NOT NULL,
        return_type TEXT,
        return_columns TEXT NOT NULL,
        body TEXT NOT NULL,
        body_is_query BOOLEAN NOT NULL,
        comment TEXT,
        deterministic BOOLEAN,
        characteristics TEXT NOT NULL,
        owner TEXT NOT NULL,
        current_catalog TEXT NOT NULL,
        current_schema TEXT NOT NULL,
        configs TEXT NOT NULL,
        created_at_us BIGINT NOT NULL,
        created_by TEXT NOT NULL,
        updated_at_us BIGINT NOT NULL,
        updated_by TEXT NOT NULL,
        UNIQUE (schema_id, name)
    )",
    ],
    &["CREATE TABLE pipelines (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        storage TEXT NOT NULL,
        catalog_name TEXT NOT NULL,
        schema_name TEXT NOT NULL,
        root TEXT,
        configuration TEXT NOT NULL,
        owner TEXT NOT NULL,
        created_at_us BIGINT NOT NULL,
        updated_at_us BIGINT NOT NULL
    )"],
    &["CREATE TABLE streams (
        name TEXT PRIMARY KEY,
        checkpoint TEXT NOT NULL UNIQUE,
        request BLOB NOT NULL,
        settings TEXT NOT NULL,
        catalog_name TEXT NOT NULL,
        schema_name TEXT NOT NULL,
        owner TEXT NOT NULL,
        created_at_us BIGINT NOT NULL
    )"],
    &[
        "CREATE TABLE managed_tables (
        table_id TEXT PRIMARY KEY,
        latest_version BIGINT NOT NULL,
        created_at_us BIGINT NOT NULL
    )",
        "CREATE TABLE managed_commits (
        table_id TEXT NOT NULL REFERENCES managed_tables (table_id) ON DELETE CASCADE,
        version BIGINT NOT NULL,
        file TEXT NOT NULL,
        PRIMARY KEY (table_id, version)
    )",
    ],
];

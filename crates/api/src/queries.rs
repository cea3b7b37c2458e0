//! The history of queries: `GET /queries?limit=n` lists the newest, `GET /queries/{id}` shows one with its operators.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::{Json, Router, routing};
use boathouse_catalog::QueryRecord;
use boathouse_engine::Engine;
use boathouse_spec::Error;
use serde_json::{Value, json};

/// Queries that are listed where nobody says how many.
const LISTED: i64 = 100;

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

pub fn routes(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/queries", routing::get(list))
        .route("/queries/{id}", routing::get(show))
        .with_state(engine)
}

async fn list(State(engine): State<Arc<Engine>>, RawQuery(query): RawQuery) -> Answer {
    let mut parts = query.as_deref().unwrap_or_default().split('&').filter_map(|part| part.split_once('='));
    let limit = match parts.rfind(|(name, _)| *name == "limit") {
        None => LISTED,
        Some((_, text)) => text.parse().ok().filter(|n| *n >= 0).ok_or_else(|| {
            let message = format!("limit={text} is no whole number of queries.");
            (StatusCode::BAD_REQUEST, Json(json!({"error": message})))
        })?,
    };
    let queries = engine.newest_queries(limit).await.map_err(failed)?;
    Ok(Json(json!({"queries": queries.iter().map(summary).collect::<Vec<_>>()})))
}

async fn show(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> Answer {
    match engine.finished_query(&id).await.map_err(failed)? {
        Some(query) => {
            let mut shown = summary(&query);
            shown["operators"] = serde_json::from_str(&query.operators).unwrap_or_default();
            Ok(Json(shown))
        }
        None => {
            let message = format!("The history has no query {id}.");
            Err((StatusCode::NOT_FOUND, Json(json!({"error": message}))))
        }
    }
}

/// A query without its operators.
fn summary(query: &QueryRecord) -> Value {
    let mut shown = serde_json::to_value(query).unwrap_or_default();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("operators");
    }
    shown
}

fn failed(e: Error) -> (StatusCode, Json<Value>) {
    (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": e.to_string()})))
}

//! Which handler an error goes to (Spark's `SqlScriptingExecutionScope.findHandler`).

use boathouse_spec::{Error, HandledCondition, ScriptHandler};

/// The handler of a block for an error: the most specific one.
pub(super) fn find<'a>(handlers: &'a [ScriptHandler], error: &Error) -> Option<&'a ScriptHandler> {
    let of = |condition: HandledCondition| handlers.iter().find(|h| h.conditions.contains(&condition));
    let class = error.class().to_uppercase();
    let main = class.split('.').next().unwrap_or_default().to_string();
    let state = error.sqlstate();
    of(HandledCondition::Named(class))
        .or_else(|| of(HandledCondition::Named(main)))
        .or_else(|| of(HandledCondition::SqlState(state.to_string())))
        .or_else(|| match state.get(..2) {
            Some("02") => of(HandledCondition::NotFound),
            Some("XX") => None,
            _ => of(HandledCondition::SqlException),
        })
}

/// Two handlers of one block for the same condition.
pub(super) fn refuse_duplicates(handlers: &[ScriptHandler]) -> boathouse_spec::Result<()> {
    let mut seen: Vec<&HandledCondition> = Vec::new();
    for condition in handlers.iter().flat_map(|h| &h.conditions) {
        if seen.contains(&condition) {
            return Err(duplicate(condition));
        }
        seen.push(condition);
    }
    Ok(())
}

fn duplicate(condition: &HandledCondition) -> Error {
    let (subclass, key, name) = match condition {
        HandledCondition::SqlState(state) => ("SQLSTATE", "sqlState", state.as_str()),
        HandledCondition::Named(name) => ("CONDITION", "condition", name.as_str()),
        HandledCondition::SqlException => ("CONDITION", "condition", "SQLEXCEPTION"),
        HandledCondition::NotFound => ("CONDITION", "condition", "NOT FOUND"),
    };
    Error::new(format!("DUPLICATE_EXCEPTION_HANDLER.{subclass}"))
        .param(key, name)
        .message(format!("A block has two handlers for {name}."))
        .exception("AnalysisException")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(condition: HandledCondition) -> ScriptHandler {
        ScriptHandler { continues: false, conditions: vec![condition], body: Vec::new() }
    }

    #[test]
    fn the_most_specific_handler_wins() {
        use HandledCondition::*;
        let named = Named("UNRESOLVED_COLUMN".to_string());
        let handlers = [
            handler(SqlException),
            handler(NotFound),
            handler(SqlState("22012".to_string())),
            handler(named.clone()),
        ];
        let found = |class: &str| find(&handlers, &Error::new(class)).map(|h| h.conditions[0].clone());
        assert_eq!(found("UNRESOLVED_COLUMN.WITH_SUGGESTION"), Some(named));
        assert_eq!(found("DIVIDE_BY_ZERO"), Some(SqlState("22012".to_string())));
        assert_eq!(found("CURSOR_NO_MORE_ROWS"), Some(NotFound));
        assert_eq!(found("CAST_INVALID_INPUT"), Some(SqlException));
        assert_eq!(found("INTERNAL_ERROR"), None);
    }
}

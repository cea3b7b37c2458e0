//! The options of `statestore` (Spark's `StateSourceOptions`).

use boathouse_spec::{Error, Options, Result, option};

use crate::stateful::DEFAULT_STORE;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The state that this batch left; the last one's where `None`.
    pub batch: Option<i64>,
    pub operator: i64,
    pub store: String,
    /// `left` or `right`, of a join.
    pub side: Option<String>,
    pub changes: Option<Changes>,
}

/// Batches whose changes are asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changes {
    pub start: i64,
    pub end: Option<i64>,
}

impl Asked {
    pub fn of(options: &Options) -> Result<Self> {
        let batch = number(options, "batchId")?;
        let operator = number(options, "operatorId")?.unwrap_or(0);
        let store = option(options, "storeName").map(str::trim).unwrap_or(DEFAULT_STORE);
        if store.is_empty() {
            return Err(Error::new("STDS_INVALID_OPTION_VALUE.IS_EMPTY")
                .param("optionName", "storeName")
                .message("Invalid value for source option 'storeName': it cannot be empty.")
                .exception("IllegalArgumentException"));
        }
        let side = match option(options, "joinSide").map(str::to_lowercase).as_deref() {
            None | Some("none") => None,
            Some(side @ ("left" | "right")) => Some(side.to_string()),
            Some(_) => return Err(refused("joinSide", "Valid values are left,right,none")),
        };
        if side.is_some() && store != DEFAULT_STORE {
            return Err(conflict(&["joinSide", "storeName"]));
        }
        let feed = option(options, "readChangeFeed").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let changes = if feed { Some(changes(options, side.is_some())?) } else { None };
        check_snapshot(options, batch)?;
        Ok(Self { batch, operator, store: store.to_string(), side, changes })
    }
}

fn changes(options: &Options, has_side: bool) -> Result<Changes> {
    if has_side {
        return Err(conflict(&["joinSide", "readChangeFeed"]));
    }
    for other in ["batchId", "snapshotStartBatchId", "snapshotPartitionId"] {
        if option(options, other).is_some() {
            return Err(conflict(&["readChangeFeed", other]));
        }
    }
    let start = number(options, "changeStartBatchId")?.ok_or_else(|| required("changeStartBatchId"))?;
    let end = number(options, "changeEndBatchId")?;
    match end {
        Some(end) if end < start => Err(refused(
            "changeEndBatchId",
            &format!("It cannot be smaller than changeStartBatchId, which is {start}"),
        )),
        _ => Ok(Changes { start, end }),
    }
}

/// State is read from the files of a version by what each stands on, so that where to begin needs no help; the options must fit.
fn check_snapshot(options: &Options, batch: Option<i64>) -> Result<()> {
    let start = number(options, "snapshotStartBatchId")?;
    let partition = number(options, "snapshotPartitionId")?;
    match (start, partition) {
        (Some(_), None) => Err(required("snapshotPartitionId")),
        (None, Some(_)) => Err(required("snapshotStartBatchId")),
        (Some(start), _) if batch.is_some_and(|batch| batch < start) => {
            Err(refused("snapshotStartBatchId", "It cannot be greater than the batch that is read"))
        }
        _ => Ok(()),
    }
}

fn number(options: &Options, name: &str) -> Result<Option<i64>> {
    let Some(text) = option(options, name) else { return Ok(None) };
    match text.trim().parse::<i64>() {
        Ok(n) if n >= 0 => Ok(Some(n)),
        Ok(_) => Err(Error::new("STDS_INVALID_OPTION_VALUE.IS_NEGATIVE")
            .param("optionName", name)
            .message(format!("Invalid value for source option '{name}': it cannot be negative."))
            .exception("IllegalArgumentException")),
        Err(_) => Err(Error::new("INVALID_PARAMETER_VALUE")
            .param("optionName", name)
            .message(format!("For input string: \"{text}\" (the source option '{name}' is a number)."))
            .exception("NumberFormatException")),
    }
}

pub(super) fn refused(name: &str, why: &str) -> Error {
    Error::new("STDS_INVALID_OPTION_VALUE.WITH_MESSAGE")
        .param("optionName", name)
        .param("message", why)
        .message(format!("Invalid value for source option '{name}': {why}."))
        .exception("IllegalArgumentException")
}

pub(super) fn required(name: &str) -> Error {
    Error::new("STDS_REQUIRED_OPTION_UNSPECIFIED")
        .param("optionName", name)
        .message(format!("'{name}' must be specified."))
        .exception("IllegalArgumentException")
}

fn conflict(names: &[&str]) -> Error {
    let names: Vec<String> = names.iter().map(|n| format!("'{n}'")).collect();
    let names = format!("[{}]", names.join(", "));
    Error::new("STDS_CONFLICT_OPTIONS")
        .param("options", &names)
        .message(format!("The options {names} cannot be specified together. Please specify the one."))
        .exception("IllegalArgumentException")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Result<Asked> {
        let options: Vec<(String, String)> =
            pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
        Asked::of(&options)
    }

    #[test]
    fn options_are_checked() {
        let plain = asked(&[("batchId", "3")]).unwrap();
        assert_eq!((plain.batch, plain.operator, plain.store.as_str()), (Some(3), 0, "default"));
        let class = |pairs: &[(&str, &str)]| asked(pairs).unwrap_err().class().to_string();
        assert_eq!(class(&[("batchId", "-3")]), "STDS_INVALID_OPTION_VALUE.IS_NEGATIVE");
        assert_eq!(class(&[("joinSide", "left"), ("storeName", "x")]), "STDS_CONFLICT_OPTIONS");
        assert_eq!(class(&[("readChangeFeed", "true")]), "STDS_REQUIRED_OPTION_UNSPECIFIED");
        assert_eq!(class(&[("snapshotStartBatchId", "1")]), "STDS_REQUIRED_OPTION_UNSPECIFIED");
    }
}

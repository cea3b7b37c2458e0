//! Settings of a session, read and written by the client.

use boathouse_engine::Session;
use boathouse_spec::Result;

use crate::failure::{illegal_argument, message_text, unsupported_operation};
use crate::proto::spark::KeyValue;
use crate::proto::spark::config_request::{Operation, operation::OpType};

/// Pairs to answer with, and warnings.
pub type Answer = (Vec<KeyValue>, Vec<String>);

pub fn run(session: &Session, operation: Option<Operation>) -> Result<Answer> {
    let conf = session.conf();
    let mut pairs = Vec::new();
    let mut warnings = Vec::new();
    match operation.and_then(|o| o.op_type) {
        Some(OpType::Set(set)) => {
            let is_silent = set.silent.unwrap_or(false);
            for KeyValue { key, value } in set.pairs {
                let value = value.ok_or_else(|| {
                    illegal_argument(format!("requirement failed: value cannot be null for key: {key}"))
                })?;
                match conf.set(&key, &value) {
                    Err(e) if is_silent => {
                        warnings.push(format!(
                            "Failed to set {key} to Some({value}) due to {}",
                            message_text(&e)
                        ));
                    }
                    result => result?,
                }
            }
        }
        Some(OpType::Get(get)) => {
            for key in get.keys {
                let value = Some(conf.require(&key)?);
                pairs.push(KeyValue { key, value });
            }
        }
        Some(OpType::GetWithDefault(get)) => {
            for KeyValue { key, value: default } in get.pairs {
                // A default of the client's own takes the place of the key's.
                let value = if conf.is_set(&key) || default.is_none() { conf.get(&key) } else { None };
                let value = value.or(default);
                pairs.push(KeyValue { key, value });
            }
        }
        Some(OpType::GetOption(get)) => {
            for key in get.keys {
                let value = conf.get(&key);
                pairs.push(KeyValue { key, value });
            }
        }
        Some(OpType::GetAll(get)) => {
            // Keys are answered without the prefix they were asked for by.
            let prefix = get.prefix.as_deref();
            for (key, value) in conf.get_all(prefix) {
                let key = key.strip_prefix(prefix.unwrap_or_default()).map_or(key.clone(), str::to_string);
                pairs.push(KeyValue { key, value: Some(value) });
            }
        }
        Some(OpType::Unset(unset)) => {
            for key in unset.keys {
                conf.unset(&key)?;
            }
        }
        Some(OpType::IsModifiable(keys)) => {
            for key in keys.keys {
                let value = Some(conf.is_modifiable(&key).to_string());
                pairs.push(KeyValue { key, value });
            }
        }
        None => return Err(unsupported_operation("The request says nothing to do with the settings.")),
    }
    Ok((pairs, warnings))
}

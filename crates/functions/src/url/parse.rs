//! `parse_url(url, part [, key])` and `try_parse_url`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, StringArray, StringBuilder};
use boathouse_spec::{DataType, Error, Result};

use super::uri::Uri;
use crate::{Call, Registry, Resolved, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["parse_url"], |c| parse_url(c, !c.context.ansi));
    r.scalar(&["try_parse_url"], |c| parse_url(c, true));
}

fn parse_url(call: &Call, lenient: bool) -> Result<Resolved> {
    call.arity_of(&[2, 3])?;
    let coerced = call.exactly(&[Want::Str])?;
    Ok(Resolved::new(coerced, DataType::STRING, true, move |inputs| {
        let urls = inputs.strings(0)?;
        let parts = inputs.strings(1)?;
        let keys: Option<StringArray> = if inputs.len() > 2 { Some(inputs.strings(2)?) } else { None };
        let mut out = StringBuilder::with_capacity(urls.len(), urls.len() * 16);
        let mut file = String::new();
        let mut finders = Finders::default();
        for row in 0..urls.len() {
            let key = keys.as_ref().map(|k| k.is_valid(row).then(|| k.value(row)));
            if urls.is_null(row) || parts.is_null(row) || key == Some(None) {
                out.append_null();
                continue;
            }
            let (url, key) = (urls.value(row), key.flatten());
            match Uri::parse(url) {
                Some(uri) => {
                    let found = match key {
                        Some(key) => query_value(&uri, parts.value(row), key, &mut finders)?,
                        None => part(&uri, parts.value(row), &mut file),
                    };
                    out.append_option(found);
                }
                None if lenient => out.append_null(),
                None => return Err(invalid(url)),
            }
        }
        Ok(Arc::new(out.finish()))
    }))
}

fn invalid(url: &str) -> Error {
    Error::new("INVALID_URL")
        .param("url", url)
        .message(format!("'{url}' is no URL. Use `try_parse_url` to get NULL."))
}

/// The part of that name; `FILE` is put together in `file`.
fn part<'a>(uri: &Uri<'a>, name: &str, file: &'a mut String) -> Option<&'a str> {
    match name {
        "HOST" => uri.host,
        "PATH" => uri.path,
        "QUERY" => uri.query,
        "REF" => uri.fragment,
        "PROTOCOL" => uri.scheme,
        "AUTHORITY" => uri.authority,
        "USERINFO" => uri.user_info,
        "FILE" => match uri.query {
            None => uri.path,
            Some(query) => {
                file.clear();
                file.push_str(uri.path.unwrap_or_default());
                file.push('?');
                file.push_str(query);
                Some(file)
            }
        },
        _ => None,
    }
}

/// Regular expressions that find the value of a key.
#[derive(Default)]
struct Finders {
    known: HashMap<String, fancy_regex::Regex>,
}

/// The value of a key of the query. Spark makes a regular expression of the key.
fn query_value<'a>(uri: &Uri<'a>, part: &str, key: &str, finders: &mut Finders) -> Result<Option<&'a str>> {
    let Some(query) = uri.query.filter(|_| part == "QUERY") else { return Ok(None) };
    if key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Ok(query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')));
    }
    if !finders.known.contains_key(key) {
        let finder = fancy_regex::Regex::new(&format!("(?:&|^)(?:{key})=([^&]*)")).map_err(|e| {
            Error::new("INVALID_PARAMETER_VALUE.PATTERN")
                .param("parameter", "`key`")
                .param("functionName", "`parse_url`")
                .param("value", format!("'{key}'"))
                .message(format!("The key '{key}' is no regular expression: {e}"))
        })?;
        finders.known.insert(key.to_string(), finder);
    }
    let found = finders.known.get(key).and_then(|f| f.captures(query).ok().flatten());
    Ok(found.and_then(|c| c.get(c.len() - 1)).map(|m| m.as_str()))
}

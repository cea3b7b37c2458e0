//! `parse_url(url, part [, key])` and `try_parse_url`.

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
        for row in 0..urls.len() {
            let key = keys.as_ref().map(|k| k.is_valid(row).then(|| k.value(row)));
            if urls.is_null(row) || parts.is_null(row) || key == Some(None) {
                out.append_null();
                continue;
            }
            let (url, key) = (urls.value(row), key.flatten());
            match Uri::parse(url) {
                Some(uri) => out.append_option(part(&uri, parts.value(row), key, &mut file)),
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
fn part<'a>(uri: &Uri<'a>, name: &str, key: Option<&str>, file: &'a mut String) -> Option<&'a str> {
    if let Some(key) = key {
        if name != "QUERY" {
            return None;
        }
        return uri.query?.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    }
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

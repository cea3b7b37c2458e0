//! `sasl.jaas.config`: who logs in, in Java's notation: `some.PlainLoginModule required username="u" password="p";`.

use boathouse_spec::{Error, Result};

use super::errors::illegal_argument;

/// With what somebody logs in.
pub enum Login {
    Password {
        username: String,
        password: String,
    },
    /// The options of the module for the mechanism OAUTHBEARER.
    Token(Vec<(String, String)>),
}

pub fn parse(text: &str) -> Result<Login> {
    let text = text.trim().trim_end_matches(';').trim();
    let (module, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let module = module.rsplit('.').next().unwrap_or(module);
    if module == "Krb5LoginModule" {
        return Err(no_kerberos());
    }
    let options =
        options(rest).ok_or_else(|| illegal_argument("The option kafka.sasl.jaas.config cannot be read."))?;
    match module {
        "OAuthBearerLoginModule" => Ok(Login::Token(options)),
        "PlainLoginModule" | "ScramLoginModule" => {
            let (username, password) = (needed(&options, "username")?, needed(&options, "password")?);
            Ok(Login::Password { username, password })
        }
        other => Err(Error::unsupported(format!("the login module {other} for connections to Kafka"))),
    }
}

/// An option of a login module.
pub fn find<'a>(options: &'a [(String, String)], name: &str) -> Option<&'a str> {
    options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// An option that has to be there.
pub fn needed(options: &[(String, String)], name: &str) -> Result<String> {
    let missing = || illegal_argument(format!("The option kafka.sasl.jaas.config has no {name}."));
    find(options, name).map(str::to_string).ok_or_else(missing)
}

pub fn no_kerberos() -> Error {
    Error::unsupported(
        "Kerberos (GSSAPI, the SASL mechanism where kafka.sasl.mechanism names none) for connections to Kafka: PLAIN, SCRAM-SHA-256, \
         SCRAM-SHA-512 and OAUTHBEARER are there",
    )
}

/// `key=value`, values in quotes where they have spaces; words without a value are left out.
fn options(text: &str) -> Option<Vec<(String, String)>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let key = &rest[..end];
        rest = rest[end..].trim_start();
        let Some(after) = rest.strip_prefix('=') else { continue };
        let (value, after) = value(after.trim_start())?;
        out.push((key.to_string(), value));
        rest = after.trim_start();
    }
    Some(out)
}

fn value(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Some((text[..end].to_string(), &text[end..]));
    };
    let mut out = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => out.push(letters.next()?.1),
            c if c == quote => return Some((out, &text[at + 1..])),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> (String, String) {
        match parse(text).unwrap() {
            Login::Password { username, password } => (username, password),
            Login::Token(_) => panic!("a token"),
        }
    }

    #[test]
    fn logins() {
        let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
        let login = password(&format!(r#"{module} required username="al\"ice" password='a b' x=1;"#));
        assert_eq!(login, ("al\"ice".to_string(), "a b".to_string()));
        let login = password(&format!("{module} required\n  username=alice\n  password=secret;"));
        assert_eq!(login, ("alice".to_string(), "secret".to_string()));
        assert!(parse(&format!("{module} required username=\"a;")).is_err());
        assert!(parse(&format!("{module} required username=a;")).is_err());
        let Login::Token(options) =
            parse("kafkashaded.x.OAuthBearerLoginModule required clientId='a';").unwrap()
        else {
            panic!("no token")
        };
        assert_eq!(options, [("clientId".to_string(), "a".to_string())]);
    }
}

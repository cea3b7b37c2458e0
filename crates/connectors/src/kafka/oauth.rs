//! Tokens for the mechanism OAUTHBEARER: where they come from, as the login handlers of Kafka's Java client have it
//! (`OAuthBearerLoginCallbackHandler`, and `OAuthBearerUnsecuredLoginCallbackHandler` where no place of tokens is given).
//!
//! The client asks for a token when it first connects, and again before the one it has runs out.

use std::sync::mpsc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use boathouse_spec::{Error, Result, clock};
use rdkafka::client::OAuthToken;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;
use tokio::time::Instant;
use url::Url;

use super::errors::illegal_argument;
use super::jaas::{find, needed};

/// The settings of the client that are about tokens (`SaslConfigs` of the Java client).
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub endpoint: Option<String>,
    pub subject_claim: Option<String>,
    pub encodes_header: bool,
    pub connect_timeout_ms: Option<u64>,
    pub read_timeout_ms: Option<u64>,
    pub retry_backoff_ms: Option<u64>,
    pub retry_backoff_max_ms: Option<u64>,
}

/// Who makes tokens, and with what. It has secrets, so it is not shown.
#[derive(Clone)]
pub struct Tokens {
    origin: Origin,
    settings: Settings,
}

#[derive(Clone)]
enum Origin {
    /// A server that gives one for an id and a secret (OAuth's grant of client credentials).
    Endpoint { url: Url, client_id: String, client_secret: String, scope: Option<String> },
    /// A file that somebody keeps fresh.
    File(String),
    /// We make one ourselves, which nobody signs: for brokers to try things with.
    Unsecured(Unsecured),
}

#[derive(Clone)]
struct Unsecured {
    claims: Map<String, Value>,
    principal_claim: String,
    lifetime_ms: i64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// `login` are the options of the login module.
    pub fn new(login: &[(String, String)], settings: Settings) -> Result<Self> {
        let origin = match settings.endpoint.as_deref().map(str::trim) {
            None => Origin::Unsecured(unsecured(login)?),
            Some(text) => {
                let url = Url::parse(text).map_err(|e| {
                    illegal_argument(format!(
                        "The option kafka.sasl.oauthbearer.token.endpoint.url is no URL: {text}: {e}"
                    ))
                })?;
                placed(url, login)?
            }
        };
        Ok(Self { origin, settings })
    }

    /// A fresh token. Waits for the network.
    pub fn token(&self, runtime: Option<&Handle>) -> Result<OAuthToken> {
        let text = match &self.origin {
            Origin::Unsecured(made) => return made.token(),
            Origin::File(path) => std::fs::read_to_string(path).map_err(|e| {
                Error::new("FAILED_IO").message(format!("The token {path} cannot be read: {e}"))
            })?,
            Origin::Endpoint { .. } => self.asked(runtime)?,
        };
        self.read(text.trim())
    }

    /// What a token says of itself: whom it names, and until when it is good.
    fn read(&self, token: &str) -> Result<OAuthToken> {
        let claims = claims(token).ok_or_else(|| no_token("it is no JSON Web Token"))?;
        let subject = self.settings.subject_claim.as_deref().unwrap_or("sub");
        let principal = claims.get(subject).and_then(Value::as_str);
        let principal = principal.ok_or_else(|| no_token(&format!("it has no claim {subject}")))?;
        let expires =
            claims.get("exp").and_then(Value::as_f64).ok_or_else(|| no_token("it has no claim exp"))?;
        Ok(OAuthToken {
            token: token.to_string(),
            principal_name: principal.to_string(),
            lifetime_ms: (expires * 1000.0) as i64,
        })
    }

    /// Waits for the server's answer, on a thread that is not the runtime's.
    fn asked(&self, runtime: Option<&Handle>) -> Result<String> {
        let runtime = runtime.ok_or_else(|| Error::internal("a token is asked for outside of the server"))?;
        let (answer, answered) = mpsc::sync_channel(1);
        let this = self.clone();
        runtime.spawn(async move {
            let _ = answer.send(this.answer().await);
        });
        let answer = answered.recv().unwrap_or_else(|_| Err(Refusal::lasting("the server is ending")));
        answer.map_err(|refusal| no_token(&refusal.why))
    }

    /// Asks the server, again and again for a while where it does not answer or is in trouble (the client's `Retry`).
    async fn answer(&self) -> std::result::Result<String, Refusal> {
        let client = self.client().map_err(|e| Refusal::lasting(&said(&e)))?;
        let milliseconds = |given: Option<u64>, default| Duration::from_millis(given.unwrap_or(default));
        let deadline = Instant::now() + milliseconds(self.settings.retry_backoff_max_ms, 10_000);
        let mut wait = milliseconds(self.settings.retry_backoff_ms, 100);
        loop {
            let refusal = match self.request(&client).await {
                Ok(token) => return Ok(token),
                Err(refusal) => refusal,
            };
            let next = Instant::now() + wait;
            if !refusal.may_pass || next >= deadline {
                return Err(refusal);
            }
            tokio::time::sleep_until(next).await;
            wait *= 2;
        }
    }

    fn client(&self) -> reqwest::Result<reqwest::Client> {
        let timeout = |given: Option<u64>| Duration::from_millis(given.unwrap_or(10_000));
        reqwest::Client::builder()
            .connect_timeout(timeout(self.settings.connect_timeout_ms))
            .read_timeout(timeout(self.settings.read_timeout_ms))
            .build()
    }

    async fn request(&self, client: &reqwest::Client) -> std::result::Result<String, Refusal> {
        let Origin::Endpoint { url, client_id, client_secret, scope } = &self.origin else {
            return Err(Refusal::lasting("no server"));
        };
        let (id, secret) = if self.settings.encodes_header {
            (encoded(client_id), encoded(client_secret))
        } else {
            (client_id.clone(), client_secret.clone())
        };
        let scope = scope.as_ref().map_or(String::new(), |scope| format!("&scope={}", encoded(scope)));
        let request = client
            .post(url.clone())
            .header("Authorization", format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
            .header("Accept", "application/json")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(format!("grant_type=client_credentials{scope}"));
        let answer = request.send().await.map_err(|e| Refusal::passing(&said(&e)))?;
        let status = answer.status();
        let body = answer.text().await.map_err(|e| Refusal::passing(&said(&e)))?;
        if !status.is_success() {
            let short: String = body.chars().take(500).collect();
            let why = format!("{url} answered {status}: {short}");
            let may_pass = status.is_server_error() && !matches!(status.as_u16(), 501 | 505);
            return Err(Refusal { why, may_pass });
        }
        let answer: Value = serde_json::from_str(&body)
            .map_err(|e| Refusal::lasting(&format!("{url} did not answer in JSON: {e}")))?;
        let token = answer.get("access_token").or(answer.get("id_token")).and_then(Value::as_str);
        token
            .map(str::to_string)
            .ok_or_else(|| Refusal::lasting(&format!("the answer of {url} has no access_token")))
    }
}

/// Why a server gave no token, and whether it may do so in a moment.
struct Refusal {
    why: String,
    may_pass: bool,
}

impl Refusal {
    fn lasting(why: &str) -> Self {
        Self { why: why.to_string(), may_pass: false }
    }

    fn passing(why: &str) -> Self {
        Self { why: why.to_string(), may_pass: true }
    }
}

/// An error of HTTP with its causes: the outermost one says no more than that there was one.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn no_token(why: &str) -> Error {
    Error::new("FAILED_IO").message(format!("There is no token to log in with: {why}"))
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Tokens from where the option says. A file that is not there is an error before anything is asked.
fn placed(url: Url, login: &[(String, String)]) -> Result<Origin> {
    match url.scheme() {
        "file" => {
            known(login, |_| false)?;
            let path = url.to_file_path().map_err(|()| {
                illegal_argument(format!(
                    "The option kafka.sasl.oauthbearer.token.endpoint.url is no file: {url}"
                ))
            })?;
            Ok(Origin::File(path.display().to_string()))
        }
        "http" | "https" => {
            known(login, |key| matches!(key, "clientId" | "clientSecret" | "scope"))?;
            let (client_id, client_secret) = (needed(login, "clientId")?, needed(login, "clientSecret")?);
            Ok(Origin::Endpoint {
                url,
                client_id,
                client_secret,
                scope: find(login, "scope").map(str::to_string),
            })
        }
        other => Err(Error::unsupported(format!("tokens for Kafka from a URL of the kind {other}"))),
    }
}

const STRING_CLAIM: &str = "unsecuredLoginStringClaim_";
const NUMBER_CLAIM: &str = "unsecuredLoginNumberClaim_";
const LIST_CLAIM: &str = "unsecuredLoginListClaim_";

/// The options of the Java client's handler of the same name.
fn unsecured(login: &[(String, String)]) -> Result<Unsecured> {
    const LIFETIME: &str = "unsecuredLoginLifetimeSeconds";
    const PRINCIPAL: &str = "unsecuredLoginPrincipalClaimName";
    known(login, |key| {
        matches!(key, LIFETIME | PRINCIPAL | "unsecuredLoginScopeClaimName")
            || [STRING_CLAIM, NUMBER_CLAIM, LIST_CLAIM].iter().any(|kind| key.starts_with(kind))
    })?;
    let number = |key: &str, value: &str| {
        value.parse::<f64>().map_err(|_| {
            illegal_argument(format!("The option {key} of kafka.sasl.jaas.config is no number: {value}"))
        })
    };
    let mut claims = Map::new();
    for (key, value) in login {
        if let Some(name) = key.strip_prefix(STRING_CLAIM) {
            claims.insert(name.to_string(), json!(value));
        } else if let Some(name) = key.strip_prefix(NUMBER_CLAIM) {
            claims.insert(name.to_string(), json!(number(key, value)?));
        } else if let Some(name) = key.strip_prefix(LIST_CLAIM) {
            claims.insert(name.to_string(), json!(list(value)));
        }
    }
    let principal_claim = find(login, PRINCIPAL).unwrap_or("sub").to_string();
    if !claims.get(&principal_claim).is_some_and(Value::is_string) {
        return Err(illegal_argument(format!(
            "OAUTHBEARER needs the option kafka.sasl.oauthbearer.token.endpoint.url, or kafka.sasl.jaas.config with \
             {STRING_CLAIM}{principal_claim} for tokens that nobody signs."
        )));
    }
    let lifetime = find(login, LIFETIME).map_or(Ok(3600.0), |value| number(LIFETIME, value))?;
    Ok(Unsecured { claims, principal_claim, lifetime_ms: (lifetime * 1000.0) as i64 })
}

/// `|a|b|`: what the first letter divides.
fn list(text: &str) -> Vec<String> {
    let Some(divider) = text.chars().next() else { return Vec::new() };
    text[divider.len_utf8()..].split(divider).filter(|part| !part.is_empty()).map(str::to_string).collect()
}

impl Unsecured {
    fn token(&self) -> Result<OAuthToken> {
        let now_ms = clock::now_ms();
        let mut claims = self.claims.clone();
        claims.entry("iat").or_insert(json!(now_ms as f64 / 1000.0));
        claims.entry("exp").or_insert(json!((now_ms + self.lifetime_ms) as f64 / 1000.0));
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let principal_name =
            claims.get(&self.principal_claim).and_then(Value::as_str).unwrap_or_default().to_string();
        let lifetime_ms = claims.get("exp").and_then(Value::as_f64).unwrap_or_default() * 1000.0;
        let token = format!("{}.{}.", part(&json!({"alg": "none"})), part(&Value::Object(claims)));
        Ok(OAuthToken { token, principal_name, lifetime_ms: lifetime_ms as i64 })
    }
}

/// The claims of a token, which the broker checks: here its signature is of no interest.
fn claims(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).or_else(|_| URL_SAFE.decode(payload)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn known(login: &[(String, String)], is_known: impl Fn(&str) -> bool) -> Result<()> {
    match login.iter().find(|(key, _)| !is_known(key)) {
        Some((key, _)) => {
            Err(Error::unsupported(format!("the option {key} of kafka.sasl.jaas.config for OAUTHBEARER")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(options: &[(&str, &str)]) -> Vec<(String, String)> {
        options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn a_token_that_nobody_signs() {
        let given = [("unsecuredLoginStringClaim_sub", "alice"), ("unsecuredLoginListClaim_scope", "|a|b")];
        let tokens = Tokens::new(&login(&given), Settings::default()).unwrap();
        let token = tokens.token(None).unwrap();
        assert_eq!(token.principal_name, "alice");
        assert!(token.token.ends_with('.'));
        let claims = claims(&token.token).unwrap();
        assert_eq!(claims["scope"], json!(["a", "b"]));
        let life = claims["exp"].as_f64().unwrap() - claims["iat"].as_f64().unwrap();
        assert!((life - 3600.0).abs() < 0.001, "{life}");
    }

    #[test]
    fn a_token_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let payload = URL_SAFE_NO_PAD.encode(r#"{"who": "bob", "exp": 2000000000.5}"#);
        std::fs::write(&file, format!("e30.{payload}.c2ln\n")).unwrap();
        let settings = |claim: &str| Settings {
            endpoint: Some(Url::from_file_path(&file).unwrap().to_string()),
            subject_claim: Some(claim.to_string()),
            ..Settings::default()
        };
        let token = Tokens::new(&[], settings("who")).unwrap().token(None).unwrap();
        assert_eq!((token.principal_name.as_str(), token.lifetime_ms), ("bob", 2_000_000_000_500));
        let Err(error) = Tokens::new(&[], settings("sub")).unwrap().token(None) else { panic!("a token") };
        assert!(error.to_string().contains("no claim sub"), "{error}");
    }

    #[test]
    fn what_is_missing_or_not_there_is_said() {
        let at = |url: &str| Settings { endpoint: Some(url.to_string()), ..Settings::default() };
        let id = ("clientId", "a");
        for (options, settings, says) in [
            (vec![], Settings::default(), "token.endpoint.url"),
            (vec![("unsecuredLoginStringClaim_sub", "a"), ("x", "y")], Settings::default(), "option x"),
            (vec![id], at("https://x/token"), "clientSecret"),
            (
                vec![id, ("clientSecret", "b"), ("extension_pool", "p")],
                at("https://x/token"),
                "extension_pool",
            ),
            (vec![id], at("ftp://x/token"), "ftp"),
            (vec![id], at("token"), "no URL"),
        ] {
            let error = Tokens::new(&login(&options), settings).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}

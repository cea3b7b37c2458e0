//! The client's settings: users give the names and values of Kafka's Java client, as Spark does, and librdkafka has its own.
//!
//! Names that both have mean the same and go through as they are, and so do those that only librdkafka knows. Settings of the
//! Java client without a counterpart are refused by name, except those that change nothing about what is read or written.

use std::sync::Arc;

use boathouse_spec::{Error, Options, Result};
use rdkafka::ClientConfig;

use super::errors::illegal_argument;
use super::jaas::{self, Login};
use super::key_stores::KeyStore;
use super::oauth::{self, Tokens};

/// Settings by other names in librdkafka, with the same values.
const RENAMED: &[(&str, &str)] = &[
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("receive.buffer.bytes", "socket.receive.buffer.bytes"),
    ("send.buffer.bytes", "socket.send.buffer.bytes"),
    ("max.request.size", "message.max.bytes"),
    ("ssl.keystore.key", "ssl.key.pem"),
    ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
    ("ssl.truststore.certificates", "ssl.ca.pem"),
];

/// Settings of the Java client that have no meaning here: how its threads poll, and what it measures of itself.
const WITHOUT_MEANING: &[&str] = &[
    "max.poll.records",
    "partition.assignment.strategy",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "auto.include.jmx.reporter",
    "exclude.internal.topics",
    "partitioner.ignore.keys",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
];

/// What is put together of several settings.
#[derive(Default)]
struct Parts {
    truststore: KeyStore,
    keystore: KeyStore,
    key_password: Option<String>,
    login: Option<Vec<(String, String)>>,
    tokens: oauth::Settings,
}

/// The settings of a client, in librdkafka's names, and what we wait for ourselves.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    /// As given: for messages.
    pub servers: String,
    settings: Vec<(String, String)>,
    /// `default.api.timeout.ms`: how long one question to the cluster may take.
    pub api_timeout_ms: Option<u64>,
    /// `max.block.ms`: how long a producer may wait for its topic.
    pub max_block_ms: Option<u64>,
    /// `group.id`, where the user gives one.
    pub group: Option<String>,
    /// Where tokens come from, for the mechanism OAUTHBEARER.
    pub tokens: Option<Arc<Tokens>>,
}

impl Properties {
    /// The settings among the options of a source or a sink, which begin with `kafka.`.
    pub fn of(options: &Options) -> Result<Self> {
        let mut this = Self::default();
        let mut parts = Parts::default();
        for (key, value) in options {
            let lower = key.to_lowercase();
            if let Some(name) = lower.strip_prefix("kafka.") {
                this.add(name, value, &mut parts)?;
            }
        }
        this.add_stores(&parts)?;
        this.add_mechanism(parts)?;
        Ok(this)
    }

    fn add(&mut self, name: &str, value: &str, parts: &mut Parts) -> Result<()> {
        let own = || Some(value.trim().to_string());
        match name {
            "bootstrap.servers" => {
                self.servers = value.to_string();
                self.set(name, value);
            }
            "group.id" => self.group = own(),
            "default.api.timeout.ms" => self.api_timeout_ms = Some(milliseconds(name, value)?),
            "max.block.ms" => self.max_block_ms = Some(milliseconds(name, value)?),
            "security.protocol" => self.set(name, &value.trim().to_lowercase()),
            "sasl.jaas.config" => match jaas::parse(value)? {
                Login::Password { username, password } => {
                    self.set("sasl.username", &username);
                    self.set("sasl.password", &password);
                }
                Login::Token(login) => parts.login = Some(login),
            },
            "sasl.login.callback.handler.class" => check_handler(value)?,
            "sasl.oauthbearer.token.endpoint.url" => parts.tokens.endpoint = own(),
            "sasl.oauthbearer.sub.claim.name" => parts.tokens.subject_claim = own(),
            // How the broker's side reads a scope.
            "sasl.oauthbearer.scope.claim.name" => {}
            "sasl.oauthbearer.header.urlencode" => {
                parts.tokens.encodes_header = value.trim().eq_ignore_ascii_case("true");
            }
            "sasl.login.connect.timeout.ms" => {
                parts.tokens.connect_timeout_ms = Some(milliseconds(name, value)?)
            }
            "sasl.login.read.timeout.ms" => parts.tokens.read_timeout_ms = Some(milliseconds(name, value)?),
            "sasl.login.retry.backoff.ms" => parts.tokens.retry_backoff_ms = Some(milliseconds(name, value)?),
            "sasl.login.retry.backoff.max.ms" => {
                parts.tokens.retry_backoff_max_ms = Some(milliseconds(name, value)?);
            }
            "buffer.memory" => {
                self.set("queue.buffering.max.kbytes", &(bytes(name, value)? / 1024).max(1).to_string())
            }
            "ssl.endpoint.identification.algorithm" if value.trim().is_empty() => self.set(name, "none"),
            "ssl.truststore.location" => parts.truststore.location = own(),
            "ssl.truststore.type" => parts.truststore.form = own(),
            "ssl.truststore.password" => parts.truststore.password = Some(value.to_string()),
            "ssl.keystore.location" => parts.keystore.location = own(),
            "ssl.keystore.type" => parts.keystore.form = own(),
            "ssl.keystore.password" => parts.keystore.password = Some(value.to_string()),
            "ssl.key.password" => parts.key_password = Some(value.to_string()),
            "transactional.id" => {
                return Err(illegal_argument(
                    "Kafka option 'transactional.id' is not supported: the option 'transactionalId' of the sink writes each batch \
                     as one transaction.",
                ));
            }
            _ if WITHOUT_MEANING.contains(&name) => {}
            _ if is_javas(name) => return Err(refused(name)),
            _ => {
                let renamed = RENAMED.iter().find(|(java, _)| *java == name).map_or(name, |(_, ours)| *ours);
                self.set(renamed, value.trim());
            }
        }
        Ok(())
    }

    /// The ways to log in that the library has here. Without a name it is Kerberos, as in Java.
    fn add_mechanism(&mut self, parts: Parts) -> Result<()> {
        let logs_in = self.get("security.protocol").is_some_and(|p| p.starts_with("sasl"));
        let named = self.get("sasl.mechanism").or(self.get("sasl.mechanisms"));
        match named.or(logs_in.then_some("GSSAPI")).map(str::to_uppercase).as_deref() {
            Some("GSSAPI") => return Err(jaas::no_kerberos()),
            Some("OAUTHBEARER") => {
                let login = parts.login.ok_or_else(|| {
                    illegal_argument(
                        "OAUTHBEARER needs the option kafka.sasl.jaas.config with OAuthBearerLoginModule.",
                    )
                })?;
                self.tokens = Some(Arc::new(Tokens::new(&login, parts.tokens)?));
            }
            _ => {}
        }
        Ok(())
    }

    fn add_stores(&mut self, parts: &Parts) -> Result<()> {
        let (trusted, own) = (&parts.truststore, &parts.keystore);
        match &trusted.location {
            Some(location) if trusted.is_pem() => self.set("ssl.ca.location", location),
            Some(location) => self.set("ssl.ca.pem", &trusted.trusted(location)?),
            None => {}
        }
        match &own.location {
            // One file with the key and the chain, as Java wants it.
            Some(location) if own.is_pem() => {
                self.set("ssl.key.location", location);
                self.set("ssl.certificate.location", location);
            }
            Some(location) => {
                let identity = own.identity(location, parts.key_password.as_deref())?;
                self.set("ssl.key.pem", &identity.key);
                self.set("ssl.certificate.pem", &identity.chain);
                return Ok(());
            }
            None => {}
        }
        if let Some(password) = &parts.key_password {
            self.set("ssl.key.password", password);
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_string(), value.to_string()));
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn uses_tls(&self) -> bool {
        self.get("security.protocol").is_some_and(|p| p.ends_with("ssl"))
    }

    /// The client's configuration: `defaults`, then what the user gives.
    pub fn config(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        // The library is linked statically and knows no place of certificates: it shall look where systems keep them.
        if self.uses_tls() && self.get("ssl.ca.location").is_none() && self.get("ssl.ca.pem").is_none() {
            config.set("ssl.ca.location", "probe");
        }
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        config
    }
}

/// Whether a setting names code or a form of keys of the Java client.
fn is_javas(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "ssl.protocol",
        "ssl.provider",
        "ssl.enabled.protocols",
        "ssl.keymanager.algorithm",
        "ssl.trustmanager.algorithm",
        "ssl.secure.random.implementation",
        "ssl.engine.factory.class",
        "security.providers",
        "partitioner.class",
        "interceptor.classes",
        "sasl.client.callback.handler.class",
        "sasl.login.class",
    ];
    NAMES.contains(&name)
        || name.starts_with("sasl.login.refresh.")
        || name.starts_with("sasl.kerberos.ticket.")
}

fn refused(name: &str) -> Error {
    Error::unsupported(format!("the option kafka.{name}, which is the Java client's own"))
}

/// Those of the Java client, which are what [`Tokens`] does. Others are somebody's code.
fn check_handler(class: &str) -> Result<()> {
    match class.trim().rsplit('.').next() {
        Some("OAuthBearerLoginCallbackHandler" | "OAuthBearerUnsecuredLoginCallbackHandler") => Ok(()),
        _ => Err(Error::unsupported(format!(
            "the class {} of the option kafka.sasl.login.callback.handler.class, which is code of the JVM",
            class.trim()
        ))),
    }
}

fn milliseconds(name: &str, value: &str) -> Result<u64> {
    bytes(name, value)
}

fn bytes(name: &str, value: &str) -> Result<u64> {
    value.trim().parse().map_err(|_| {
        illegal_argument(format!("Invalid value {value} for configuration {name}: Not a number of type LONG"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(options: &[(&str, &str)]) -> Result<Properties> {
        let options: Options = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Properties::of(&options)
    }

    #[test]
    fn java_names_become_the_librarys() {
        let given = properties(&[
            ("kafka.bootstrap.servers", "a:1"),
            ("KAFKA.Security.Protocol", "SASL_SSL"),
            ("kafka.sasl.mechanism", "SCRAM-SHA-256"),
            ("kafka.sasl.jaas.config", r#"x.ScramLoginModule required username="u" password="p w";"#),
            ("kafka.fetch.max.wait.ms", "7"),
            ("kafka.max.poll.records", "7"),
            ("kafka.buffer.memory", "1048576"),
            ("kafka.ssl.truststore.location", "/ca.pem"),
            ("kafka.ssl.truststore.type", "PEM"),
            ("subscribe", "t"),
        ]);
        let given = given.unwrap();
        let config = given.config(&[("fetch.wait.max.ms", "1"), ("enable.auto.commit", "false")]);
        let expected = [
            ("bootstrap.servers", "a:1"),
            ("enable.auto.commit", "false"),
            ("fetch.wait.max.ms", "7"),
            ("queue.buffering.max.kbytes", "1024"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.password", "[sanitized for safety]"),
            ("sasl.username", "u"),
            ("security.protocol", "sasl_ssl"),
            ("ssl.ca.location", "/ca.pem"),
        ];
        assert_eq!(config.config_map().into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(config.get("sasl.password"), Some("p w"));
    }

    #[test]
    fn what_java_alone_has_is_refused() {
        for (key, value, says) in [
            ("kafka.ssl.truststore.location", "/x.jks", "/x.jks"),
            ("kafka.ssl.keystore.location", "/x.jks", "/x.jks"),
            (
                "kafka.sasl.login.callback.handler.class",
                "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
                "IAM",
            ),
            ("kafka.partitioner.class", "x", "kafka.partitioner.class"),
            ("kafka.transactional.id", "x", "transactionalId"),
            ("kafka.sasl.jaas.config", "com.sun.security.auth.module.Krb5LoginModule required;", "Kerberos"),
            ("kafka.sasl.mechanism", "GSSAPI", "Kerberos"),
            ("kafka.sasl.mechanisms", "gssapi", "Kerberos"),
            ("kafka.sasl.mechanism", "OAUTHBEARER", "OAuthBearerLoginModule"),
            ("kafka.security.protocol", "SASL_PLAINTEXT", "kafka.sasl.mechanism"),
        ] {
            let error = properties(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}

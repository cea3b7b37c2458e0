//! The client's settings: users give the names and values of Kafka's Java client, as Spark does, and librdkafka has its own.
//!
//! Names that both have mean the same and go through as they are, and so do those that only librdkafka knows. Settings of the
//! Java client without a counterpart are refused by name, except those that change nothing about what is read or written.

use boathouse_spec::{Error, Options, Result};
use rdkafka::ClientConfig;

use super::errors::illegal_argument;
use super::jaas;

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

/// What is read with TLS, by the settings of Java's key stores.
#[derive(Default)]
struct Stores {
    truststore: Option<String>,
    truststore_type: Option<String>,
    keystore: Option<String>,
    keystore_type: Option<String>,
    keystore_password: Option<String>,
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
}

impl Properties {
    /// The settings among the options of a source or a sink, which begin with `kafka.`.
    pub fn of(options: &Options) -> Result<Self> {
        let mut this = Self::default();
        let mut stores = Stores::default();
        for (key, value) in options {
            let lower = key.to_lowercase();
            if let Some(name) = lower.strip_prefix("kafka.") {
                this.add(name, value, &mut stores)?;
            }
        }
        this.add_stores(stores)?;
        this.check_mechanism()?;
        Ok(this)
    }

    fn add(&mut self, name: &str, value: &str, stores: &mut Stores) -> Result<()> {
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
            "sasl.jaas.config" => self.add_login(value)?,
            "buffer.memory" => {
                self.set("queue.buffering.max.kbytes", &(bytes(name, value)? / 1024).max(1).to_string())
            }
            "ssl.endpoint.identification.algorithm" if value.trim().is_empty() => self.set(name, "none"),
            "ssl.truststore.location" => stores.truststore = own(),
            "ssl.truststore.type" => stores.truststore_type = own(),
            // A PEM file has none, and other files are refused.
            "ssl.truststore.password" => {}
            "ssl.keystore.location" => stores.keystore = own(),
            "ssl.keystore.type" => stores.keystore_type = own(),
            "ssl.keystore.password" => stores.keystore_password = own(),
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

    fn add_login(&mut self, value: &str) -> Result<()> {
        let login = jaas::parse(value)?;
        self.set("sasl.username", &login.username);
        self.set("sasl.password", &login.password);
        Ok(())
    }

    /// The ways to log in that the library has here. Without a name it is Kerberos, as in Java.
    fn check_mechanism(&self) -> Result<()> {
        let logs_in = self.get("security.protocol").is_some_and(|p| p.starts_with("sasl"));
        let named = self.get("sasl.mechanism").or(self.get("sasl.mechanisms"));
        match named.or(logs_in.then_some("GSSAPI")).map(str::to_uppercase).as_deref() {
            Some("GSSAPI") => Err(jaas::no_kerberos()),
            Some("OAUTHBEARER") => Err(jaas::no_tokens()),
            _ => Ok(()),
        }
    }

    fn add_stores(&mut self, stores: Stores) -> Result<()> {
        if let Some(location) = &stores.truststore {
            match stores.truststore_type.as_deref().map(str::to_uppercase).as_deref() {
                Some("PEM") => self.set("ssl.ca.location", location),
                given => return Err(java_store("truststore", given)),
            }
        }
        if let Some(location) = &stores.keystore {
            match stores.keystore_type.as_deref().map(str::to_uppercase).as_deref() {
                // One file with the key and the chain, as Java wants it.
                Some("PEM") => {
                    self.set("ssl.key.location", location);
                    self.set("ssl.certificate.location", location);
                }
                Some("PKCS12") => {
                    self.set("ssl.keystore.location", location);
                    if let Some(password) = &stores.keystore_password {
                        self.set("ssl.keystore.password", password);
                    }
                }
                given => return Err(java_store("keystore", given)),
            }
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
        "sasl.login.callback.handler.class",
        "sasl.login.class",
    ];
    NAMES.contains(&name)
        || name.starts_with("sasl.login.refresh.")
        || name.starts_with("sasl.kerberos.ticket.")
}

fn refused(name: &str) -> Error {
    Error::unsupported(format!("the option kafka.{name}, which is the Java client's own"))
}

fn java_store(kind: &str, given: Option<&str>) -> Error {
    let form = given.unwrap_or("JKS");
    Error::unsupported(format!(
        "a {kind} in the form {form}: give a file in the form PEM, with the option kafka.ssl.{kind}.type = PEM"
    ))
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
            ("kafka.ssl.truststore.location", "/x.jks", "PEM"),
            ("kafka.ssl.keystore.location", "/x.jks", "PEM"),
            ("kafka.partitioner.class", "x", "kafka.partitioner.class"),
            ("kafka.transactional.id", "x", "transactionalId"),
            ("kafka.sasl.jaas.config", "com.sun.security.auth.module.Krb5LoginModule required;", "Kerberos"),
            ("kafka.sasl.jaas.config", "x.OAuthBearerLoginModule required clientId='a';", "OAUTHBEARER"),
            ("kafka.sasl.mechanism", "GSSAPI", "Kerberos"),
            ("kafka.sasl.mechanisms", "gssapi", "Kerberos"),
            ("kafka.sasl.mechanism", "OAUTHBEARER", "OAUTHBEARER"),
            ("kafka.security.protocol", "SASL_PLAINTEXT", "kafka.sasl.mechanism"),
        ] {
            let error = properties(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}

//! Google Cloud Storage.

use std::sync::Arc;

use boathouse_spec::{Error, Result};
use object_store::ObjectStore;
use object_store::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};
use serde_json::json;

use super::settings::StoreSettings;
use super::unusable;

/// Where Google's own clients find an emulator.
const EMULATOR: &str = "STORAGE_EMULATOR_HOST";

/// Credentials in the environment, which a session's replace as a whole.
const CREDENTIALS: [GoogleConfigKey; 4] = [
    GoogleConfigKey::ServiceAccount,
    GoogleConfigKey::ServiceAccountKey,
    GoogleConfigKey::ApplicationCredentials,
    GoogleConfigKey::SkipSignature,
];

/// The store of a bucket. Settings are those of Hadoop's connector (`fs.gs.auth.type`, ..) and of Databricks
/// (`fs.gs.auth.service.account.email` with `.private.key` and `.private.key.id`), for all buckets or, with the bucket's name
/// behind them, for one.
pub(super) fn open(bucket: &str, settings: &StoreSettings) -> Result<Arc<dyn ObjectStore>> {
    let of = |name: &str| settings.first([format!("{name}.{bucket}"), name.to_string()]);
    let credentials = session_credentials(bucket, &of)?;
    let emulator = std::env::var(EMULATOR).ok().filter(|host| !host.is_empty());
    let base =
        of("fs.gs.storage.root.url").map(str::to_string).or_else(|| emulator.as_deref().map(with_scheme));
    let mut builder = from_environment(credentials.is_some()).with_bucket_name(bucket);
    if let Some(base) = base {
        let base = base.trim_end_matches('/');
        builder =
            builder.with_base_url(base).with_config(allow_http(), base.starts_with("http://").to_string());
    }
    builder = match credentials {
        Some(Credentials::KeyFile(path)) => builder.with_service_account_path(path),
        Some(Credentials::Key(json)) => builder.with_service_account_key(json),
        Some(Credentials::None) => unsigned(builder),
        None if emulator.is_some() => unsigned(builder),
        Some(Credentials::Machine) | None => builder,
    };
    Ok(Arc::new(builder.build().map_err(|e| unusable(&format!("gs://{bucket}"), e))?))
}

/// Whom a session says it is.
enum Credentials {
    KeyFile(String),
    Key(String),
    /// What the machine has: application default credentials, or the metadata server.
    Machine,
    None,
}

fn session_credentials<'a>(
    bucket: &str,
    of: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Option<Credentials>> {
    let key_file = of("fs.gs.auth.service.account.json.keyfile")
        .or_else(|| of("google.cloud.auth.service.account.json.keyfile"));
    let email = of("fs.gs.auth.service.account.email");
    match of("fs.gs.auth.type") {
        Some("UNAUTHENTICATED") => Ok(Some(Credentials::None)),
        Some("APPLICATION_DEFAULT" | "COMPUTE_ENGINE") => Ok(Some(Credentials::Machine)),
        Some("SERVICE_ACCOUNT_JSON_KEYFILE") if key_file.is_none() => {
            Err(Error::new("INVALID_CONF_VALUE.DEFAULT")
                .param("confName", "fs.gs.auth.service.account.json.keyfile")
                .message(format!(
                    "fs.gs.auth.type is SERVICE_ACCOUNT_JSON_KEYFILE for gs://{bucket}, and \
                 fs.gs.auth.service.account.json.keyfile names no file."
                )))
        }
        Some("SERVICE_ACCOUNT_JSON_KEYFILE") | None => Ok(match (key_file, email) {
            (Some(file), _) => {
                Some(Credentials::KeyFile(file.strip_prefix("file://").unwrap_or(file).to_string()))
            }
            (None, Some(email)) => Some(Credentials::Key(service_account(email, of)?)),
            (None, None) => None,
        }),
        Some(other) => Err(Error::unsupported(format!("fs.gs.auth.type = {other}"))),
    }
}

/// A service account's key in the form that Google hands out.
fn service_account<'a>(email: &str, of: &impl Fn(&str) -> Option<&'a str>) -> Result<String> {
    let part = |name: &str| {
        of(name).ok_or_else(|| {
            Error::new("INVALID_CONF_VALUE.DEFAULT")
                .param("confName", name)
                .message(format!("fs.gs.auth.service.account.email is set, and {name} is not."))
        })
    };
    // Line ends may have been lost on the way through configuration files.
    let key = part("fs.gs.auth.service.account.private.key")?.replace("\\n", "\n");
    let id = part("fs.gs.auth.service.account.private.key.id")?;
    Ok(json!({"type": "service_account", "client_email": email, "private_key": key, "private_key_id": id})
        .to_string())
}

fn from_environment(without_credentials: bool) -> GoogleCloudStorageBuilder {
    if !without_credentials {
        return GoogleCloudStorageBuilder::from_env();
    }
    let mut builder = GoogleCloudStorageBuilder::new();
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if name.starts_with("GOOGLE_")
            && let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>()
            && !CREDENTIALS.contains(&key)
        {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

/// Requests without a token. Credentials are given all the same, as the builder would look for some otherwise.
fn unsigned(builder: GoogleCloudStorageBuilder) -> GoogleCloudStorageBuilder {
    let nobody = GcpCredential { bearer: String::new() };
    builder.with_credentials(Arc::new(StaticCredentialProvider::new(nobody))).with_skip_signature(true)
}

fn allow_http() -> GoogleConfigKey {
    GoogleConfigKey::Client(object_store::ClientConfigKey::AllowHttp)
}

fn with_scheme(host: &str) -> String {
    if host.contains("://") { host.to_string() } else { format!("http://{host}") }
}

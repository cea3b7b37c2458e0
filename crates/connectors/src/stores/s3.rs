//! Amazon S3, and servers that speak as it does.

use std::sync::Arc;

use boathouse_spec::{Error, Result};
use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};

use super::settings::StoreSettings;
use super::unusable;

/// Endpoints in the environment, the most specific first.
const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];

/// Credentials in the environment, which a session's replace as a whole.
const CREDENTIALS: [AmazonS3ConfigKey; 4] = [
    AmazonS3ConfigKey::AccessKeyId,
    AmazonS3ConfigKey::SecretAccessKey,
    AmazonS3ConfigKey::Token,
    AmazonS3ConfigKey::SkipSignature,
];

/// The store of a bucket. Settings are those of Hadoop's S3A, for all buckets or for one (`fs.s3a.bucket.B.access.key`).
pub(super) fn open(bucket: &str, settings: &StoreSettings) -> Result<Arc<dyn ObjectStore>> {
    let of =
        |name: &str| settings.first([format!("fs.s3a.bucket.{bucket}.{name}"), format!("fs.s3a.{name}")]);
    let access_key = of("access.key");
    let is_anonymous = of("aws.credentials.provider").is_some_and(|p| p.contains("Anonymous"));
    let mut builder = from_environment(access_key.is_some() || is_anonymous)
        .with_bucket_name(bucket)
        // Commits are puts that must not overwrite.
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    if let Some(key) = access_key {
        let secret = of("secret.key").ok_or_else(|| {
            Error::new("INVALID_CONF_VALUE.DEFAULT")
                .param("confName", "fs.s3a.secret.key")
                .message(format!("fs.s3a.access.key is set for s3://{bucket}, and fs.s3a.secret.key is not."))
        })?;
        builder = builder.with_access_key_id(key).with_secret_access_key(secret);
    }
    if let Some(token) = of("session.token") {
        builder = builder.with_token(token);
    }
    if is_anonymous {
        builder = builder.with_skip_signature(true);
    }
    if let Some(endpoint) =
        of("endpoint").map(|e| with_scheme(e, of("connection.ssl.enabled"))).or_else(environment_endpoint)
    {
        // Servers of one's own have no name for each bucket, and mostly no certificate.
        let hosted = of("path.style.access") == Some("false");
        builder = builder
            .with_allow_http(endpoint.starts_with("http://"))
            .with_endpoint(endpoint)
            .with_virtual_hosted_style_request(hosted);
    }
    if let Some(region) = of("endpoint.region") {
        builder = builder.with_region(region);
    } else if std::env::var("AWS_REGION").is_err() && std::env::var("AWS_DEFAULT_REGION").is_err() {
        builder = builder.with_region("us-east-1");
    }
    Ok(Arc::new(builder.build().map_err(|e| unusable(&format!("s3://{bucket}"), e))?))
}

fn from_environment(without_credentials: bool) -> AmazonS3Builder {
    if !without_credentials {
        return AmazonS3Builder::from_env();
    }
    let mut builder = AmazonS3Builder::new();
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if name.starts_with("AWS_")
            && let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
            && !CREDENTIALS.contains(&key)
        {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

fn environment_endpoint() -> Option<String> {
    ENDPOINTS.iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
}

/// S3A takes endpoints without a scheme.
fn with_scheme(endpoint: &str, ssl: Option<&str>) -> String {
    match endpoint.contains("://") {
        true => endpoint.to_string(),
        false if ssl == Some("false") => format!("http://{endpoint}"),
        false => format!("https://{endpoint}"),
    }
}

//! Azure Blob Storage and Data Lake Storage.

use std::sync::Arc;

use boathouse_spec::{Error, Result};
use object_store::ObjectStore;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use url::Url;

use super::settings::StoreSettings;
use super::unusable;

/// The schemes of Hadoop's two drivers, and those of others.
pub(crate) const SCHEMES: [&str; 6] = ["abfss", "abfs", "wasbs", "wasb", "az", "azure"];

const PUBLIC_CLOUD: &str = "core.windows.net";

/// Credentials in the environment, which a session's replace as a whole.
const CREDENTIALS: [AzureConfigKey; 10] = [
    AzureConfigKey::AccessKey,
    AzureConfigKey::ClientId,
    AzureConfigKey::ClientSecret,
    AzureConfigKey::AuthorityId,
    AzureConfigKey::AuthorityHost,
    AzureConfigKey::SasKey,
    AzureConfigKey::Token,
    AzureConfigKey::FederatedTokenFile,
    AzureConfigKey::SkipSignature,
    AzureConfigKey::UseAzureCli,
];

/// What a URL of Azure names.
#[derive(Debug, PartialEq, Eq)]
struct Container {
    name: String,
    /// The account and the cloud's domain; `az://container` leaves them to the environment.
    account: Option<(String, String)>,
}

impl Container {
    /// `abfss://container@account.dfs.core.windows.net`, `wasbs://container@account.blob.core.windows.net`, `az://container`
    fn of(url: &Url) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new("INVALID_PATH")
                .param("path", url.as_str())
                .message(format!("The path '{url}' cannot be used: {why}."))
        };
        let host = url.host_str().unwrap_or_default();
        if url.username().is_empty() {
            if host.contains('.') || host.is_empty() {
                return Err(wrong(
                    "a container is written as abfss://container@account.dfs.core.windows.net/path",
                ));
            }
            return Ok(Self { name: host.to_string(), account: None });
        }
        let mut parts = host.splitn(3, '.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(account), Some("dfs" | "blob"), Some(domain)) if !account.is_empty() => Ok(Self {
                name: url.username().to_string(),
                account: Some((account.to_string(), domain.to_string())),
            }),
            _ => Err(wrong("the account is written as account.dfs.core.windows.net")),
        }
    }

    fn display(&self) -> String {
        match &self.account {
            Some((account, domain)) => format!("abfss://{}@{account}.dfs.{domain}", self.name),
            None => format!("az://{}", self.name),
        }
    }
}

/// One name for the spellings of a container.
pub(super) fn key(url: &Url) -> String {
    Container::of(url).map_or_else(|_| url.to_string(), |container| container.display())
}

/// The store of a container. Settings are those of Hadoop's drivers, for an account or for all.
pub(super) fn open(url: &Url, settings: &StoreSettings) -> Result<Arc<dyn ObjectStore>> {
    let container = Container::of(url)?;
    let of = |name: &str| match &container.account {
        Some((account, domain)) => settings.first([
            format!("{name}.{account}.dfs.{domain}"),
            format!("{name}.{account}.blob.{domain}"),
            name.to_string(),
        ]),
        None => settings.get(name),
    };
    let credentials = session_credentials(&container, settings, &of)?;
    let mut builder = from_environment(credentials.is_some()).with_container_name(&container.name);
    if let Some((account, domain)) = &container.account {
        builder = builder.with_account(account);
        if domain.ends_with("fabric.microsoft.com") {
            builder = builder.with_use_fabric_endpoint(true);
        } else if domain != PUBLIC_CLOUD {
            builder = builder.with_endpoint(format!("https://{account}.blob.{domain}"));
        }
    } else if !names_account() {
        return Err(Error::new("INVALID_PATH").param("path", url.as_str()).message(format!(
            "The path '{url}' names no storage account: write it as abfss://{}@account.dfs.core.windows.net, or set \
             AZURE_STORAGE_ACCOUNT_NAME.",
            container.name
        )));
    }
    if let Some(endpoint) = environment_endpoint() {
        builder = builder.with_allow_http(endpoint.starts_with("http://"));
    }
    for (key, value) in credentials.unwrap_or_default() {
        builder = builder.with_config(key, value);
    }
    Ok(Arc::new(builder.build().map_err(|e| unusable(&container.display(), e))?))
}

/// Whether the environment says whose containers `az://container` means.
fn names_account() -> bool {
    let set = |name: &str| std::env::var(name).is_ok_and(|v| !v.is_empty());
    set("AZURE_STORAGE_ACCOUNT_NAME") || set("AZURE_STORAGE_USE_EMULATOR")
}

fn environment_endpoint() -> Option<String> {
    ["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
}

/// Whom a session says it is (`fs.azure.account.auth.type` of the ABFS driver).
fn session_credentials<'a>(
    container: &Container,
    settings: &'a StoreSettings,
    of: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Option<Vec<(AzureConfigKey, String)>>> {
    let key = of("fs.azure.account.key").map(|key| vec![(AzureConfigKey::AccessKey, key.to_string())]);
    let token = of("fs.azure.sas.fixed.token").or_else(|| of_wasb(container, settings));
    let token = token.map(|token| vec![(AzureConfigKey::SasKey, token.to_string())]);
    match of("fs.azure.account.auth.type") {
        None => Ok(key.or(token)),
        Some(kind) if kind.eq_ignore_ascii_case("SharedKey") => {
            key.map(Some).ok_or_else(|| missing(container, "fs.azure.account.key"))
        }
        Some(kind) if kind.eq_ignore_ascii_case("SAS") => {
            token.map(Some).ok_or_else(|| missing(container, "fs.azure.sas.fixed.token"))
        }
        Some(kind) if kind.eq_ignore_ascii_case("OAuth") => oauth(container, of).map(Some),
        Some(other) => Err(Error::unsupported(format!("fs.azure.account.auth.type = {other}"))),
    }
}

/// The token of a container as the older driver has it.
fn of_wasb<'a>(container: &Container, settings: &'a StoreSettings) -> Option<&'a str> {
    let (account, domain) = container.account.as_ref()?;
    settings.get(&format!("fs.azure.sas.{}.{account}.blob.{domain}", container.name))
}

fn oauth<'a>(
    container: &Container,
    of: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Vec<(AzureConfigKey, String)>> {
    let required = |name: &'static str| of(name).map(str::to_string).ok_or_else(|| missing(container, name));
    let provider = of("fs.azure.account.oauth.provider.type").unwrap_or_default();
    let provider = provider.rsplit('.').next().unwrap_or_default();
    let client = (AzureConfigKey::ClientId, "fs.azure.account.oauth2.client.id");
    match provider {
        "ClientCredsTokenProvider" => {
            let (host, tenant) = tenant_of(container, &required("fs.azure.account.oauth2.client.endpoint")?)?;
            Ok(vec![
                (client.0, required(client.1)?),
                (AzureConfigKey::ClientSecret, required("fs.azure.account.oauth2.client.secret")?),
                (AzureConfigKey::AuthorityHost, host),
                (AzureConfigKey::AuthorityId, tenant),
            ])
        }
        "WorkloadIdentityTokenProvider" => Ok(vec![
            (client.0, required(client.1)?),
            (AzureConfigKey::AuthorityId, required("fs.azure.account.oauth2.msi.tenant")?),
            (AzureConfigKey::FederatedTokenFile, required("fs.azure.account.oauth2.token.file")?),
        ]),
        "MsiTokenProvider" => {
            let id = of(client.1).map(|id| (client.0, id.to_string()));
            let endpoint = of("fs.azure.account.oauth2.msi.endpoint");
            Ok(id.into_iter().chain(endpoint.map(|e| (AzureConfigKey::MsiEndpoint, e.to_string()))).collect())
        }
        other => Err(Error::unsupported(format!("fs.azure.account.oauth.provider.type = {other}"))),
    }
}

/// Host and tenant of `https://login.microsoftonline.com/TENANT/oauth2/token`.
fn tenant_of(container: &Container, endpoint: &str) -> Result<(String, String)> {
    let url = Url::parse(endpoint).ok();
    let tenant =
        url.as_ref().and_then(|u| u.path_segments()?.next().map(str::to_string)).filter(|t| !t.is_empty());
    match (url, tenant) {
        (Some(mut url), Some(tenant)) => {
            url.set_path("");
            Ok((url.as_str().trim_end_matches('/').to_string(), tenant))
        }
        _ => Err(missing(container, "fs.azure.account.oauth2.client.endpoint")),
    }
}

fn missing(container: &Container, name: &str) -> Error {
    Error::new("INVALID_CONF_VALUE.DEFAULT")
        .param("confName", name)
        .message(format!("{name} is needed for {}, and is not set or makes no sense.", container.display()))
}

fn from_environment(without_credentials: bool) -> MicrosoftAzureBuilder {
    if !without_credentials {
        return MicrosoftAzureBuilder::from_env();
    }
    let mut builder = MicrosoftAzureBuilder::new();
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if name.starts_with("AZURE_")
            && let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>()
            && !CREDENTIALS.contains(&key)
        {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn spellings_of_a_container() {
        let one = "abfss://c@a.dfs.core.windows.net";
        for same in [
            "abfs://c@a.dfs.core.windows.net/x",
            "wasbs://c@a.blob.core.windows.net/x",
            "az://c@a.blob.core.windows.net",
        ] {
            assert_eq!(key(&url(same)), one);
        }
        assert_eq!(key(&url("az://c/x")), key(&url("azure://c/y")));
        for wrong in ["abfss://c@account/x", "abfss://c.d/x", "abfss://c@.dfs.core.windows.net"] {
            assert!(Container::of(&url(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_of_a_session() {
        let container = Container::of(&url("abfss://c@a.dfs.core.windows.net")).unwrap();
        let found = |pairs: &[(&str, &str)]| {
            let settings = StoreSettings::of(pairs.iter().copied());
            let of =
                |name: &str| settings.first([format!("{name}.a.dfs.core.windows.net"), name.to_string()]);
            session_credentials(&container, &settings, &of)
                .map(|found| found.map(|pairs| pairs.into_iter().map(|(_, value)| value).collect::<Vec<_>>()))
                .map_err(|e| e.class().to_string())
        };
        assert_eq!(found(&[]), Ok(None));
        let keys =
            [("fs.azure.account.key", "general"), ("fs.azure.account.key.a.dfs.core.windows.net", "own")];
        assert_eq!(found(&keys), Ok(Some(vec!["own".into()])));
        assert_eq!(
            found(&[("fs.azure.sas.c.a.blob.core.windows.net", "token")]),
            Ok(Some(vec!["token".into()]))
        );
        let oauth = [
            ("fs.azure.account.auth.type", "OAuth"),
            (
                "fs.azure.account.oauth.provider.type",
                "org.apache.hadoop.fs.azurebfs.oauth2.ClientCredsTokenProvider",
            ),
            ("fs.azure.account.oauth2.client.id", "id"),
            ("fs.azure.account.oauth2.client.secret", "secret"),
            (
                "fs.azure.account.oauth2.client.endpoint",
                "https://login.microsoftonline.com/tenant/oauth2/token",
            ),
        ];
        let all = ["id", "secret", "https://login.microsoftonline.com", "tenant"].map(String::from).to_vec();
        assert_eq!(found(&oauth), Ok(Some(all)));
        assert_eq!(found(&oauth[..4]), Err("INVALID_CONF_VALUE.DEFAULT".to_string()));
        assert_eq!(
            found(&[("fs.azure.account.auth.type", "Custom")]),
            Err("UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE".to_string())
        );
    }
}

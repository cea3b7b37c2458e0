//! The key stores that Java's client reads, as the PEM texts that ours takes: files in the forms PKCS12 and JKS.

use std::path::Path;

use boathouse_spec::{Error, Result};
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use super::errors::illegal_argument;
use super::jks;

/// A file with a password, as the options `ssl.truststore.*` and `ssl.keystore.*` name it.
#[derive(Default, Clone)]
pub struct KeyStore {
    pub location: Option<String>,
    /// `PEM`, `JKS` or `PKCS12`. Java reads the last two whichever of them is said, and so do we.
    pub form: Option<String>,
    pub password: Option<String>,
}

/// A key and its certificates, in PEM.
pub struct Identity {
    pub key: String,
    pub chain: String,
}

struct Contents {
    identity: Option<(PKey<Private>, Vec<X509>)>,
    trusted: Vec<X509>,
}

impl KeyStore {
    pub fn is_pem(&self) -> bool {
        self.form.as_deref().is_some_and(|form| form.eq_ignore_ascii_case("PEM"))
    }

    /// The certificates to be trusted, in PEM: those of their own, and those of keys (Java's `TrustStoreUtil`).
    pub fn trusted(&self, location: &str) -> Result<String> {
        let bytes = self.bytes("truststore", location)?;
        let failed = |why: &str| unreadable("truststore", location, why);
        let trusted = if bytes.starts_with(&jks::MAGIC) {
            let store = jks::parse(&bytes, self.password.as_deref()).map_err(failed)?;
            let of_keys = store.keys.iter().filter_map(|key| key.chain.first());
            certificates(store.trusted.iter().chain(of_keys)).map_err(|e| failed(&e))?
        } else {
            let contents = self.pkcs12(&bytes).map_err(|e| failed(&e))?;
            let own = contents.identity.into_iter().filter_map(|(_, chain)| chain.into_iter().next());
            contents.trusted.into_iter().chain(own).collect()
        };
        if trusted.is_empty() {
            return Err(failed("it has no certificates"));
        }
        pem(&trusted).map_err(|e| failed(&e))
    }

    /// The key that is there with its certificates.
    pub fn identity(&self, location: &str, key_password: Option<&str>) -> Result<Identity> {
        let bytes = self.bytes("keystore", location)?;
        let failed = |why: &str| unreadable("keystore", location, why);
        let (key, chain) = if bytes.starts_with(&jks::MAGIC) {
            self.jks_identity(&bytes, key_password).map_err(|e| failed(&e))?
        } else {
            let contents = self.pkcs12(&bytes).map_err(|e| failed(&e))?;
            let (key, mut chain) = contents.identity.ok_or_else(|| failed("it has no key"))?;
            chain.extend(contents.trusted);
            (key, chain)
        };
        let key = key.private_key_to_pem_pkcs8().map_err(|e| failed(&e.to_string()))?;
        Ok(Identity {
            key: String::from_utf8_lossy(&key).into_owned(),
            chain: pem(&chain).map_err(|e| failed(&e))?,
        })
    }

    fn bytes(&self, kind: &str, location: &str) -> Result<Vec<u8>> {
        if let Some(form) = &self.form
            && !["JKS", "PKCS12"].iter().any(|known| form.eq_ignore_ascii_case(known))
        {
            return Err(Error::unsupported(format!(
                "a {kind} in the form {form} for connections to Kafka: PEM, PKCS12 and JKS are there"
            )));
        }
        std::fs::read(Path::new(location)).map_err(|e| unreadable(kind, location, &e.to_string()))
    }

    fn jks_identity(
        &self,
        bytes: &[u8],
        key_password: Option<&str>,
    ) -> std::result::Result<(PKey<Private>, Vec<X509>), String> {
        let store = jks::parse(bytes, self.password.as_deref())?;
        let [key] = store.keys.as_slice() else {
            return Err(format!("it has {} keys, and one is needed", store.keys.len()));
        };
        let password =
            key_password.or(self.password.as_deref()).ok_or("it has a key, and no password is given")?;
        let plain = key.open(password)?;
        let chain = certificates(&key.chain)?;
        Ok((PKey::private_key_from_pkcs8(&plain).map_err(|e| e.to_string())?, chain))
    }

    fn pkcs12(&self, bytes: &[u8]) -> std::result::Result<Contents, String> {
        let parsed = Pkcs12::from_der(bytes).map_err(|_| "it is neither PKCS12 nor JKS".to_string())?;
        let parsed = parsed.parse2(self.password.as_deref().unwrap_or_default()).map_err(|e| {
            // Java 8 wrote stores with RC2, which OpenSSL has given up.
            format!("the password is wrong, or it is in a cipher of before Java 9, as `keytool -importkeystore` makes anew: {e}")
        })?;
        Ok(Contents {
            identity: parsed.pkey.zip(parsed.cert).map(|(key, own)| (key, vec![own])),
            trusted: parsed.ca.into_iter().flatten().collect(),
        })
    }
}

fn certificates<'a>(ders: impl IntoIterator<Item = &'a Vec<u8>>) -> std::result::Result<Vec<X509>, String> {
    ders.into_iter().map(|der| X509::from_der(der).map_err(|e| e.to_string())).collect()
}

fn pem(certificates: &[X509]) -> std::result::Result<String, String> {
    let mut out = String::new();
    for certificate in certificates {
        let text = certificate.to_pem().map_err(|e| e.to_string())?;
        out.push_str(&String::from_utf8_lossy(&text));
    }
    Ok(out)
}

fn unreadable(kind: &str, location: &str, why: &str) -> Error {
    illegal_argument(format!(
        "The {kind} {location} of the option kafka.ssl.{kind}.location cannot be read: {why}."
    ))
}

//! Java's own form of key stores, JKS (`sun.security.provider.JavaKeyStore`): certificates in the clear, keys in a cipher of Sun's,
//! and a digest over all with the password.

use openssl::sha::Sha1;

pub const MAGIC: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];

const DIGEST: usize = 20;
/// What Sun mixes into the digest of a store.
const SALT_OF_STORES: &[u8] = b"Mighty Aphrodite";
/// The algorithm of keys: 1.3.6.1.4.1.42.2.17.1.1.
const KEY_PROTECTOR: &[u8] = &[0x06, 0x0A, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x2A, 0x02, 0x11, 0x01, 0x01];

/// What is in a store, as DER.
#[derive(Debug, Default, PartialEq)]
pub struct Store {
    pub trusted: Vec<Vec<u8>>,
    pub keys: Vec<Key>,
}

#[derive(Debug, PartialEq)]
pub struct Key {
    /// PKCS #8, in Sun's cipher.
    protected: Vec<u8>,
    /// The key's own certificate, then those that vouch for it.
    pub chain: Vec<Vec<u8>>,
}

/// Reads a store; why it cannot be read otherwise. Without a password nothing proves that it is whole.
pub fn parse(bytes: &[u8], password: Option<&str>) -> Result<Store, &'static str> {
    let end = bytes.len().checked_sub(DIGEST).ok_or(BROKEN)?;
    let (data, digest) = bytes.split_at(end);
    if let Some(password) = password
        && sha1(&[&utf16(password), SALT_OF_STORES, data]) != digest
    {
        return Err("the password is wrong, or the file is not whole");
    }
    read(data).ok_or(BROKEN)
}

const BROKEN: &str = "the file is not whole";

fn read(data: &[u8]) -> Option<Store> {
    let mut input = Input(data);
    input.take(MAGIC.len())?;
    let names_kinds = match input.number()? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let certificate = |input: &mut Input<'_>| {
        if names_kinds {
            input.name()?;
        }
        input.block()
    };
    let mut store = Store::default();
    for _ in 0..input.number()? {
        let kind = input.number()?;
        input.name()?;
        input.take(8)?; // when it was made
        match kind {
            1 => {
                let protected = input.block()?;
                let count = input.number()?;
                let chain = (0..count).map(|_| certificate(&mut input)).collect::<Option<_>>()?;
                store.keys.push(Key { protected, chain });
            }
            2 => store.trusted.push(certificate(&mut input)?),
            _ => return None,
        }
    }
    Some(store)
}

impl Key {
    /// The key as PKCS #8 (`sun.security.provider.KeyProtector`): a stream of digests over password and salt was laid over it.
    pub fn open(&self, password: &str) -> Result<Vec<u8>, &'static str> {
        let password = utf16(password);
        let inside = protected_bytes(&self.protected).ok_or("its key is in a cipher that is not Sun's")?;
        let middle = inside.len().checked_sub(2 * DIGEST).ok_or(BROKEN)?;
        let (salt, rest) = inside.split_at(DIGEST);
        let (hidden, check) = rest.split_at(middle);
        let mut pad = salt.to_vec();
        let mut plain = Vec::with_capacity(hidden.len());
        for block in hidden.chunks(DIGEST) {
            pad = sha1(&[&password, &pad]).to_vec();
            plain.extend(block.iter().zip(&pad).map(|(a, b)| a ^ b));
        }
        if sha1(&[&password, &plain]) != check {
            return Err("the password of its key is wrong (kafka.ssl.key.password)");
        }
        Ok(plain)
    }
}

/// The octets of `SEQUENCE { SEQUENCE { algorithm, .. }, OCTET STRING }`.
fn protected_bytes(der: &[u8]) -> Option<&[u8]> {
    let mut outer = Input(Input(der).value(0x30)?);
    outer.value(0x30)?.starts_with(KEY_PROTECTOR).then_some(())?;
    outer.value(0x04)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn sha1(parts: &[&[u8]]) -> [u8; DIGEST] {
    let mut digest = Sha1::new();
    for part in parts {
        digest.update(part);
    }
    digest.finish()
}

/// What is left to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn block(&mut self) -> Option<Vec<u8>> {
        let length = self.number()? as usize;
        self.take(length).map(<[u8]>::to_vec)
    }

    fn name(&mut self) -> Option<()> {
        let length = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        self.take(usize::from(length)).map(|_| ())
    }

    /// The content of a value in DER with this tag.
    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let [found, first] = self.take(2)? else { return None };
        (*found == tag).then_some(())?;
        let length = match first {
            0..=0x7F => usize::from(*first),
            0x81..=0x84 => {
                self.take(usize::from(first & 0x7F))?.iter().fold(0, |n, b| n << 8 | usize::from(*b))
            }
            _ => return None,
        };
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_store_is_not_read() {
        assert_eq!(parse(b"short", None), Err(BROKEN));
        for end in [4, 12, 30] {
            let mut store = MAGIC.to_vec();
            store.extend([
                0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, b'a', 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255,
            ]);
            store.truncate(end);
            store.extend([0; DIGEST]);
            assert_eq!(parse(&store, None), Err(BROKEN));
        }
    }
}

//! `aes_encrypt`, `aes_decrypt`: AES in the modes GCM (the default), CBC and ECB.
//!
//! GCM and CBC put the initialization vector before the ciphertext; GCM its 16-byte tag behind.

use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit, generic_array::GenericArray};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{AesGcm, Nonce};
use arrow::array::ArrayRef;
use boathouse_spec::{DataType, Error, Result};

use crate::apply::byte_rows;
use crate::{Call, Inputs, Registry, Resolved, ShownArg, Want};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["aes_encrypt"], |c| resolve(c, Task::Encrypt));
    r.scalar(&["aes_decrypt"], |c| resolve(c, Task::Decrypt));
    r.scalar(&["try_aes_decrypt"], |c| resolve(c, Task::TryDecrypt));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Task {
    Encrypt,
    Decrypt,
    TryDecrypt,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Ecb,
    Cbc,
    Gcm,
}

impl Mode {
    /// The mode; a padding must be the mode's own.
    fn parse(mode: &str, padding: &str) -> Result<Self> {
        let (upper, pad) = (mode.to_ascii_uppercase(), padding.to_ascii_uppercase());
        match (upper.as_str(), pad.as_str()) {
            ("GCM", "NONE" | "DEFAULT") => Ok(Self::Gcm),
            ("ECB", "PKCS" | "DEFAULT") => Ok(Self::Ecb),
            ("CBC", "PKCS" | "DEFAULT") => Ok(Self::Cbc),
            _ => Err(Error::new("UNSUPPORTED_FEATURE.AES_MODE")
                .param("mode", mode)
                .param("padding", padding)
                .param("functionName", "`aes_encrypt`/`aes_decrypt`")
                .message(format!("AES in the mode {mode} with the padding {padding} is not supported."))),
        }
    }

    fn iv_length(self) -> usize {
        match self {
            Self::Ecb => 0,
            Self::Cbc => 16,
            Self::Gcm => 12,
        }
    }
}

enum Cipher {
    K128(Box<Aes128>),
    K192(Box<Aes192>),
    K256(Box<Aes256>),
}

impl Cipher {
    fn new(key: &[u8]) -> Result<Self> {
        let broken = |_| Error::internal("an AES key of a known length was refused");
        Ok(match key.len() {
            16 => Self::K128(Box::new(Aes128::new_from_slice(key).map_err(broken)?)),
            24 => Self::K192(Box::new(Aes192::new_from_slice(key).map_err(broken)?)),
            32 => Self::K256(Box::new(Aes256::new_from_slice(key).map_err(broken)?)),
            n => {
                return Err(Error::new("INVALID_PARAMETER_VALUE.AES_KEY_LENGTH")
                    .param("parameter", "`key`")
                    .param("functionName", "`aes_encrypt`/`aes_decrypt`")
                    .param("actualLength", n)
                    .message(format!("An AES key has 16, 24 or 32 bytes, not {n}.")));
            }
        })
    }

    fn encrypt_block(&self, block: &mut [u8]) {
        let block = GenericArray::from_mut_slice(block);
        match self {
            Self::K128(c) => c.encrypt_block(block),
            Self::K192(c) => c.encrypt_block(block),
            Self::K256(c) => c.encrypt_block(block),
        }
    }

    fn decrypt_block(&self, block: &mut [u8]) {
        let block = GenericArray::from_mut_slice(block);
        match self {
            Self::K128(c) => c.decrypt_block(block),
            Self::K192(c) => c.decrypt_block(block),
            Self::K256(c) => c.decrypt_block(block),
        }
    }

    fn gcm(self, seal: bool, iv: &[u8], msg: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let (nonce, payload) = (Nonce::<U12>::from_slice(iv), Payload { msg, aad });
        macro_rules! run {
            ($cipher:expr, $type:ty) => {{
                let gcm = AesGcm::<$type, U12>::from(*$cipher);
                if seal { gcm.encrypt(nonce, payload) } else { gcm.decrypt(nonce, payload) }
            }};
        }
        match self {
            Self::K128(c) => run!(c, Aes128),
            Self::K192(c) => run!(c, Aes192),
            Self::K256(c) => run!(c, Aes256),
        }
        .ok()
    }
}

fn encrypt(cipher: Cipher, mode: Mode, iv: &[u8], text: &[u8], aad: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(iv);
    if mode == Mode::Gcm {
        out.extend(cipher.gcm(true, iv, text, aad)?);
        return Some(());
    }
    let start = out.len();
    out.extend_from_slice(text);
    let pad = 16 - text.len() % 16;
    out.extend(std::iter::repeat_n(pad as u8, pad));
    let mut previous: Vec<u8> = iv.to_vec();
    for block in out[start..].chunks_exact_mut(16) {
        if mode == Mode::Cbc {
            block.iter_mut().zip(&previous).for_each(|(b, p)| *b ^= p);
        }
        cipher.encrypt_block(block);
        if mode == Mode::Cbc {
            previous.copy_from_slice(block);
        }
    }
    Some(())
}

fn decrypt(cipher: Cipher, mode: Mode, input: &[u8], aad: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (iv, text) = input.split_at_checked(mode.iv_length())?;
    if mode == Mode::Gcm {
        out.extend(cipher.gcm(false, iv, text, aad)?);
        return Some(());
    }
    if text.is_empty() || text.len() % 16 != 0 {
        return None;
    }
    let mut previous = iv;
    for block in text.chunks_exact(16) {
        let start = out.len();
        out.extend_from_slice(block);
        cipher.decrypt_block(&mut out[start..]);
        if mode == Mode::Cbc {
            out[start..].iter_mut().zip(previous).for_each(|(b, p)| *b ^= p);
            previous = block;
        }
    }
    let pad = usize::from(*out.last()?);
    let kept = out.len().checked_sub(pad)?;
    if pad == 0 || pad > 16 || out[kept..].iter().any(|b| usize::from(*b) != pad) {
        return None;
    }
    out.truncate(kept);
    Some(())
}

fn crypto_error(detail: &str) -> Error {
    Error::new("INVALID_PARAMETER_VALUE.AES_CRYPTO_ERROR")
        .param("parameter", "`expr`, `key`")
        .param("functionName", "`aes_encrypt`/`aes_decrypt`")
        .param("detailMessage", detail)
        .message(format!("AES failed: {detail}"))
}

/// `aes_encrypt(text, key, mode, padding, iv, aad)`, `aes_decrypt(bytes, key, mode, padding, aad)`.
fn resolve(call: &Call, task: Task) -> Result<Resolved> {
    let most = if task == Task::Encrypt { 6 } else { 5 };
    call.arity(2..=most)?;
    let wants = [Want::BINARY, Want::BINARY, Want::Str, Want::Str, Want::BINARY, Want::BINARY];
    let coerced = call.want(&wants)?;
    let volatile = task == Task::Encrypt && coerced.len() < 5;
    let shown = (0..most).map(|i| match i {
        i if i < coerced.len() => ShownArg::Arg(i),
        2 => ShownArg::Text("GCM".into()),
        3 => ShownArg::Text("DEFAULT".into()),
        _ => ShownArg::Text(String::new()),
    });
    let shown: Vec<ShownArg> = shown.collect();
    let resolved =
        Resolved::new(coerced, DataType::Binary, true, move |inputs| run(inputs, task)).shown_with(shown);
    // Without a vector of one's own, a random one: never twice the same.
    Ok(if volatile { resolved.volatile() } else { resolved })
}

fn run(inputs: &Inputs, task: Task) -> Result<ArrayRef> {
    let (texts, keys) = (inputs.bytes(0)?, inputs.bytes(1)?);
    let given = |i: usize| -> Result<Option<_>> {
        if inputs.len() > i { inputs.bytes(i).map(Some) } else { Ok(None) }
    };
    let (modes, paddings, fifth, sixth) = (given(2)?, given(3)?, given(4)?, given(5)?);
    byte_rows(inputs.rows(), |row, out| {
        let (Some(text), Some(key)) = (texts.get(row), keys.get(row)) else { return Ok(None) };
        let or = |operand: &Option<crate::apply::Operand<arrow::array::BinaryArray>>,
                  default: &'static [u8]| match operand {
            None => Some(default.to_vec()),
            Some(operand) => operand.get(row).map(<[u8]>::to_vec),
        };
        let (Some(mode), Some(padding), Some(fifth), Some(sixth)) =
            (or(&modes, b"GCM"), or(&paddings, b"DEFAULT"), or(&fifth, b""), or(&sixth, b""))
        else {
            return Ok(None);
        };
        let attempt = |out: &mut Vec<u8>| -> Result<()> {
            let cipher = Cipher::new(key)?;
            let mode = Mode::parse(&String::from_utf8_lossy(&mode), &String::from_utf8_lossy(&padding))?;
            if task != Task::Encrypt {
                check_aad(mode, &fifth)?;
                return decrypt(cipher, mode, text, &fifth, out)
                    .ok_or_else(|| crypto_error("the input cannot be decrypted with this key and mode."));
            }
            check_aad(mode, &sixth)?;
            let iv = match fifth.is_empty() {
                true => rand::random::<[u8; 16]>()[..mode.iv_length()].to_vec(),
                false if mode == Mode::Ecb => {
                    return Err(Error::new("UNSUPPORTED_FEATURE.AES_MODE_IV")
                        .param("mode", "ECB")
                        .param("functionName", "`aes_encrypt`")
                        .message("AES in the mode ECB takes no initialization vector."));
                }
                false if fifth.len() != mode.iv_length() => {
                    return Err(Error::new("INVALID_PARAMETER_VALUE.AES_IV_LENGTH")
                        .param("mode", format!("{mode:?}").to_uppercase())
                        .param("parameter", "`iv`")
                        .param("functionName", "`aes_encrypt`")
                        .param("actualLength", fifth.len())
                        .message(format!(
                            "The initialization vector has {} bytes in this mode, not {}.",
                            mode.iv_length(),
                            fifth.len()
                        )));
                }
                false => fifth.clone(),
            };
            encrypt(cipher, mode, &iv, text, &sixth, out)
                .ok_or_else(|| crypto_error("the input cannot be encrypted."))
        };
        match attempt(out) {
            Ok(()) => Ok(Some(())),
            Err(_) if task == Task::TryDecrypt => Ok(None),
            Err(e) => Err(e),
        }
    })
}

fn check_aad(mode: Mode, aad: &[u8]) -> Result<()> {
    if aad.is_empty() || mode == Mode::Gcm {
        return Ok(());
    }
    let mode = format!("{mode:?}").to_uppercase();
    Err(Error::new("UNSUPPORTED_FEATURE.AES_MODE_AAD")
        .param("mode", &mode)
        .param("functionName", "`aes_encrypt`/`aes_decrypt`")
        .message(format!("AES in the mode {mode} takes no additional authenticated data.")))
}

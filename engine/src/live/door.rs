//! Who may come in to the MQTT listener: passwords as `mosquitto_passwd` writes them, and TLS with or without certificates of the devices.

use std::{collections::HashMap, num::NonZeroU32, path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::{digest, pbkdf2};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

use super::LiveError;

/// Largest file of passwords or certificates that is read, bytes.
const MOST_BYTES: u64 = 16 << 20;
/// Most rounds of a password's hash: each attempt costs that.
const MOST_ROUNDS: u32 = 20_000;

/// Who may come in. Without anything everyone may, unencrypted.
#[derive(Clone, Default)]
pub struct Door {
    tls: Option<TlsAcceptor>,
    users: Option<Arc<HashMap<String, Password>>>,
}

/// A password's hash.
enum Password {
    /// `$6$`: SHA-512 of password and salt.
    Sha512 { salt: Vec<u8>, hash: Vec<u8> },
    /// `$7$`: PBKDF2 with HMAC-SHA-512.
    Pbkdf2 { rounds: NonZeroU32, salt: Vec<u8>, hash: Vec<u8> },
}

impl Door {
    /// Only users in this file come in, a line each as `mosquitto_passwd` writes them: `NAME:$7$ROUNDS$SALT$HASH` or `NAME:$6$SALT$HASH`.
    pub fn with_passwords(self, path: &Path) -> Result<Self, LiveError> {
        let text = String::from_utf8(bytes(path)?).map_err(|_| bad(path, "it is not UTF-8"))?;
        let mut users = HashMap::new();
        for (number, line) in
            text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        {
            let read = line.trim_end().split_once(':').and_then(|(name, hash)| Some((name, Password::read(hash)?)));
            let Some((name, password)) = read else {
                let reason = format!("line {}: it is no NAME:HASH as mosquitto_passwd writes it", number + 1);
                return Err(bad(path, &reason));
            };
            users.insert(name.to_owned(), password);
        }
        if users.is_empty() {
            return Err(bad(path, "there is no user in it"));
        }
        Ok(Self { users: Some(Arc::new(users)), ..self })
    }

    /// Encrypted with this chain of certificates and this key (PEM); with `clients` only devices come in whose certificate one of those signed.
    pub fn with_tls(self, chain: &Path, key: &Path, clients: Option<&Path>) -> Result<Self, LiveError> {
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| LiveError::Option(format!("TLS: {e}")))?;
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for one in certificates(path)? {
                    roots.add(one).map_err(|e| bad(path, &e.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                config.with_client_cert_verifier(verifier.map_err(|e| bad(path, &e.to_string()))?)
            }
        };
        let secret =
            PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(|e| bad(key, &format!("it holds no key: {e}")))?;
        let config = config.with_single_cert(certificates(chain)?, secret).map_err(|e| bad(chain, &e.to_string()))?;
        Ok(Self { tls: Some(TlsAcceptor::from(Arc::new(config))), ..self })
    }

    /// How a connection is encrypted, where it is.
    pub(super) fn tls(&self) -> Option<TlsAcceptor> {
        self.tls.clone()
    }

    /// Whether what a device says of itself lets it in.
    pub(super) fn lets_in(&self, user: Option<&str>, password: Option<&[u8]>) -> bool {
        let Some(users) = &self.users else { return true };
        let known = user.and_then(|user| users.get(user));
        known.zip(password).is_some_and(|(known, given)| known.is(given))
    }
}

impl Password {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('$');
        let (before, kind) = (parts.next()?, parts.next()?);
        let decoded = |text: Option<&str>| BASE64_STANDARD.decode(text?).ok().filter(|bytes| !bytes.is_empty());
        let password = match kind {
            "6" => Self::Sha512 { salt: decoded(parts.next())?, hash: decoded(parts.next())? },
            "7" => {
                let rounds = parts.next()?.parse().ok().filter(|rounds| *rounds <= MOST_ROUNDS)?;
                Self::Pbkdf2 {
                    rounds: NonZeroU32::new(rounds)?,
                    salt: decoded(parts.next())?,
                    hash: decoded(parts.next())?,
                }
            }
            _ => return None,
        };
        (before.is_empty() && parts.next().is_none()).then_some(password)
    }

    fn is(&self, given: &[u8]) -> bool {
        match self {
            Self::Sha512 { salt, hash } => {
                let found = digest::digest(&digest::SHA512, &[given, salt].concat());
                // In the same time wherever they differ.
                found.as_ref().len() == hash.len()
                    && found.as_ref().iter().zip(hash).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
            }
            Self::Pbkdf2 { rounds, salt, hash } => {
                pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA512, *rounds, salt, given, hash).is_ok()
            }
        }
    }
}

fn bad(path: &Path, reason: &str) -> LiveError {
    LiveError::Option(format!("{}: {reason}", path.display()))
}

fn bytes(path: &Path) -> Result<Vec<u8>, LiveError> {
    let io = |source| LiveError::Io { what: format!("read {}", path.display()), source };
    if std::fs::metadata(path).map_err(io)?.len() > MOST_BYTES {
        return Err(bad(path, "it is too large for what it is to hold"));
    }
    std::fs::read(path).map_err(io)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LiveError> {
    let text = bytes(path)?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|e| bad(path, &format!("it holds no certificates: {e}")))?;
    if all.is_empty() { Err(bad(path, "it holds no certificates")) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_those_that_mosquitto_passwd_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        // Of Debian's mosquitto_passwd.
        for (arguments, user, password) in
            [(&["-b", "-c"][..], "泵站", "geheim 密码"), (&["-b", "-H", "sha512"], "edge", "two")]
        {
            let status = std::process::Command::new("mosquitto_passwd")
                .args(arguments)
                .arg(&path)
                .args([user, password])
                .status();
            let status =
                status.unwrap_or_else(|e| panic!("this test needs mosquitto_passwd: apt-get install mosquitto ({e})"));
            assert!(status.success());
        }
        let door = Door::default().with_passwords(&path).unwrap();
        assert!(door.lets_in(Some("泵站"), Some("geheim 密码".as_bytes())) && door.lets_in(Some("edge"), Some(b"two")));
        for (user, password) in [
            (Some("edge"), Some(&b"geheim"[..])),
            (Some("edge"), None),
            (Some("x"), Some(b"two")),
            (None, None),
            (Some("edge"), Some(b"")),
        ] {
            assert!(!door.lets_in(user, password), "{user:?} {password:?}");
        }
        assert!(Door::default().lets_in(None, None));
        for (text, reason) in [
            ("a:b\n", "line 1"),
            ("# nobody\n", "no user"),
            ("a:$7$99999999$AAAA$AAAA", "line 1"),
            ("a:$7$101$AAAA", "line 1"),
            ("a:$7$101$AAAA$AAAA$AAAA", "line 1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Door::default().with_passwords(&path).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let none = Door::default().with_tls(&path, &path, None).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(none.contains("users: it holds no"), "{none}");
        assert!(Door::default().with_passwords(&folder.path().join("none")).is_err());
    }
}

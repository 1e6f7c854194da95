//! The certificate: read at the start, and again when its files change, without a lost connection.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::next_signal;

/// The certificate that connections are accepted with.
#[derive(Debug)]
pub(super) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    /// What the files held, to see that they changed; the key's bytes are not kept.
    digest: String,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Reads the chain and its key.
    ///
    /// # Errors
    /// A file cannot be read, holds no certificate or no key, or the two do not belong together.
    pub(super) fn load(chain: PathBuf, key: PathBuf) -> anyhow::Result<Self> {
        let current = RwLock::new(Self::read(&chain, &key)?);
        Ok(Self { chain, key, current })
    }

    fn read(chain: &PathBuf, key: &PathBuf) -> anyhow::Result<Current> {
        let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let (chain_pem, key_pem) = (read(chain)?, read(key)?);
        let certificates = CertificateDer::pem_slice_iter(&chain_pem).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.with_context(|| format!("{} is no PEM", chain.display()))?;
        if certificates.is_empty() {
            bail!("{} holds no certificate", chain.display());
        }
        let private = PrivateKeyDer::from_pem_slice(&key_pem);
        let private = private.with_context(|| format!("{} holds no private key", key.display()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, private)
            .with_context(|| format!("{} and {} do not belong together", chain.display(), key.display()))?;
        let digest = crate::model::registry::sha256(&[chain_pem, key_pem].concat());
        Ok(Current { digest, config: Arc::new(config) })
    }

    /// Returns what accepts a connection at this moment.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current.config))
    }

    /// Reads the files again and returns whether they had changed; what cannot be used changes nothing.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(super) fn reload(&self) -> anyhow::Result<bool> {
        let fresh = Self::read(&self.chain, &self.key)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.digest == fresh.digest {
            return Ok(false);
        }
        *current = fresh;
        Ok(true)
    }

    /// Reads the files again and again, and where it is rung for, for as long as it is let.
    pub(super) async fn watch(self: Arc<Self>, poll_seconds: u64, mut hang_up: watch::Receiver<u64>) {
        let mut is_failing = false;
        loop {
            // Either is a reason to look.
            let _ = timeout(Duration::from_secs(poll_seconds), next_signal(&mut hang_up)).await;
            let read = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || read.reload()).await {
                Ok(Ok(changed)) => {
                    is_failing = false;
                    if changed {
                        tracing::info!("the certificate changed: new connections get the new one");
                    }
                }
                Ok(Err(error)) if !std::mem::replace(&mut is_failing, true) => {
                    tracing::error!(error = format!("{error:#}"), "the changed certificate cannot be used");
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(folder: &std::path::Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (chain, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&chain, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (chain, key)
    }

    #[test]
    fn a_changed_certificate_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = write(folder.path(), "first");
        let certificate = Certificate::load(chain.clone(), key.clone()).unwrap();
        assert!(!certificate.reload().unwrap());
        let (other_chain, other_key) = write(folder.path(), "second");
        fs::copy(&other_chain, &chain).unwrap();
        // Half of a change: the key of the first is still there.
        assert!(certificate.reload().unwrap_err().to_string().contains("belong together"));
        fs::copy(&other_key, &key).unwrap();
        assert!(certificate.reload().unwrap());
        fs::write(&chain, "nothing").unwrap();
        assert!(certificate.reload().unwrap_err().to_string().contains("holds no certificate"));
        assert!(Certificate::load(folder.path().join("none"), key).is_err());
    }
}

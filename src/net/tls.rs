//! TLS: loading a certificate, making one for development, and the handshakes.
//!
//! Packet ports shake hands here and give the finished session to a shard, which encrypts by
//! itself; the web port keeps tokio's stream. A peer that doesn't finish its handshake holds up nobody
//! else, nor does an address that begins many. Private keys are never logged.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::counter;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::gate::counted_address;
use super::renewal::Stamp;
use super::shares::{Share, Shares};
use super::transport::Transport;

/// Names of the files that [`dev_cert`] makes.
const DEV_CERT: &str = "dev-cert.pem";
const DEV_KEY: &str = "dev-key.pem";
/// One address may have such a part of all handshakes under way ...
const ADDRESS_PART: usize = 8;
/// ... but so many in any case.
const ADDRESS_MIN: usize = 8;

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file cannot be read or holds none.
    #[error("certificate {path}: {reason}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key file cannot be read or holds none.
    #[error("private key {path}: {reason}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// They don't fit each other, or rustls doesn't take them.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
}

/// What a port needs to speak TLS. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    /// What new connections get; changed by a renewal.
    config: Arc<ArcSwap<ServerConfig>>,
    /// Certificate and key.
    files: Arc<[PathBuf; 2]>,
    /// How the files were when they were read at the start.
    loaded: Stamp,
    handshakes: Arc<Semaphore>,
    by_address: Arc<Shares>,
    limit: Duration,
}

/// A place for one handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    _of_all: OwnedSemaphorePermit,
    _of_address: Share,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Tls {
    /// Loads a PEM certificate chain and its key. At most `handshakes` are under way at once, each
    /// for at most `limit`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(
        certificate: &Path,
        key: &Path,
        handshakes: usize,
        limit: Duration,
    ) -> Result<Self, TlsError> {
        let loaded = Stamp::of([certificate, key]);
        Ok(Self {
            config: Arc::new(ArcSwap::from_pointee(server_config(certificate, key)?)),
            files: Arc::new([certificate.to_owned(), key.to_owned()]),
            loaded,
            handshakes: Arc::new(Semaphore::new(handshakes.clamp(1, Semaphore::MAX_PERMITS))),
            by_address: Shares::new((handshakes / ADDRESS_PART).max(ADDRESS_MIN)),
            limit,
        })
    }

    /// How the files were at the start.
    pub(super) fn loaded(&self) -> Stamp {
        self.loaded
    }

    /// How the files are now.
    pub(super) fn stamp(&self) -> Stamp {
        let [certificate, key] = &*self.files;
        Stamp::of([certificate, key])
    }

    /// Reads the files again, for all clones.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        let [certificate, key] = &*self.files;
        self.config.store(Arc::new(server_config(certificate, key)?));
        Ok(())
    }

    /// A place for one handshake; none if too many are under way, in all or from the address.
    pub(super) fn place(&self, address: IpAddr) -> Option<Handshake> {
        let of_address = self.by_address.take(counted_address(address))?;
        let of_all = self.handshakes.clone().try_acquire_owned().ok()?;
        Some(Handshake { _of_all: of_all, _of_address: of_address })
    }

    /// Shakes hands; none, counted, if that fails or takes too long.
    pub(super) async fn shake_hands(&self, socket: TcpStream) -> Option<TlsStream<TcpStream>> {
        let failed = |reason: &'static str| {
            counter!("throng_tls_handshakes_failed_total", "reason" => reason).increment(1);
        };
        let acceptor = TlsAcceptor::from(self.config.load_full());
        match timeout(self.limit, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                debug!(%error, "tls handshake failed");
                failed("error");
                None
            }
            Err(_) => {
                failed("timeout");
                None
            }
        }
    }

    /// Shakes hands for a shard.
    pub(super) async fn transport(&self, socket: TcpStream) -> Option<Transport> {
        let (socket, mut session) = self.shake_hands(socket).await?.into_inner();
        // The connection table bounds what waits, before anything is encrypted.
        session.set_buffer_limit(None);
        Some(Transport::Tls(socket.into_std().ok()?, Box::new(session)))
    }
}

fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let (chain, secret) = (read_certificates(certificate)?, read_key(key)?);
    // The provider is named, because the default panics once a second one is in the tree.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, secret)?)
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |reason: String| TlsError::Certificate { path: path.to_owned(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| bad(error.to_string()))?;
    if chain.is_empty() {
        return Err(bad("holds no certificate".to_owned()));
    }
    Ok(chain)
}

/// The private key of a PEM file.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| TlsError::Key { path: path.to_owned(), reason: error.to_string() })
}

/// Makes a self-signed certificate for `localhost` and its key (mode 0600) in `dir`, which is made
/// if it isn't there; gives their paths. For development: no client trusts it by itself.
///
/// # Errors
/// The files cannot be made or written, or are there already: keys are never overwritten.
pub fn dev_cert(dir: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    std::fs::create_dir_all(dir)?;
    let (certificate, key) = (dir.join(DEV_CERT), dir.join(DEV_KEY));
    write_new(&key, made.signing_key.serialize_pem().as_bytes(), 0o600)?;
    write_new(&certificate, made.cert.pem().as_bytes(), 0o644)?;
    Ok((certificate, key))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = options.open(path).map_err(named)?;
    io::Write::write_all(&mut file, bytes).map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(certificate: &Path, key: &Path) -> Result<Tls, TlsError> {
        Tls::load(certificate, key, 4, Duration::from_secs(1))
    }

    #[test]
    fn a_development_certificate_loads_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = dev_cert(dir.path()).unwrap();
        assert!(load(&certificate, &key).is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&key).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let error = dev_cert(dir.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("dev-key.pem"));
    }

    #[test]
    fn a_changed_certificate_is_taken_once_it_is_whole() {
        let (live, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (certificate, key) = dev_cert(live.path()).unwrap();
        let (new_certificate, new_key) = dev_cert(new.path()).unwrap();
        let tls = load(&certificate, &key).unwrap();
        let first = tls.config.load_full();
        let same = |tls: &Tls| Arc::ptr_eq(&first, &tls.config.load_full());
        let mut renewal = super::super::renewal::Renewal::new(tls.clone());
        assert!(renewal.look().is_none(), "nothing has changed");

        // Each write gets a time of its own, however coarse the file system's clock is.
        let later = |path: &Path, seconds: u64| {
            let file = std::fs::File::options().append(true).open(path).unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_modified(time).unwrap();
        };
        std::fs::write(&certificate, "half a certificate").unwrap();
        later(&certificate, 1);
        assert!(renewal.look().is_none(), "it may be written still");
        assert!(matches!(renewal.look(), Some(Err(_))));
        assert!(renewal.look().is_none(), "told once");
        assert!(same(&tls));

        std::fs::copy(&new_certificate, &certificate).unwrap();
        later(&certificate, 2);
        assert!(renewal.look().is_none());
        std::fs::copy(&new_key, &key).unwrap();
        later(&key, 3);
        assert!(renewal.look().is_none(), "the key came a moment later");
        assert!(matches!(renewal.look(), Some(Ok(()))));
        assert!(!same(&tls), "clones serve the new one");
    }

    #[test]
    fn an_address_has_a_part_of_the_handshakes() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = dev_cert(dir.path()).unwrap();
        let tls = Tls::load(&certificate, &key, 80, Duration::from_secs(1)).unwrap();
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held: Vec<_> = (0..10).map(|_| tls.place(one).unwrap()).collect();
        assert!(tls.place(one).is_none());
        let others: Vec<_> = (0..10).map(|_| tls.place(two).unwrap()).collect();
        drop(held);
        assert!(tls.place(one).is_some());
        drop(others);
    }

    #[test]
    fn what_is_wrong_with_the_files_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = dev_cert(dir.path()).unwrap();
        let missing = load(&dir.path().join("none.pem"), &key).unwrap_err();
        assert!(missing.to_string().contains("none.pem"), "{missing}");
        let swapped = load(&key, &certificate).unwrap_err();
        assert!(swapped.to_string().starts_with("certificate "), "{swapped}");
        let other = tempfile::tempdir().unwrap();
        let (_, other_key) = dev_cert(other.path()).unwrap();
        assert!(matches!(load(&certificate, &other_key), Err(TlsError::Pair(_))));
    }
}

//! A link's bytes, plain or through TLS, and the setting up of both.
//!
//! With TLS each side shows a certificate and checks the other's against the configured
//! authorities; the dialer also checks the host that it dialed. The proof of the cluster's secret
//! comes after that and in any case.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::limits;
use crate::link::config::LinkTls;
use crate::net::tls::{TlsError, read_certificates, read_key};

/// A connection to another process.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The reading half of one.
pub(super) type Reading = Box<dyn AsyncRead + Send + Unpin>;
/// The writing half.
pub(super) type Writing = Box<dyn AsyncWrite + Send + Unpin>;

impl Stream {
    /// Both halves, each for a task of its own.
    pub(super) fn split(self) -> (Reading, Writing) {
        match self {
            Stream::Plain(socket) => {
                let (reading, writing) = socket.into_split();
                (Box::new(reading), Box::new(writing))
            }
            Stream::Tls(stream) => {
                let (reading, writing) = tokio::io::split(*stream);
                (Box::new(reading), Box::new(writing))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// How links are secured beside the proof. Cheap to clone.
#[derive(Clone)]
pub(super) enum Security {
    /// They speak plainly.
    None,
    /// TLS on both sides.
    Tls { acceptor: TlsAcceptor, connector: TlsConnector },
}

impl Security {
    /// As the configuration says.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub(super) fn load(tls: &LinkTls) -> Result<Self, TlsError> {
        let LinkTls { certificate: Some(certificate), key: Some(key), ca: Some(ca) } = tls else {
            return Ok(Security::None);
        };
        let mut authorities = RootCertStore::empty();
        for authority in read_certificates(ca)? {
            authorities.add(authority).map_err(|error| TlsError::Certificate {
                path: ca.clone(),
                reason: error.to_string(),
            })?;
        }
        let authorities = Arc::new(authorities);
        // The provider is named, because the default panics once a second one is in the tree.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(authorities.clone(), provider.clone())
                .build()
                .map_err(|error| TlsError::Certificate {
                    path: ca.clone(),
                    reason: error.to_string(),
                })?;
        let chain = read_certificates(certificate)?;
        let acceptor = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), read_key(key)?)?;
        let connector = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities)
            .with_client_auth_cert(chain, read_key(key)?)?;
        Ok(Security::Tls {
            acceptor: TlsAcceptor::from(Arc::new(acceptor)),
            connector: TlsConnector::from(Arc::new(connector)),
        })
    }

    /// Secures an accepted connection.
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<Stream> {
        prepare(&socket)?;
        Ok(match self {
            Security::None => Stream::Plain(socket),
            Security::Tls { acceptor, .. } => {
                Stream::Tls(Box::new(acceptor.accept(socket).await?.into()))
            }
        })
    }

    /// Connects to `host`, and secures the connection.
    pub(super) async fn connect(&self, host: &str, port: u16) -> io::Result<Stream> {
        let socket = TcpStream::connect((host, port)).await?;
        prepare(&socket)?;
        Ok(match self {
            Security::None => Stream::Plain(socket),
            Security::Tls { connector, .. } => {
                let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                Stream::Tls(Box::new(connector.connect(name, socket).await?.into()))
            }
        })
    }
}

/// Nothing waits for a full segment, and no megabytes of old frames wait in the kernel.
fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(socket).set_tcp_notsent_lowat(limits::LINK_KERNEL_UNSENT)?;
    Ok(())
}

//! How the sockets of clients are set.

use std::io;
use std::net::SocketAddr;

use shunt_types::limits::{LOCAL_SOCKET_BUFFER, SOCKET_BUFFER_MIN};
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::settings::AmqpSettings;

/// Sets what is to be set of a socket that was accepted.
pub(crate) fn prepare(
    stream: &TcpStream,
    peer: SocketAddr,
    settings: &AmqpSettings,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let is_local = peer.ip().to_canonical().is_loopback();
    // The system lets buffers grow by the way that bytes have to go. To this machine there is none,
    // and what grows is what a byte waits for, out of the processor's caches.
    let wanted = |bytes: usize| match bytes {
        0 => is_local.then_some(LOCAL_SOCKET_BUFFER),
        bytes => Some(bytes.max(SOCKET_BUFFER_MIN)),
    };
    if let Some(bytes) = wanted(settings.receive_buffer) {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = wanted(settings.send_buffer) {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Bytes of the buffers, to receive and to send, as the system counts them.
    async fn buffers(peer: Option<&str>, settings: &AmqpSettings) -> (usize, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, address) = listener.accept().await.unwrap();
        prepare(&stream, peer.map_or(address, |peer| peer.parse().unwrap()), settings).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        (socket.recv_buffer_size().unwrap(), socket.send_buffer_size().unwrap())
    }

    #[tokio::test]
    async fn buffers_are_set_or_chosen_by_where_the_client_is() {
        let chosen = AmqpSettings::default();
        let both =
            |bytes| AmqpSettings { receive_buffer: bytes, send_buffer: bytes, ..chosen.clone() };
        let local = buffers(None, &chosen).await;
        assert_eq!(local, buffers(None, &both(LOCAL_SOCKET_BUFFER)).await);
        assert_eq!(local, buffers(Some("[::ffff:127.0.0.1]:1"), &chosen).await);
        let far = buffers(Some("192.0.2.1:1"), &chosen).await;
        assert!(far != local, "the system's own");
        assert_eq!(buffers(None, &both(1)).await, buffers(None, &both(SOCKET_BUFFER_MIN)).await);
        // Linux doubles what is asked for.
        for peer in [None, Some("192.0.2.1:1")] {
            assert_eq!(buffers(peer, &both(80_000)).await, (160_000, 160_000));
        }
    }
}

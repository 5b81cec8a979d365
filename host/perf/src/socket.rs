//! The sockets of a run: how they are set before anything is connected.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};

use socket2::{Domain, SockRef, Socket, Type};

/// When the system sends what goes to the same machine, by its name for the algorithm: as soon as the
/// window allows, which one that paces by what it measures doesn't. Every Linux has this one.
const UNPACED: &str = "reno";

/// Connects to the first of a name's addresses that answers.
pub(crate) fn connect(name: impl ToSocketAddrs) -> io::Result<TcpStream> {
    let mut outcome = Err(io::Error::new(ErrorKind::NotFound, "the name has no address"));
    for address in name.to_socket_addrs()? {
        outcome = connect_to(address);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.ip().to_canonical().is_loopback() {
        send_at_once(SockRef::from(&socket));
    }
    socket.connect(&address.into())?;
    Ok(socket.into())
}

/// Two ends of a TCP connection over loopback, as a broker's clients have them.
pub(crate) fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    send_at_once(SockRef::from(&listener));
    let near = connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// To be set before a socket is connected, or listens: one that has begun to pace what it sends
/// (BBR, where the system chose it) does so for ever, and waits for timers on a way that nothing
/// else is on. The timers would be measured. Where it can't be set, the system's own stays.
fn send_at_once(socket: SockRef<'_>) {
    let _ = socket.set_tcp_congestion(UNPACED.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_paces_what_leaves_for_the_same_machine() {
        let (near, far) = pair().unwrap();
        for stream in [near, far] {
            let name = SockRef::from(&stream).tcp_congestion().unwrap();
            assert!(name.starts_with(UNPACED.as_bytes()), "{name:?}");
        }
    }

    #[test]
    fn who_does_not_listen_is_an_error() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(connect(&[][..]).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

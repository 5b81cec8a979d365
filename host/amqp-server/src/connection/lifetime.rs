//! From a socket that was accepted, or has come from another shard, to its end or its next move.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::handshake::{self, Addresses};
use super::input::Input;
use super::relocation::Moving;
use super::{Connection, Stop, close};
use crate::affinity::Affinity;
use crate::events;
use crate::shard_thread::Place;
use crate::shared::Shared;
use crate::writer::write_loop;

/// A socket with the tasks at its two ends.
pub(super) struct Link {
    pub(super) peer: SocketAddr,
    pub(super) input: Input,
    pub(super) writer: JoinHandle<()>,
}

impl Link {
    fn new(place: &Place, shared: &Rc<Shared>, stream: TcpStream, peer: SocketAddr) -> Self {
        let stream = Rc::new(stream);
        let send_timeout = Duration::from_millis(place.context.settings.send_timeout_ms);
        let write = write_loop(shared.clone(), stream.clone(), send_timeout);
        let writer = tokio::task::spawn_local(write);
        Self { peer, input: Input::new(stream, shared.clone()), writer }
    }

    /// Has everything written, and the socket closed.
    async fn end(mut self, shared: &Shared) {
        shared.closing.set(true);
        shared.wake_writer.notify_one();
        // The writer has only to write what is there; a peer that doesn't read it must not hold us.
        let _ = tokio::time::timeout(close::LINGER, self.writer).await;
        // A client may have sent more before it hears of the end; to close over unread bytes would
        // reset the connection, and the last frames would be lost to it.
        let _ = tokio::time::timeout(close::LINGER, self.input.drain()).await;
    }
}

/// Serves one socket, until its end or until another shard goes on with it.
pub(crate) async fn serve(place: Place, stream: TcpStream, peer: SocketAddr) {
    let context = &place.context;
    context.broker.counters().connections_opened.add(1);
    let own = place.shard.borrow().id();
    let moves = context.settings.moves;
    let affinity = Affinity::new(own, moves, context.neighbours.clone(), None);
    let shared = Shared::new(&place, affinity);
    let local = stream.local_addr().unwrap_or(peer);
    let mut link = Link::new(&place, &shared, stream, peer);
    let addresses = Addresses { peer, local };
    // Boxed, here and below: what an open connection waits in should not have room for how it began and will end.
    let open = handshake::open(context, &shared, &place.shard, &mut link.input, addresses);
    match Box::pin(open).await {
        Ok(connection) => {
            tracing::info!(%peer, user = connection.user.name(), vhost = %connection.vhost.name(),
                "connection opened");
            return Box::pin(live(connection, link)).await;
        }
        Err(Stop::Drop(reason)) => tracing::warn!(%peer, reason, "handshake failed"),
        Err(Stop::Refuse(error, method)) => {
            tracing::warn!(%peer, %error, "connection refused");
            close::send_connection_close(&shared, &error, method);
        }
        Err(Stop::Closed | Stop::Move(_)) => {}
    }
    Box::pin(link.end(&shared)).await;
    gone(&shared);
}

/// Goes on with a connection of another shard.
pub(crate) async fn serve_moved(place: Place, moving: Box<Moving>) {
    let (connection, socket) = moving.settle_on(&place);
    place.context.broker.counters().connections_moved.add(1);
    let peer = socket.peer;
    match TcpStream::from_std(socket.stream) {
        Ok(stream) => {
            let mut link = Link::new(&place, &connection.shared, stream, peer);
            link.input.go_on(socket.pending);
            Box::pin(live(connection, link)).await;
        }
        Err(error) => {
            let stop = Stop::Drop(format!("the socket can't be served any more: {error}"));
            let shared = connection.shared.clone();
            Box::pin(end(connection, peer, &stop)).await;
            gone(&shared);
        }
    }
}

/// Serves an open connection.
async fn live(mut connection: Connection, mut link: Link) {
    let (shared, peer) = (connection.shared.clone(), link.peer);
    match connection.run(&mut link.input).await {
        Stop::Move(target) => {
            if let Err((connection, stop)) = Box::pin(connection.move_to(target, link)).await {
                Box::pin(end(*connection, peer, &stop)).await;
                gone(&shared);
            }
        }
        stop => {
            Box::pin(end(connection, peer, &stop)).await;
            Box::pin(link.end(&shared)).await;
            gone(&shared);
        }
    }
}

/// Ends what the connection held.
async fn end(mut connection: Connection, peer: SocketAddr, stop: &Stop) {
    connection.clean_up().await;
    let broker = &connection.context.broker;
    broker.connections().closed(connection.id);
    events::tell_closed(broker, &connection.info);
    match stop {
        Stop::Drop(reason) => tracing::warn!(%peer, reason, "connection dropped"),
        _ => tracing::info!(%peer, "connection closed"),
    }
}

/// The socket is closed.
fn gone(shared: &Shared) {
    shared.channels.borrow_mut().clear();
    shared.remote_consumers.borrow_mut().clear();
    shared.broker.counters().connections_closed.add(1);
}

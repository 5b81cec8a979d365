//! Accepting sockets, and handing them to the shards in turn.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::settings::AmqpSettings;
use crate::shard_thread::ShardHandle;
use crate::socket;

/// Pause after an error of `accept`, such as too many open files.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts connections until the node stops, and hands them to the shards in turn.
pub async fn listen(
    listener: TcpListener,
    settings: AmqpSettings,
    shards: Vec<ShardHandle>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut turn = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.wait_for(|&stop| stop) => return,
        };
        let handed: io::Result<()> = accepted.and_then(|(stream, peer)| {
            socket::prepare(&stream, peer, &settings)?;
            shards[turn % shards.len()].accept(stream.into_std()?, peer);
            turn = turn.wrapping_add(1);
            Ok(())
        });
        if let Err(error) = handed {
            tracing::warn!(%error, "a connection can't be accepted");
            tokio::time::sleep(BACK_OFF).await;
        }
    }
}

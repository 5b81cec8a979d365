//! Front door: the AMQP 0-9-1 listener, handshake, connections and channels.

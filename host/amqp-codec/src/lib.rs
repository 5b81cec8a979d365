//! AMQP 0-9-1 on the wire: bytes to frames and methods, and back.

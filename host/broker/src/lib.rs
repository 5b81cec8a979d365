//! The domain: vhosts, exchanges, queues, consumers and confirms, synchronous and deterministic.

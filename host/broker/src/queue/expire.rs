//! Time ends a message (`x-message-ttl`, `expiration`) or the queue (`x-expires`).
//!
//! Messages expire at the head of the queue only, as RabbitMQ's classic queues do; a returned
//! message keeps the time that it was given.

use shunt_types::Message;

use super::{DeathReason, Entry, Queue};

impl Queue {
    /// When a message that comes now expires: the smaller of its own and the queue's time.
    #[inline]
    pub(super) fn expiry(&self, now_ms: u64, message: &Message) -> u64 {
        let ttl = match (message.expiration_ms(), self.settings.message_ttl_ms) {
            (Some(own), Some(queue)) => own.min(queue),
            (Some(ttl), None) | (None, Some(ttl)) => ttl,
            (None, None) => return u64::MAX,
        };
        now_ms.saturating_add(ttl)
    }

    /// Expires what was over before `now_ms`: what is due in this very millisecond may still be
    /// delivered, so that a time to live of 0 means "now or never". What was returned has had its
    /// now.
    #[inline]
    pub(super) fn expire_before(&mut self, now_ms: u64) {
        if self.ready.may_expire() {
            self.expire_heads(|entry| {
                entry.expires_at_ms < now_ms || (entry.redelivered && entry.expires_at_ms == now_ms)
            });
        }
    }

    fn expire_heads(&mut self, is_over: impl Fn(&Entry) -> bool) {
        for _ in 0..self.expired_at_once() {
            let Some(entry) = self.ready.pop_head_if(&is_over) else { return };
            self.bury(entry, DeathReason::Expired);
        }
    }

    /// Expires what is due; call it after delivering.
    pub fn expire(&mut self, now_ms: u64) {
        if self.ready.may_expire() {
            self.expire_heads(|entry| entry.expires_at_ms <= now_ms);
        }
    }

    /// Whether nobody used the queue for as long as `x-expires` allows.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms().is_some_and(|at| at <= now_ms)
    }

    /// When the queue next wants [`Queue::expire`] and [`Queue::is_expired`] to be called.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let wanted = [self.ready.next_expiry_ms(), self.expires_at_ms(), self.retry_at_ms()];
        wanted.into_iter().flatten().min()
    }

    fn expires_at_ms(&self) -> Option<u64> {
        let expires = self.settings.expires_ms?;
        (self.consumers.len() == 0).then(|| self.unused_since_ms.saturating_add(expires))
    }
}

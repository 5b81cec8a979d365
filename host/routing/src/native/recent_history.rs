//! `x-recent-history`: to every destination, as `fanout`; and a destination that is bound gets
//! the last messages that passed before.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use shunt_types::limits::{RETAINED_BYTES_MAX, RETAINED_MESSAGES_MAX};
use shunt_types::{Message, ValueRef};

use super::arguments;
use super::targets::Targets;
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;
use crate::retention::Retention;

/// Messages kept where `x-recent-history-length` says nothing (the plugin's default).
const LENGTH_DEFAULT: u64 = 20;

/// The exchange type `x-recent-history`.
pub(crate) struct RecentHistory;

impl ExchangeType for RecentHistory {
    fn name(&self) -> &'static str {
        "x-recent-history"
    }

    fn create(&self, exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        let allowed = 1..=RETAINED_MESSAGES_MAX as i64;
        let length = arguments::integer(exchange, "x-recent-history-length", allowed)?;
        let history =
            History { length: length.unwrap_or(LENGTH_DEFAULT) as usize, last: Mutex::default() };
        Ok(Box::new(RecentHistoryMatcher { targets: Targets::default(), history: history.into() }))
    }

    fn fixed_arguments(&self) -> &'static [&'static str] {
        &["x-recent-history-length"]
    }
}

#[derive(Clone)]
struct RecentHistoryMatcher {
    targets: Targets,
    history: Arc<History>,
}

struct History {
    length: usize,
    last: Mutex<Last>,
}

/// Oldest first.
#[derive(Default)]
struct Last {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Matcher for RecentHistoryMatcher {
    fn bind(&mut self, binding: &Arc<Binding>) {
        self.targets.add(binding.destination);
    }

    fn unbind(&mut self, binding: &Binding) {
        self.targets.remove(binding.destination);
    }

    fn matches(
        &self,
        _header: &Header<'_>,
        _topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        self.targets.append_to(destinations);
        Ok(())
    }

    fn retention(&self) -> Option<Arc<dyn Retention>> {
        Some(self.history.clone())
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Retention for History {
    fn retain(&self, message: &Message, _routing_keys: &[&str]) {
        let no_store = message.properties().header("x-recent-history-no-store");
        if no_store != Some(ValueRef::Boolean(true)) {
            self.last.lock().push(message.clone(), self.length);
        }
    }

    fn recall(&self, _binding: &Binding) -> Vec<Message> {
        self.last.lock().messages.iter().cloned().collect()
    }
}

impl Last {
    fn push(&mut self, message: Message, length: usize) {
        self.bytes += message.memory();
        self.messages.push_back(message);
        while self.messages.len() > length || self.bytes > RETAINED_BYTES_MAX {
            let Some(oldest) = self.messages.pop_front() else { return };
            self.bytes -= oldest.memory();
        }
    }
}

#[cfg(test)]
mod tests {
    use shunt_types::{Properties, Value};

    use super::*;
    use crate::fixture::{Publish, bind_all, binding, create, destinations, queue, table};

    fn message(body: &str) -> Message {
        Message::build("x", "k", &Properties::default(), body.as_bytes()).unwrap()
    }

    fn bodies(matcher: &dyn Matcher) -> Vec<String> {
        let recalled = matcher.retention().unwrap().recall(&binding(queue(1), "any"));
        recalled.iter().map(|m| String::from_utf8_lossy(m.body()).into_owned()).collect()
    }

    #[test]
    fn the_last_messages_come_back_in_their_order() {
        let length = [("x-recent-history-length", Value::I32(3))];
        let mut matcher = create(&RecentHistory, &length).unwrap();
        let retention = matcher.retention().unwrap();
        assert_eq!(bodies(&*matcher), [""; 0]);
        ["a", "b"].iter().for_each(|body| retention.retain(&message(body), &["k"]));
        matcher.bind(&binding(queue(1), ""));
        ["c", "d"].iter().for_each(|body| retention.retain(&message(body), &["k"]));
        assert_eq!(bodies(&*matcher), ["b", "c", "d"], "a snapshot's memory is the exchange's");
    }

    #[test]
    fn twenty_unless_it_is_told() {
        let matcher = create(&RecentHistory, &[]).unwrap();
        let retention = matcher.retention().unwrap();
        (0..30).for_each(|n| retention.retain(&message(&n.to_string()), &["k"]));
        assert_eq!(bodies(&*matcher).first().map(String::as_str), Some("10"));
        assert_eq!(bodies(&*matcher).len(), 20);
    }

    #[test]
    fn a_header_keeps_a_message_out() {
        let matcher = create(&RecentHistory, &[]).unwrap();
        let retention = matcher.retention().unwrap();
        for value in [Value::Boolean(true), Value::Boolean(false), Value::from("true")] {
            let body = format!("{value:?}");
            let headers = Some(table(&[("x-recent-history-no-store", value)]));
            let properties = Properties { headers, ..Properties::default() };
            let message = Message::build("x", "k", &properties, body.as_bytes()).unwrap();
            retention.retain(&message, &["k"]);
        }
        assert_eq!(bodies(&*matcher).len(), 2);
        assert_eq!(bodies(&*matcher)[0], "Boolean(false)");
    }

    #[test]
    fn memory_is_bounded_whatever_the_length() {
        let length = [("x-recent-history-length", Value::I64(RETAINED_MESSAGES_MAX as i64))];
        let matcher = create(&RecentHistory, &length).unwrap();
        let retention = matcher.retention().unwrap();
        let body = "x".repeat(RETAINED_BYTES_MAX / 8);
        (0..20).for_each(|_| retention.retain(&message(&body), &["k"]));
        assert_eq!(bodies(&*matcher).len(), 7);
    }

    #[test]
    fn the_length_is_a_number_from_1_on() {
        let refusal = |value| create(&RecentHistory, &[("x-recent-history-length", value)]).err();
        assert_eq!(refusal(Value::I32(1)), None);
        assert_eq!(
            refusal(Value::I32(0)).as_deref(),
            Some("invalid arg 'x-recent-history-length': 0, must be an integer from 1 to 100000")
        );
        assert_eq!(
            refusal(Value::from("20")).as_deref(),
            Some(
                "invalid arg 'x-recent-history-length': '20', must be an integer from 1 to 100000"
            )
        );
    }

    #[test]
    fn it_routes_as_fanout_does() {
        let bindings: Vec<_> = (1..=3).map(|n| binding(queue(n), "ignored")).collect();
        let mut matcher = bind_all(&RecentHistory, &bindings);
        matcher.unbind(&bindings[1]);
        assert_eq!(destinations(&*matcher, &Publish::to(&["k"])), [1, 3]);
    }
}

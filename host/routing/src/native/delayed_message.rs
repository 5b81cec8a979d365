//! `x-delayed-message`: routes as the type that `x-delayed-type` names, but a message with a
//! header `x-delay` only when that many milliseconds are over.
//!
//! Here it is decided whether a message has to wait; where it waits, and what happens when it is
//! due, is the broker's business. A message that has waited carries its delay negated, so that no
//! exchange delays it again (the plugin's convention, which consumers know).

use std::any::Any;
use std::sync::Arc;

use shunt_types::limits::DELAY_MAX_MS;
use shunt_types::{PropertiesRef, ValueRef};

use super::arguments;
use crate::exchange_type::{
    Binding, Destination, ExchangeSpec, ExchangeType, Header, Matcher, Topology,
};
use crate::failure::Failure;
use crate::registry::ExchangeTypes;
use crate::retention::Retention;

/// The exchange type `x-delayed-message`.
pub(crate) struct DelayedMessage;

/// For how many milliseconds a message asks to wait in its header `x-delay`: an integer, a text
/// of one, or a float without its fraction. One that is not from 1 to [`DELAY_MAX_MS`], or no
/// number, asks for nothing, as in the plugin.
pub fn delay_ms(properties: PropertiesRef<'_>) -> Option<u64> {
    if properties.is_empty() {
        return None;
    }
    let delay = match properties.header("x-delay")? {
        ValueRef::F32(delay) => f64::from(delay) as i64,
        ValueRef::F64(delay) => delay as i64,
        ValueRef::LongString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok()?,
        value => value.as_integer()?,
    };
    u64::try_from(delay).ok().filter(|delay| (1..=DELAY_MAX_MS).contains(delay))
}

impl ExchangeType for DelayedMessage {
    fn name(&self) -> &'static str {
        "x-delayed-message"
    }

    fn create(&self, exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        self.create_among(exchange, &ExchangeTypes::native())
    }

    fn create_among(
        &self,
        exchange: &ExchangeSpec,
        types: &ExchangeTypes,
    ) -> Result<Box<dyn Matcher>, String> {
        let must = "must be an exchange type other than 'x-delayed-message'";
        let kind = arguments::text(exchange, "x-delayed-type")?
            .ok_or_else(|| format!("missing arg 'x-delayed-type', {must}"))?;
        if kind == self.name() || types.get(kind).is_none() {
            return Err(format!("invalid arg 'x-delayed-type': '{kind}', {must}"));
        }
        Ok(Box::new(DelayedMatcher { inner: types.create(kind, exchange)? }))
    }

    fn fixed_arguments(&self) -> &'static [&'static str] {
        &["x-delayed-type"]
    }
}

/// The bindings, as the type prepares them that routes what is due.
struct DelayedMatcher {
    inner: Box<dyn Matcher>,
}

impl Matcher for DelayedMatcher {
    fn validate_binding(&self, binding: &Binding) -> Result<(), String> {
        self.inner.validate_binding(binding)
    }

    fn bind(&mut self, binding: &Arc<Binding>) {
        self.inner.bind(binding);
    }

    fn unbind(&mut self, binding: &Binding) {
        self.inner.unbind(binding);
    }

    fn matches(
        &self,
        header: &Header<'_>,
        topology: &dyn Topology,
        destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        self.inner.matches(header, topology, destinations)
    }

    fn matches_by_topic(&self) -> bool {
        self.inner.matches_by_topic()
    }

    fn retention(&self) -> Option<Arc<dyn Retention>> {
        self.inner.retention()
    }

    fn may_delay(&self) -> bool {
        true
    }

    fn delays(&self, header: &Header<'_>) -> bool {
        delay_ms(header.properties).is_some()
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(Self { inner: self.inner.boxed_clone() })
    }

    /// That of the type inside: who looks for a route's own state finds it.
    fn as_any(&self) -> &dyn Any {
        self.inner.as_any()
    }
}

#[cfg(test)]
mod tests {
    use shunt_types::{Properties, Value};

    use super::*;
    use crate::fixture::{Publish, binding, create, destinations, queue, table};

    fn delay_of(value: Value) -> Option<u64> {
        let headers = Some(table(&[("x-delay", value)]));
        let mut bytes = Vec::new();
        Properties { headers, ..Properties::default() }.encode(&mut bytes);
        delay_ms(PropertiesRef::decode(&bytes).unwrap())
    }

    #[test]
    fn a_delay_is_a_number_in_any_form() {
        for value in [
            Value::I8(5),
            Value::U8(5),
            Value::I16(5),
            Value::U16(5),
            Value::I32(5),
            Value::U32(5),
            Value::I64(5),
            Value::F32(5.9),
            Value::F64(5.9),
            Value::from("5"),
        ] {
            assert_eq!(delay_of(value.clone()), Some(5), "{value:?}");
        }
        assert_eq!(delay_of(Value::I64(4_294_967_295)), Some(4_294_967_295));
    }

    #[test]
    fn what_is_no_delay_is_none() {
        for value in [
            Value::I32(0),
            Value::I32(-1),
            Value::I64(4_294_967_296),
            Value::F64(0.9),
            Value::F64(f64::NAN),
            Value::F64(1e300),
            Value::from("soon"),
            Value::from("5.0"),
            Value::from(""),
            Value::Boolean(true),
            Value::Timestamp(5),
            Value::Void,
        ] {
            assert_eq!(delay_of(value.clone()), None, "{value:?}");
        }
        assert_eq!(delay_ms(PropertiesRef::EMPTY), None);
    }

    #[test]
    fn it_routes_as_the_type_that_it_is_given() {
        let topic = [("x-delayed-type", Value::from("topic"))];
        let mut matcher = create(&DelayedMessage, &topic).unwrap();
        matcher.bind(&binding(queue(1), "a.#"));
        matcher.bind(&binding(queue(2), "b"));
        assert_eq!(destinations(&*matcher.boxed_clone(), &Publish::to(&["a.b"])), [1]);
        assert!(matcher.may_delay());
        assert!(!matcher.delays(&Publish::to(&["a.b"]).header()));
        let delayed = Publish::headers(table(&[("x-delay", Value::I32(1))]));
        assert!(matcher.delays(&delayed.header()));
        assert!(matcher.validate_binding(&binding(queue(1), "#.#.#")).is_err());
    }

    #[test]
    fn the_type_must_be_there_and_its_arguments_right() {
        let refusal = |fields: &[(&str, Value)]| create(&DelayedMessage, fields).err().unwrap();
        let must = "must be an exchange type other than 'x-delayed-message'";
        assert_eq!(refusal(&[]), format!("missing arg 'x-delayed-type', {must}"));
        for kind in ["x-delayed-message", "no-such-type"] {
            assert_eq!(
                refusal(&[("x-delayed-type", kind.into())]),
                format!("invalid arg 'x-delayed-type': '{kind}', {must}")
            );
        }
        assert_eq!(
            refusal(&[("x-delayed-type", Value::I32(1))]),
            "invalid arg 'x-delayed-type': 1, must be longstr"
        );
        assert_eq!(
            refusal(&[
                ("x-delayed-type", "x-recent-history".into()),
                ("x-recent-history-length", Value::I32(-1)),
            ]),
            "invalid arg 'x-recent-history-length': -1, must be an integer from 1 to 100000"
        );
    }
}

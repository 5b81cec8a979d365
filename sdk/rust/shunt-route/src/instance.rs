//! One instance of a route: bytes from the host in, bytes for the host out. All that is safe
//! of the contract is here, so that tests run it without WebAssembly.

use alloc::vec::Vec;

use crate::binding::{Binding, BindingIndex, Bindings};
use crate::destinations::Destinations;
use crate::exchange::Exchange;
use crate::field::{FieldReader, Fields};
use crate::refusal::Refusal;
use crate::route::Description;
use crate::writer;

/// What is said to the host. It stays valid until the next call.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer<'a> {
    /// Ok, or no destination.
    Nothing,
    /// MessagePack.
    Packed(&'a [u8]),
    /// A reason.
    Refused(&'a str),
}

/// One instance of a route.
pub(crate) struct Instance<R> {
    route: Option<R>,
    /// Why messages cannot be routed, as long as that is so.
    unready: Option<Refusal>,
    destinations: Destinations,
    /// The last refusal: the host reads its reason after the call has returned.
    refusal: Refusal,
}

impl<R: Description> Instance<R> {
    pub(crate) const fn new() -> Self {
        Self {
            route: None,
            unready: None,
            destinations: Destinations::new(),
            refusal: UNCONFIGURED,
        }
    }

    pub(crate) fn configure(&mut self, input: &[u8]) -> Answer<'_> {
        let configured = Exchange::parse(input)
            .map_err(Refusal::from)
            .and_then(|exchange| R::configure(&exchange));
        self.unready = None;
        match configured {
            Ok(route) => {
                self.route = Some(route);
                Answer::Nothing
            }
            Err(refusal) => {
                self.route = None;
                self.refuse(refusal)
            }
        }
    }

    pub(crate) fn check_binding(&mut self, input: &[u8]) -> Answer<'_> {
        let checked = self.configured().and_then(|route| {
            let binding = Binding::parse(input, BindingIndex(u32::MAX))?;
            route.check_binding(&binding)
        });
        self.answer(checked)
    }

    pub(crate) fn bindings(&mut self, input: &[u8]) -> Answer<'_> {
        let prepared = self.prepare(input);
        // A route that holds half of the bindings must not decide anything.
        self.unready = prepared.as_ref().err().cloned();
        self.answer(prepared)
    }

    #[inline]
    pub(crate) fn route(&mut self, input: &[u8]) -> Answer<'_> {
        match self.decide(input) {
            Ok(()) if self.destinations.is_empty() => Answer::Nothing,
            Ok(()) => Answer::Packed(self.destinations.finish()),
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn prepare(&mut self, input: &[u8]) -> Result<(), Refusal> {
        let kept = Bindings::parse(input)?;
        self.route.as_mut().ok_or(UNCONFIGURED)?.bindings(&Bindings::new(&kept))
    }

    #[inline]
    fn decide(&mut self, input: &[u8]) -> Result<(), Refusal> {
        if let Some(refusal) = &self.unready {
            return Err(refusal.clone());
        }
        let route = self.route.as_ref().ok_or(UNCONFIGURED)?;
        let mut reader = FieldReader::new(input, <R::Header<'_> as Fields<'_>>::READS)?;
        let header = R::Header::read(&mut reader)?;
        self.destinations.clear();
        route.route(header, &mut self.destinations)
    }

    fn configured(&self) -> Result<&R, Refusal> {
        self.route.as_ref().ok_or(UNCONFIGURED)
    }

    fn answer(&mut self, outcome: Result<(), Refusal>) -> Answer<'_> {
        match outcome {
            Ok(()) => Answer::Nothing,
            Err(refusal) => self.refuse(refusal),
        }
    }

    #[cold]
    fn refuse(&mut self, refusal: Refusal) -> Answer<'_> {
        self.refusal = refusal;
        Answer::Refused(self.refusal.reason())
    }
}

/// A host that follows the contract never sees it.
const UNCONFIGURED: Refusal = Refusal::new("the host has not configured this instance");

/// What `shunt_describe` answers.
pub(crate) fn describe<R: Description>() -> Vec<u8> {
    let mut bytes = Vec::new();
    writer::write_table(&mut bytes, 4);
    for (key, text) in [("name", R::NAME), ("version", R::VERSION)] {
        writer::write_text(&mut bytes, key);
        writer::write_text(&mut bytes, text);
    }
    let reads = <R::Header<'_> as Fields<'_>>::READS;
    for (key, texts) in [("reads", reads), ("wants", R::WANTS)] {
        writer::write_text(&mut bytes, key);
        writer::write_array(&mut bytes, texts.len() as u32);
        for text in texts {
            writer::write_text(&mut bytes, text);
        }
    }
    bytes
}

#[cfg(test)]
mod tests;

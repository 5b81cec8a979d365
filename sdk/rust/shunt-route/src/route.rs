//! What a guest author implements.

use crate::binding::{Binding, Bindings};
use crate::destinations::Destinations;
use crate::exchange::Exchange;
use crate::field::Fields;
use crate::refusal::Refusal;

/// A route that keeps state: what it prepared from the exchange's arguments and bindings. Put
/// the attribute [`route`](macro@crate::route) on the `impl` block. A route that needs nothing
/// of the kind is a plain function under the same attribute.
///
/// One value of the type serves one exchange. The host makes as many instances as it needs and
/// may replace one at any time, so what a value remembers of messages is a cache at best.
pub trait Route: Sized {
    /// The fields of the header that [`Route::route`] reads.
    type Header<'m>: Fields<'m>;

    /// An exchange that names this route is declared, or an instance is made for it. A refusal
    /// reaches the client that declares it.
    fn configure(exchange: &Exchange<'_>) -> Result<Self, Refusal>;

    /// A binding is about to be stored. A refusal reaches the client that binds.
    fn check_binding(&self, _binding: &Binding<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// All bindings of the exchange: after [`Route::configure`], and whenever they change.
    /// Prepare here what makes [`Route::route`] fast.
    fn bindings(&mut self, bindings: &Bindings<'_>) -> Result<(), Refusal>;

    /// Where a message goes. A refusal makes it a failed message, for which the exchange's
    /// argument `x-on-failure` says what happens.
    fn route(
        &self,
        header: Self::Header<'_>,
        destinations: &mut Destinations,
    ) -> Result<(), Refusal>;
}

/// What [`route`](macro@crate::route) knows about a route.
pub trait Description: Route {
    /// Name of the route.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// The capabilities that it wants.
    const WANTS: &'static [&'static str];
}

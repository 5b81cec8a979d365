//! Publish and consume for programs.

mod consume;
mod held;
mod lease;
mod lines;
mod message;
mod publish;
mod publishing;
mod settle;
mod stream;
mod subscribe;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::server::Api;

pub(crate) use held::{Taken, take};
pub(crate) use lease::Leases;
pub(crate) use publishing::{Attempt, Publishing};

pub(crate) fn endpoints() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(publish::publish))
        .routes(routes!(consume::poll))
        .routes(routes!(settle::settle))
        .routes(routes!(stream::stream))
}

//! Whether the node is there, for those who have no user.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// The answer of a node that serves.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether the node serves.
#[utoipa::path(get, path = "/health", tag = "about", security(()),
    responses((status = 200, description = "It does", body = Health)))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

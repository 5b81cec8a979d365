//! Definitions: everything that is declared, as one file in RabbitMQ's JSON, out and in.
//!
//! An import reads the whole file (`file`), checks all of it against the node (`check`), and only
//! then applies it (`apply`). What is wrong with the file refuses it; what is right but can't be
//! done here, such as a quorum queue, is left out and listed by name.

mod apply;
mod check;
mod check_bindings;
mod check_policies;
mod export;
mod file;
mod report;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use shunt_types::VhostName;

use super::{VhostPath, vhost_name};
use crate::auth::{Administrator, As};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, read_body};
use crate::limits::DEFINITIONS_MAX;
use crate::server::Api;
use crate::shards::{blocking, durable, settled};

use apply::Outcome;
use check::Checker;
use export::{Definitions, VhostDefinitions};
use file::File;
use report::Report;

/// What a file is about.
#[derive(Clone)]
enum Scope {
    /// The node with all its virtual hosts.
    Node,
    /// What is declared in one virtual host.
    Vhost(VhostName),
}

/// Users, virtual hosts, permissions, exchanges, queues and bindings, without exclusive queues
/// and names that begin with `amq.`. Takes an administrator.
#[utoipa::path(get, path = "/api/definitions", tag = "management",
    responses(
        (status = 200, description = "The definitions", body = Definitions),
        (status = 401, description = "Not an administrator", body = ErrorBody),
    ))]
pub(super) async fn export(
    State(api): State<Arc<Api>>,
    _: As<Administrator>,
) -> Result<Json<Definitions>, ApiError> {
    blocking(move || Json(Definitions::of(&api))).await
}

/// Exchanges, queues and bindings of a virtual host, for an import into whichever. Takes an
/// administrator.
#[utoipa::path(get, path = "/api/definitions/{vhost}", tag = "management", params(VhostPath),
    responses(
        (status = 200, description = "The definitions", body = VhostDefinitions),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn export_vhost(
    State(api): State<Arc<Api>>,
    caller: As<Administrator>,
    Path(path): Path<VhostPath>,
) -> Result<Json<VhostDefinitions>, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    blocking(move || Json(VhostDefinitions::of(&api, &vhost))).await
}

/// Imports definitions that Shunt or RabbitMQ (3.10 to 4.3) exported. All of it is checked
/// first; what is wrong refuses the file, what can't be honoured is listed in the answer. What
/// is there already stays, but for users and permissions, which are replaced. Takes an
/// administrator.
#[utoipa::path(post, path = "/api/definitions", tag = "management", request_body = Definitions,
    responses(
        (status = 200, description = "Imported, and what was left out", body = Report),
        (status = 400, description = "The file is wrong; nothing was imported", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 413, description = "The file is too large", body = ErrorBody),
        (status = 503, description = "It failed on the way; `applied` names what was done",
            body = ErrorBody),
    ))]
pub(super) async fn import(
    State(api): State<Arc<Api>>,
    caller: As<Administrator>,
    request: Request,
) -> Result<Json<Report>, ApiError> {
    run(api, caller, Scope::Node, request).await
}

/// Imports exchanges, queues and bindings into a virtual host, whichever the file names. Takes an
/// administrator.
#[utoipa::path(post, path = "/api/definitions/{vhost}", tag = "management", params(VhostPath),
    request_body = VhostDefinitions,
    responses(
        (status = 200, description = "Imported, and what was left out", body = Report),
        (status = 400, description = "The file is wrong; nothing was imported", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
        (status = 413, description = "The file is too large", body = ErrorBody),
        (status = 503, description = "It failed on the way; `applied` names what was done",
            body = ErrorBody),
    ))]
pub(super) async fn import_vhost(
    State(api): State<Arc<Api>>,
    caller: As<Administrator>,
    Path(path): Path<VhostPath>,
    request: Request,
) -> Result<Json<Report>, ApiError> {
    caller.look_into(&path.vhost)?;
    run(api, caller, Scope::Vhost(vhost_name(&path.vhost)?), request).await
}

async fn run(
    api: Arc<Api>,
    caller: As<Administrator>,
    scope: Scope,
    request: Request,
) -> Result<Json<Report>, ApiError> {
    let bytes = read_body(request, DEFINITIONS_MAX, "the file of definitions").await?;
    let for_work = api.clone();
    // Configuring a route calls a guest. One closure for check and apply: a client that goes
    // away leaves a whole import behind, or none.
    let outcome: Result<Outcome, ApiError> = blocking(move || {
        let mut problems = Vec::new();
        let file = File::read(&bytes, &scope, &mut problems)?;
        drop(bytes);
        let plan = Checker::new(&for_work, scope, problems).check(file)?;
        Ok(plan.apply(&for_work, caller.name()))
    })
    .await?;
    let Outcome { applied, report, position, changes, failure } = outcome?;
    let mut logged = durable(&api.broker, position).await;
    for change in changes {
        logged = logged.and(settled(change).await);
    }
    let failure = match (failure, logged) {
        (None, Ok(())) => return Ok(Json(report)),
        (Some(failure), _) => failure,
        (None, Err(error)) => error,
    };
    let mut failure = ApiError::unavailable(failure.body.reason);
    failure.body.applied = Some(applied);
    Err(failure)
}

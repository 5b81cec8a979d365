//! From uploaded bytes to a module that may run: what is refused is refused here, by name.

use std::sync::{Arc, OnceLock};

use shunt_routing::{Failure, FailureCause};
use wasmtime::InstancePre;

use crate::artifact::Artifacts;
use crate::capability::{Capabilities, Capability};
use crate::code::Code;
use crate::component::{self, ComponentInstance, DirectCode, RoutePre};
use crate::core_checks;
use crate::describe::Description;
use crate::engine::{Runtime, Sandbox};
use crate::error::DeployError;
use crate::guest::Guest;
use crate::instance::{Instance, Terms};
use crate::javascript;

/// A checked and compiled module, shared by all versions that are made of the same bytes.
pub(crate) struct RouteModule {
    pub(crate) sha256: String,
    pub(crate) description: Description,
    pub(crate) prepared: Prepared,
    /// Compiled again, with fuel, at the first dry run.
    dry_run: OnceLock<Result<Prepared, String>>,
    /// The imports that need a capability, for deployments with other grants.
    needs: Vec<(String, Capability)>,
}

/// A module linked for one engine, of either encoding.
pub(crate) enum Prepared {
    Core {
        pre: InstancePre<Guest>,
        fuel: bool,
        script: Option<Arc<[u8]>>,
    },
    /// Called by way of its core modules where it is one for that.
    Component {
        pre: RoutePre<Guest>,
        direct: Option<Arc<DirectCode>>,
        fuel: bool,
    },
}

impl RouteModule {
    /// Compiles and checks a module, and asks it for its description. Takes processor time, up
    /// to seconds for megabytes: not for a thread that serves connections.
    pub(crate) fn new(
        runtime: &Runtime,
        artifacts: &Artifacts,
        sha256: &str,
        bytes: &[u8],
        terms: &Terms,
    ) -> Result<Self, DeployError> {
        if javascript::is_script(bytes) {
            let prepared = Prepared::script(&runtime.calls, artifacts, bytes)?;
            let description = describe(runtime, &prepared, terms)?;
            return Ok(Self::described(sha256, description, prepared, Vec::new()));
        }
        let known = artifacts.load(&runtime.calls, sha256);
        let is_known = known.is_some();
        let code = match known {
            Some(code) => code,
            None => Code::compile(&runtime.calls.engine, bytes)?,
        };
        let needs = match &code {
            Code::Core(module) => {
                core_checks::check_exports(module)?;
                core_checks::check_imports(module)?
            }
            Code::Component(component) => component::check(&runtime.calls, component)?,
        };
        let mut prepared = Prepared::new(&runtime.calls, &code)?;
        let description = describe(runtime, &prepared, terms)?;
        if !is_known {
            // Only now: refused modules leave nothing behind.
            artifacts.save(&runtime.calls, sha256, &code);
        }
        // Only now: wasmtime has seen that the types are the contract's.
        if let Prepared::Component { pre, direct, fuel } = &mut prepared {
            let code = DirectCode::new(&runtime.calls, artifacts, sha256, bytes);
            *direct = code.filter(|code| {
                let ticker = Arc::clone(&runtime.ticker);
                let live = ComponentInstance::new(pre, Some(code), *fuel, terms, ticker);
                live.is_ok_and(|mut live| live.describe().is_ok_and(|same| same == description))
            });
        }
        Ok(Self::described(sha256, description, prepared, needs))
    }

    fn described(
        sha256: &str,
        description: Description,
        prepared: Prepared,
        needs: Vec<(String, Capability)>,
    ) -> Self {
        Self { sha256: sha256.to_owned(), description, prepared, dry_run: OnceLock::new(), needs }
    }

    /// Checks what the module wants and imports against what it is granted.
    pub(crate) fn check_grants(&self, granted: Capabilities) -> Result<(), DeployError> {
        let wants = self.description.wants;
        for (import, capability) in &self.needs {
            if !wants.contains(*capability) {
                let (import, capability) = (import.clone(), *capability);
                return Err(DeployError::Undeclared { import, capability });
            }
        }
        for capability in wants.iter() {
            if !granted.contains(capability) {
                return Err(DeployError::NotGranted(capability));
            }
        }
        Ok(())
    }

    /// The module for dry runs. `bytes` are read only the first time.
    pub(crate) fn for_dry_run(
        &self,
        runtime: &Runtime,
        artifacts: &Artifacts,
        bytes: impl FnOnce() -> Result<Vec<u8>, String>,
    ) -> Result<&Prepared, String> {
        let sandbox = &runtime.dry_runs;
        let prepare = || {
            let text = |error: DeployError| error.to_string();
            if let Prepared::Core { script: Some(script), .. } = &self.prepared {
                return Prepared::script(sandbox, artifacts, script).map_err(text);
            }
            let code = match artifacts.load(sandbox, &self.sha256) {
                Some(code) => code,
                None => {
                    let code = Code::compile(&sandbox.engine, &bytes()?).map_err(text)?;
                    artifacts.save(sandbox, &self.sha256, &code);
                    code
                }
            };
            Prepared::new(sandbox, &code).map_err(text)
        };
        self.dry_run.get_or_init(prepare).as_ref().map_err(Clone::clone)
    }
}

impl Prepared {
    /// Prepares the engine of all scripts for one.
    fn script(
        sandbox: &Sandbox,
        artifacts: &Artifacts,
        source: &[u8],
    ) -> Result<Self, DeployError> {
        let mut prepared = Self::new(sandbox, &sandbox.javascript.code(sandbox, artifacts)?)?;
        if let Self::Core { script, .. } = &mut prepared {
            *script = Some(source.into());
        }
        Ok(prepared)
    }

    /// Links what was compiled for the sandbox.
    fn new(sandbox: &Sandbox, code: &Code) -> Result<Self, DeployError> {
        let fuel = sandbox.fuel;
        Ok(match code {
            Code::Core(module) => {
                let linked = sandbox.linker.instantiate_pre(module);
                let unreadable = |error| DeployError::Unreadable(format!("{error:#}"));
                Self::Core { pre: linked.map_err(unreadable)?, fuel, script: None }
            }
            Code::Component(component) => {
                Self::Component { pre: component::link(sandbox, component)?, direct: None, fuel }
            }
        })
    }
}

/// Starts the module in an instance of its own and asks what it is.
fn describe(
    runtime: &Runtime,
    prepared: &Prepared,
    terms: &Terms,
) -> Result<Description, DeployError> {
    let instance = Instance::new(prepared, terms, Arc::clone(&runtime.ticker));
    let script = match prepared {
        Prepared::Core { script, .. } => script.as_deref(),
        Prepared::Component { .. } => None,
    };
    let failed = |failure: Failure| match (failure.cause, script) {
        (FailureCause::Unavailable, Some(source)) => javascript::refused(source, failure),
        // A component whose exports have other types than the contract says.
        (FailureCause::Unavailable, None) => DeployError::Component(failure.detail),
        _ => DeployError::Failed(failure),
    };
    instance.map_err(failed)?.describe()
}

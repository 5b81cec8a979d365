//! Components called without the component model's machinery: their core modules linked by hand,
//! values written and read as the canonical ABI says.
//!
//! A typed call of wasmtime costs several times what a core module's does, most of it for looking
//! up at each value what an instance never changes. Of a component that imports no function
//! nothing is lost: there is nobody whom the machinery would keep from entering or leaving it.
//! Wasmtime has checked the types before, when it was asked for its description.

mod abi;
mod parts;

use std::sync::Arc;

use wasmtime::{Extern, Instance, Module, Store, TypedFunc};

use self::abi::Abi;
pub(crate) use self::abi::{Lying, Read};
use self::parts::{Exported, Function, Part, Parts};
use super::contract::shunt::route::types::{Binding, Description, Exchange, Value};
use crate::artifact::Artifacts;
use crate::code::Code;
use crate::engine::Sandbox;
use crate::guest::Guest;

/// The core modules of a component, compiled, and how they are put together.
pub(crate) struct DirectCode {
    modules: Vec<Module>,
    parts: Parts,
}

impl DirectCode {
    /// The component's parts, if it is one that can be called so.
    pub(crate) fn new(
        sandbox: &Sandbox,
        artifacts: &Artifacts,
        sha256: &str,
        bytes: &[u8],
    ) -> Option<Arc<Self>> {
        let binary = wat::parse_bytes(bytes).ok()?;
        let (parts, modules) = Parts::read(&binary)?;
        let compiled = modules.into_iter().enumerate().map(|(n, module)| {
            let name = part_name(sha256, n);
            match artifacts.load(sandbox, &name) {
                Some(Code::Core(module)) => Some(module),
                _ => {
                    let code = Code::compile(&sandbox.engine, module).ok()?;
                    artifacts.save(sandbox, &name, &code);
                    match code {
                        Code::Core(module) => Some(module),
                        Code::Component(_) => None,
                    }
                }
            }
        });
        Some(Arc::new(Self { modules: compiled.collect::<Option<_>>()?, parts }))
    }
}

/// Under which name the artifact of one of a component's modules is kept.
pub(crate) fn part_name(sha256: &str, n: usize) -> String {
    format!("{sha256}.{n}")
}

/// A function with one parameter for each core value of its input; its answer lies in memory.
struct Lifted<P> {
    function: TypedFunc<P, i32>,
    /// Frees the answer.
    post_return: Option<TypedFunc<i32, ()>>,
    abi: Abi,
}

/// The functions of one instance.
pub(crate) struct Direct {
    describe: Lifted<()>,
    configure: Lifted<(i32, i32, i32, i32, i32, i32)>,
    check_binding: Lifted<(i32, i32, i32, i32, i32, i32, i32)>,
    bindings: Lifted<(i32, i32)>,
    route: Lifted<(i32, i32)>,
}

impl Direct {
    /// Makes the instances in their order, as the component does.
    pub(crate) fn new(code: &DirectCode, store: &mut Store<Guest>) -> wasmtime::Result<Self> {
        let mut made: Vec<Made> = Vec::new();
        for part in &code.parts.instances {
            made.push(match part {
                Part::Named(exports) => Made::Named(exports.clone()),
                Part::Module { module, arguments } => {
                    let Some(module) = code.modules.get(*module) else {
                        wasmtime::bail!("there is no such module");
                    };
                    let mut externs = Vec::new();
                    for import in module.imports() {
                        let argument = arguments.iter().find(|(name, _)| name == import.module());
                        let found = argument
                            .and_then(|(_, instance)| find(&made, store, *instance, import.name()));
                        externs.push(
                            found.ok_or_else(|| {
                                wasmtime::format_err!("no import {}", import.name())
                            })?,
                        );
                    }
                    Made::Instance(Instance::new(&mut *store, module, &externs)?)
                }
            });
        }
        let functions = &code.parts.functions;
        Ok(Self {
            describe: lifted(&made, store, &functions.describe)?,
            configure: lifted(&made, store, &functions.configure)?,
            check_binding: lifted(&made, store, &functions.check_binding)?,
            bindings: lifted(&made, store, &functions.bindings)?,
            route: lifted(&made, store, &functions.route)?,
        })
    }

    pub(crate) fn describe(&mut self, store: &mut Store<Guest>) -> wasmtime::Result<Description> {
        self.describe.call(store, (), |read, at| {
            Ok(Description {
                name: read.text(at)?.to_owned(),
                version: read.text(at + 8)?.to_owned(),
                reads: read.texts(at + 16)?,
                wants: read.texts(at + 24)?,
            })
        })
    }

    pub(crate) fn configure(
        &mut self,
        store: &mut Store<Guest>,
        exchange: Exchange<'_>,
    ) -> wasmtime::Result<Result<(), String>> {
        let abi = &mut self.configure.abi;
        let (name, name_length) = abi.text(store, exchange.name)?;
        let (vhost, vhost_length) = abi.text(store, exchange.vhost)?;
        let (arguments, count) = abi.arguments(store, exchange.arguments)?;
        let input = (name, name_length, vhost, vhost_length, arguments, count);
        self.configure.call(store, input, |read, at| read.told(at))
    }

    pub(crate) fn check_binding(
        &mut self,
        store: &mut Store<Guest>,
        binding: Binding<'_>,
    ) -> wasmtime::Result<Result<(), String>> {
        let abi = &mut self.check_binding.abi;
        let kind = abi::kind(binding.kind).into();
        let (name, name_length) = abi.text(store, binding.name)?;
        let (key, key_length) = abi.text(store, binding.key)?;
        let (arguments, count) = abi.arguments(store, binding.arguments)?;
        let input = (kind, name, name_length, key, key_length, arguments, count);
        self.check_binding.call(store, input, |read, at| read.told(at))
    }

    pub(crate) fn bindings(
        &mut self,
        store: &mut Store<Guest>,
        bindings: &[Binding<'_>],
    ) -> wasmtime::Result<Result<(), String>> {
        let input = self.bindings.abi.bindings(store, bindings)?;
        self.bindings.call(store, input, |read, at| read.told(at))
    }

    /// Asks about a message; `read` reads the answer, which is gone afterwards.
    #[inline]
    pub(crate) fn route<R>(
        &mut self,
        store: &mut Store<Guest>,
        fields: &[Value<'_>],
        read: impl FnOnce(Read<'_>, usize) -> wasmtime::Result<R>,
    ) -> wasmtime::Result<R> {
        let input = self.route.abi.values(store, fields)?;
        self.route.call(store, input, read)
    }
}

impl<P: wasmtime::WasmParams> Lifted<P> {
    #[inline]
    fn call<R>(
        &mut self,
        store: &mut Store<Guest>,
        input: P,
        read: impl FnOnce(Read<'_>, usize) -> wasmtime::Result<R>,
    ) -> wasmtime::Result<R> {
        let at = self.function.call(&mut *store, input)?;
        let answer = read(self.abi.answer(store), at as u32 as usize)?;
        if let Some(post_return) = &self.post_return {
            post_return.call(store, at)?;
        }
        Ok(answer)
    }
}

enum Made {
    Instance(Instance),
    Named(Vec<(String, Exported)>),
}

fn find(made: &[Made], store: &mut Store<Guest>, instance: usize, name: &str) -> Option<Extern> {
    match made.get(instance)? {
        Made::Instance(instance) => instance.get_export(store, name),
        Made::Named(exports) => {
            let (_, exported) = exports.iter().find(|(other, _)| other == name)?;
            // It was exported by an instance before this one: the look-ups come to an end.
            find(&made[..instance], store, exported.instance, &exported.name)
        }
    }
}

fn lifted<P: wasmtime::WasmParams>(
    made: &[Made],
    store: &mut Store<Guest>,
    function: &Function,
) -> wasmtime::Result<Lifted<P>> {
    let mut export = |exported: &Exported| {
        find(made, store, exported.instance, &exported.name)
            .ok_or_else(|| wasmtime::format_err!("no export {}", exported.name))
    };
    let other = || wasmtime::format_err!("an export is of another kind");
    let call = export(&function.call)?.into_func().ok_or_else(other)?;
    let memory = export(&function.memory)?.into_memory().ok_or_else(other)?;
    let mut optional = |exported: &Option<Exported>| {
        let found = exported.as_ref().map(&mut export).transpose()?;
        found.map(|found| found.into_func().ok_or_else(other)).transpose()
    };
    let realloc = optional(&function.realloc)?;
    let post_return = optional(&function.post_return)?;
    Ok(Lifted {
        function: call.typed(&*store)?,
        post_return: post_return.map(|found| found.typed(&*store)).transpose()?,
        abi: Abi::new(memory, realloc.map(|found| found.typed(&*store)).transpose()?, store),
    })
}

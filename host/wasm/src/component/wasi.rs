//! An empty WASI for components, for languages whose runtime imports it whether it is used or not.
//!
//! As for core modules: no arguments, no environment, no files, no network. Output goes to the
//! route's log; clocks and random numbers are real where granted, else a fixed clock and a seeded
//! generator; everything else answers that there is nothing, or an error. The functions are made
//! of their types in the component, so that no version of WASI 0.2 is spelled out here.

use wasmtime::component::types::{ComponentItem, Type};
use wasmtime::component::{Component, Resource, ResourceAny, ResourceType, Val};
use wasmtime::{Engine, Result, StoreContextMut, bail, format_err};

use super::Linker;
use crate::capability::Capability;
use crate::clock;
use crate::guest::Guest;
use crate::limits::WASI_HANDLES_MAX;
use crate::log::LogLevel;
use crate::wasi::{FIXED_CLOCK_NS, RANDOM_BYTES_MAX};

/// Any of WASI's resources: a number says which output stream it is, 0 for all that do nothing.
struct Handle;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// Bytes that an output stream takes at once.
const WRITE_BYTES: u64 = 4_096;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// Links what a component imports of WASI.
pub(super) fn link(linker: &mut Linker, engine: &Engine, component: &Component) -> Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else { continue };
        let Some(interface) = name.strip_prefix("wasi:") else { continue };
        let interface = interface.split_once('@').map_or(interface, |(interface, _)| interface);
        let mut linked = linker.instance(name)?;
        for (item, export) in instance.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(_) => {
                    let name = format!("{interface}#{item}");
                    linked.func_new(item, move |store, ty, params, results| {
                        call(&name, store, params, ty.results(), results)
                    })?;
                }
                ComponentItem::Resource(_) => {
                    let ty = ResourceType::host::<Handle>();
                    linked.resource(item, ty, |mut store, _| {
                        release(&mut store);
                        Ok(())
                    })?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn call(
    name: &str,
    mut store: StoreContextMut<'_, Guest>,
    params: &[Val],
    types: impl Iterator<Item = Type>,
    results: &mut [Val],
) -> Result<()> {
    let mut handles = Vec::new();
    for param in params {
        take_handles(&mut store, param, &mut handles)?;
    }
    // No function of WASI has more than one result, and some have none.
    let mut value = served(name, &mut store, params, &handles)?;
    for (result, ty) in results.iter_mut().zip(types) {
        *result = match value.take() {
            Some(value) => value,
            None => nothing(&mut store, &ty)?,
        };
    }
    Ok(())
}

/// The functions that do something; all others answer nothing.
fn served(
    name: &str,
    store: &mut StoreContextMut<'_, Guest>,
    params: &[Val],
    handles: &[u32],
) -> Result<Option<Val>> {
    let number = |at: usize| match params.get(at) {
        Some(Val::U64(number)) => *number,
        _ => 0,
    };
    Ok(Some(match name {
        "cli/exit#exit" | "cli/exit#exit-with-code" => bail!("the guest exited"),
        "cli/stdout#get-stdout" => handle(store, STDOUT)?,
        "cli/stderr#get-stderr" => handle(store, STDERR)?,
        "io/streams#[method]output-stream.check-write" => done(Some(Val::U64(WRITE_BYTES))),
        "io/streams#[method]output-stream.write"
        | "io/streams#[method]output-stream.blocking-write-and-flush" => {
            write(store.data_mut(), handles, params.last());
            done(None)
        }
        "io/streams#[method]output-stream.flush"
        | "io/streams#[method]output-stream.blocking-flush" => done(None),
        // Nobody waits here: time that must pass is the guest's own to spend.
        "io/poll#[method]pollable.ready" => Val::Bool(true),
        "io/poll#poll" => Val::List((0..handles.len() as u32).map(Val::U32).collect()),
        "clocks/monotonic-clock#now" => Val::U64(monotonic_ns(store.data_mut())),
        "clocks/monotonic-clock#resolution" => Val::U64(NS_PER_MS),
        "clocks/wall-clock#now" => instant(wall_ns(store.data_mut())),
        "clocks/wall-clock#resolution" => instant(NS_PER_MS),
        "random/random#get-random-bytes" | "random/insecure#get-insecure-random-bytes" => {
            random_bytes(store.data_mut(), number(0))?
        }
        "random/random#get-random-u64" | "random/insecure#get-insecure-random-u64" => {
            Val::U64(store.data_mut().next_random())
        }
        "random/insecure-seed#insecure-seed" => {
            let seed = [store.data_mut().next_random(), store.data_mut().next_random()];
            Val::Tuple(seed.map(Val::U64).to_vec())
        }
        _ => return Ok(None),
    }))
}

fn done(value: Option<Val>) -> Val {
    Val::Result(Ok(value.map(Box::new)))
}

/// What is written to a stream that isn't one of the two is for nobody.
fn write(guest: &mut Guest, handles: &[u32], contents: Option<&Val>) {
    let level = match handles.first() {
        Some(&STDOUT) => LogLevel::Info,
        Some(&STDERR) => LogLevel::Warn,
        _ => return,
    };
    let Some(Val::List(contents)) = contents else { return };
    let bytes = contents.iter().map(|byte| if let Val::U8(byte) = byte { *byte } else { b'?' });
    guest.write_output(level, &bytes.collect::<Vec<u8>>());
}

fn monotonic_ns(guest: &mut Guest) -> u64 {
    if guest.granted.contains(Capability::Clock) { clock::monotonic_ns() } else { FIXED_CLOCK_NS }
}

/// It stands still within a call, as `now-ms` does.
fn wall_ns(guest: &mut Guest) -> u64 {
    if guest.granted.contains(Capability::Clock) {
        guest.now_ms().saturating_mul(NS_PER_MS)
    } else {
        FIXED_CLOCK_NS
    }
}

fn instant(ns: u64) -> Val {
    let nanoseconds = u32::try_from(ns % NS_PER_S).unwrap_or_default();
    Val::Record(vec![
        ("seconds".to_owned(), Val::U64(ns / NS_PER_S)),
        ("nanoseconds".to_owned(), Val::U32(nanoseconds)),
    ])
}

fn random_bytes(guest: &mut Guest, length: u64) -> Result<Val> {
    if length > u64::from(RANDOM_BYTES_MAX.unsigned_abs()) {
        bail!("the guest asks for {length} random bytes at once");
    }
    Ok(Val::List((0..length).map(|_| Val::U8(guest.next_random() as u8)).collect()))
}

/// What says that there is nothing: empty, zero, none, or an error.
fn nothing(store: &mut StoreContextMut<'_, Guest>, ty: &Type) -> Result<Val> {
    let some = |store: &mut StoreContextMut<'_, Guest>, ty: Option<Type>| {
        ty.map(|ty| nothing(store, &ty).map(Box::new)).transpose()
    };
    Ok(match ty {
        Type::Bool => Val::Bool(false),
        Type::S8 => Val::S8(0),
        Type::U8 => Val::U8(0),
        Type::S16 => Val::S16(0),
        Type::U16 => Val::U16(0),
        Type::S32 => Val::S32(0),
        Type::U32 => Val::U32(0),
        Type::S64 => Val::S64(0),
        Type::U64 => Val::U64(0),
        Type::Float32 => Val::Float32(0.0),
        Type::Float64 => Val::Float64(0.0),
        Type::Char => Val::Char(' '),
        Type::String => Val::String(String::new()),
        Type::List(_) => Val::List(Vec::new()),
        Type::Record(record) => {
            let fields = record.fields().map(|field| {
                Ok::<_, wasmtime::Error>((field.name.to_owned(), nothing(store, &field.ty)?))
            });
            Val::Record(fields.collect::<Result<_>>()?)
        }
        Type::Tuple(tuple) => {
            Val::Tuple(tuple.types().map(|ty| nothing(store, &ty)).collect::<Result<_>>()?)
        }
        Type::Variant(variant) => {
            // One without a value says least: of a stream, that it is closed.
            let plain = variant.cases().find(|case| case.ty.is_none());
            let case = plain.or_else(|| variant.cases().next());
            let case = case.ok_or_else(|| format_err!("a variant without cases"))?;
            Val::Variant(case.name.to_owned(), some(store, case.ty)?)
        }
        Type::Enum(names) => {
            let name = names.names().next().ok_or_else(|| format_err!("an enum without names"))?;
            Val::Enum(name.to_owned())
        }
        Type::Option(_) => Val::Option(None),
        Type::Result(result) => Val::Result(Err(some(store, result.err())?)),
        Type::Flags(_) => Val::Flags(Vec::new()),
        Type::Own(_) => handle(store, 0)?,
        _ => bail!("this function of WASI is not there"),
    })
}

/// A new handle for the guest, as long as it holds few.
fn handle(store: &mut StoreContextMut<'_, Guest>, number: u32) -> Result<Val> {
    let held = &mut store.data_mut().wasi_handles;
    if *held >= WASI_HANDLES_MAX {
        bail!("the guest holds more than {WASI_HANDLES_MAX} handles of WASI");
    }
    *held += 1;
    let resource = Resource::<Handle>::new_own(number);
    Ok(Val::Resource(ResourceAny::try_from_resource(resource, store)?))
}

fn release(store: &mut StoreContextMut<'_, Guest>) {
    let held = &mut store.data_mut().wasi_handles;
    *held = held.saturating_sub(1);
}

/// Takes the handles out of an argument; each that is left in the host would stay there.
fn take_handles(
    store: &mut StoreContextMut<'_, Guest>,
    value: &Val,
    handles: &mut Vec<u32>,
) -> Result<()> {
    match value {
        Val::Resource(resource) => {
            if resource.owned() {
                release(store);
            }
            handles.push(resource.try_into_resource::<Handle>(store)?.rep());
        }
        Val::List(values) | Val::Tuple(values) => {
            for value in values {
                take_handles(store, value, handles)?;
            }
        }
        Val::Record(fields) => {
            for (_, value) in fields {
                take_handles(store, value, handles)?;
            }
        }
        Val::Variant(_, Some(value)) | Val::Option(Some(value)) => {
            take_handles(store, value, handles)?;
        }
        Val::Result(Ok(Some(value)) | Err(Some(value))) => take_handles(store, value, handles)?,
        _ => {}
    }
    Ok(())
}

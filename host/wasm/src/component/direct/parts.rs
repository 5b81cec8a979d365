//! What a component is made of, as far as calls need it.

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind,
    ComponentOuterAliasKind, ComponentTypeRef, Encoding, ExternalKind, Instance, Parser, Payload,
};

/// The core instances of a component in the order in which they are made, and its functions.
pub(super) struct Parts {
    pub(super) instances: Vec<Part>,
    pub(super) functions: Functions<Function>,
}

/// One core instance.
pub(super) enum Part {
    /// Of the module at that place, which imports from earlier instances.
    Module { module: usize, arguments: Vec<(String, usize)> },
    /// Other instances' exports under other names.
    Named(Vec<(String, Exported)>),
}

/// What a core instance exports.
#[derive(Clone)]
pub(super) struct Exported {
    pub(super) instance: usize,
    pub(super) name: String,
}

/// A function of the contract: a core function with the options by which it is lifted.
#[derive(Clone)]
pub(super) struct Function {
    pub(super) call: Exported,
    pub(super) memory: Exported,
    /// None where it has no input that lies in memory.
    pub(super) realloc: Option<Exported>,
    pub(super) post_return: Option<Exported>,
}

/// What the world exports.
pub(super) struct Functions<T> {
    pub(super) describe: T,
    pub(super) configure: T,
    pub(super) check_binding: T,
    pub(super) bindings: T,
    pub(super) route: T,
}

/// The index spaces that are followed. Nothing is in one that can't be called directly.
#[derive(Default)]
struct Spaces<'a> {
    modules: Vec<&'a [u8]>,
    instances: Vec<Part>,
    core_functions: Vec<Exported>,
    memories: Vec<Exported>,
    tables: Vec<Exported>,
    globals: Vec<Exported>,
    functions: Vec<Function>,
    exports: Vec<(String, usize)>,
}

impl Parts {
    /// Takes a component apart; its modules beside. None where it imports a function, has a
    /// component inside, or anything else that isn't known here: it is left to wasmtime.
    pub(super) fn read(component: &[u8]) -> Option<(Self, Vec<&[u8]>)> {
        let mut spaces = Spaces::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.ok()?;
            match &payload {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return None,
                // The sections of a module inside.
                Payload::End(_) if depth > 0 => depth -= 1,
                _ if depth > 0 => {}
                Payload::ModuleSection { unchecked_range, .. } => {
                    spaces.modules.push(component.get(unchecked_range.clone())?);
                    depth += 1;
                }
                _ => spaces.take(payload)?,
            }
        }
        let function = |name: &str| {
            let (_, index) = spaces.exports.iter().find(|(other, _)| other == name)?;
            spaces.functions.get(*index).cloned()
        };
        let functions = Functions {
            describe: function("describe")?,
            configure: function("configure")?,
            check_binding: function("check-binding")?,
            bindings: function("bindings")?,
            route: function("route")?,
        };
        Some((Self { instances: spaces.instances, functions }, spaces.modules))
    }
}

impl Spaces<'_> {
    fn take(&mut self, payload: Payload<'_>) -> Option<()> {
        match payload {
            Payload::Version { .. }
            | Payload::End(_)
            | Payload::CustomSection(_)
            | Payload::CoreTypeSection(_)
            | Payload::ComponentTypeSection(_) => {}
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    // The types, or an instance that has them.
                    match import.ok()?.ty {
                        ComponentTypeRef::Instance(_) | ComponentTypeRef::Type(_) => {}
                        _ => return None,
                    }
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    let part = self.part(instance.ok()?)?;
                    self.instances.push(part);
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.alias(alias.ok()?)?;
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    let function = self.lifted(function.ok()?)?;
                    self.functions.push(function);
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export.ok()?;
                    let index = export.index as usize;
                    match export.kind {
                        ComponentExternalKind::Func => {
                            // An export is a function of its own from here on.
                            let function = self.functions.get(index)?.clone();
                            self.exports.push((export.name.name.to_owned(), self.functions.len()));
                            self.functions.push(function);
                        }
                        ComponentExternalKind::Type | ComponentExternalKind::Instance => {}
                        _ => return None,
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn part(&self, instance: Instance<'_>) -> Option<Part> {
        Some(match instance {
            Instance::Instantiate { module_index, args } => Part::Module {
                module: module_index as usize,
                arguments: args
                    .iter()
                    .map(|arg| (arg.name.to_owned(), arg.index as usize))
                    .collect(),
            },
            Instance::FromExports(exports) => {
                let named = exports.iter().map(|export| {
                    let space = self.space(export.kind)?;
                    Some((export.name.to_owned(), space.get(export.index as usize)?.clone()))
                });
                Part::Named(named.collect::<Option<_>>()?)
            }
        })
    }

    fn space(&self, kind: ExternalKind) -> Option<&Vec<Exported>> {
        match kind {
            ExternalKind::Func => Some(&self.core_functions),
            ExternalKind::Memory => Some(&self.memories),
            ExternalKind::Table => Some(&self.tables),
            ExternalKind::Global => Some(&self.globals),
            _ => None,
        }
    }

    fn alias(&mut self, alias: ComponentAlias<'_>) -> Option<()> {
        match alias {
            ComponentAlias::CoreInstanceExport { kind, instance_index, name } => {
                let exported =
                    Exported { instance: instance_index as usize, name: name.to_owned() };
                match kind {
                    ExternalKind::Func => self.core_functions.push(exported),
                    ExternalKind::Memory => self.memories.push(exported),
                    ExternalKind::Table => self.tables.push(exported),
                    ExternalKind::Global => self.globals.push(exported),
                    _ => return None,
                }
            }
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Type, .. }
            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } => {}
            _ => return None,
        }
        Some(())
    }

    fn lifted(&self, function: CanonicalFunction) -> Option<Function> {
        let CanonicalFunction::Lift { core_func_index, options, .. } = function else {
            return None;
        };
        let core_function = |index: u32| self.core_functions.get(index as usize).cloned();
        let (mut memory, mut realloc, mut post_return) = (None, None, None);
        for option in &options {
            match *option {
                CanonicalOption::UTF8 => {}
                CanonicalOption::Memory(index) => {
                    memory = self.memories.get(index as usize).cloned();
                }
                CanonicalOption::Realloc(index) => realloc = Some(core_function(index)?),
                CanonicalOption::PostReturn(index) => post_return = Some(core_function(index)?),
                _ => return None,
            }
        }
        let call = core_function(core_func_index)?;
        Some(Function { call, memory: memory?, realloc, post_return })
    }
}

//! The types of a component, spelled as `build.rs` spells those of the contract.
//!
//! **Invariant:** a spelling is bounded, whatever a stranger nests: types share parts, and a few
//! dozen of them can stand for more text than there is memory.

use std::collections::BTreeMap;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentEntityType, ComponentInstanceTypeId,
    ComponentValType, ResourceId,
};
use wasmparser::types::TypesRef;
use wasmparser::{Payload, Validator};

/// Longest spelling of one type; the contract's longest has a tenth.
const SPELLING_BYTES_MAX: usize = 16 << 10;
/// Stands for the rest of a longer one; equal to no type of the contract.
const ELLIPSIS: &str = "…";

/// A function of an interface of a component.
#[derive(Debug)]
pub(super) struct Spelled {
    pub(super) name: String,
    pub(super) params: Vec<(String, String)>,
    pub(super) result: String,
}

/// An import or export of a component.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: String,
    /// `None`: it is no interface but a function, a type or a component.
    pub(super) interface: Option<Interface>,
}

/// An interface of a component.
#[derive(Debug, Default)]
pub(super) struct Interface {
    pub(super) functions: Vec<Spelled>,
    pub(super) types: Vec<(String, String)>,
}

/// Everything that a component imports and exports.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) imports: Vec<Item>,
    pub(super) exports: Vec<Item>,
}

/// Reads the shape of the component `bytes`. Bodies of functions are not looked at: they are for
/// the compiler.
pub(super) fn shape(bytes: &[u8]) -> wasmparser::Result<Shape> {
    let mut validator = Validator::new();
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u32;
    let mut types = None;
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section.clone() {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section.clone() {
                    exports.push(export?.name.name.to_owned());
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let wasmparser::ValidPayload::End(ended) = validator.payload(&payload)? {
            types = Some(ended);
        }
    }
    let types = types.expect("a file that parses ends");
    let types = types.as_ref();
    let resources = resources(types, &imports, &exports);
    let speller = Speller { types, resources };
    let item = |name: String, found: Option<ComponentEntityType>| Item {
        interface: match found {
            Some(ComponentEntityType::Instance(id)) => Some(speller.interface(id)),
            _ => None,
        },
        name,
    };
    let import = |name: &str| types.component_item_for_import(name).map(|item| item.ty);
    let export = |name: &str| types.component_item_for_export(name).map(|item| item.ty);
    Ok(Shape {
        imports: imports
            .into_iter()
            .map(|name| (import(&name), name))
            .map(|(found, name)| item(name, found))
            .collect(),
        exports: exports
            .into_iter()
            .map(|name| (export(&name), name))
            .map(|(found, name)| item(name, found))
            .collect(),
    })
}

/// Names every resource as the first interface that has it does.
fn resources(
    types: TypesRef<'_>,
    imports: &[String],
    exports: &[String],
) -> BTreeMap<ResourceId, String> {
    let imports = imports.iter().filter_map(|name| types.component_item_for_import(name));
    let exports = exports.iter().filter_map(|name| types.component_item_for_export(name));
    let mut named = BTreeMap::new();
    for item in imports.chain(exports) {
        let ComponentEntityType::Instance(id) = item.ty else { continue };
        for (name, item) in &types[id].exports {
            if let ComponentEntityType::Type { created, .. } = item.ty
                && let ComponentAnyTypeId::Resource(id) = created
            {
                named.entry(id.resource()).or_insert_with(|| name.clone());
            }
        }
    }
    named
}

struct Speller<'a> {
    types: TypesRef<'a>,
    resources: BTreeMap<ResourceId, String>,
}

impl Speller<'_> {
    fn interface(&self, id: ComponentInstanceTypeId) -> Interface {
        let mut interface = Interface::default();
        for (name, item) in &self.types[id].exports {
            match item.ty {
                ComponentEntityType::Func(id) => {
                    let function = &self.types[id];
                    let params = function.params.iter();
                    interface.functions.push(Spelled {
                        name: name.clone(),
                        params: params
                            .map(|(name, ty)| (name.to_string(), self.spelled(*ty)))
                            .collect(),
                        result: function.result.map_or_else(String::new, |ty| self.spelled(ty)),
                    });
                }
                ComponentEntityType::Type { created: ComponentAnyTypeId::Defined(id), .. } => {
                    let spelled = self.spelled(ComponentValType::Type(id));
                    interface.types.push((name.clone(), spelled));
                }
                _ => {}
            }
        }
        interface
    }

    fn spelled(&self, ty: ComponentValType) -> String {
        let mut out = String::new();
        self.spell(ty, &mut out);
        out
    }

    fn spell(&self, ty: ComponentValType, out: &mut String) {
        if out.len() > SPELLING_BYTES_MAX {
            if !out.ends_with(ELLIPSIS) {
                out.push_str(ELLIPSIS);
            }
            return;
        }
        let id = match ty {
            ComponentValType::Primitive(plain) => return out.push_str(&plain.to_string()),
            ComponentValType::Type(id) => id,
        };
        match &self.types[id] {
            ComponentDefinedType::Primitive(plain) => out.push_str(&plain.to_string()),
            ComponentDefinedType::Record(record) => {
                let fields = record.fields.iter();
                self.list(
                    "record{",
                    fields.map(|(name, ty)| (format!("{name}: "), Some(*ty), "")),
                    "}",
                    out,
                );
            }
            ComponentDefinedType::Variant(variant) => {
                let cases = variant.cases.iter().map(|(name, case)| match case.ty {
                    Some(ty) => (format!("{name}("), Some(ty), ")"),
                    None => (name.to_string(), None, ""),
                });
                self.list("variant{", cases, "}", out);
            }
            ComponentDefinedType::Enum(names) => {
                self.list("enum{", names.iter().map(|name| (name.to_string(), None, "")), "}", out);
            }
            ComponentDefinedType::Flags(names) => {
                self.list(
                    "flags{",
                    names.iter().map(|name| (name.to_string(), None, "")),
                    "}",
                    out,
                );
            }
            ComponentDefinedType::Tuple(tuple) => {
                let parts = tuple.types.iter().map(|ty| (String::new(), Some(*ty), ""));
                self.list("tuple<", parts, ">", out);
            }
            ComponentDefinedType::Option { ty, .. } => self.one("option<", Some(*ty), ">", out),
            ComponentDefinedType::List { element, .. } => {
                self.one("list<", Some(*element), ">", out);
            }
            ComponentDefinedType::Result { ok, err, .. } => {
                self.one("result<", *ok, ", ", out);
                self.one("", *err, ">", out);
            }
            ComponentDefinedType::Own(id) => self.resource("own<", id.resource(), out),
            ComponentDefinedType::Borrow(id) => self.resource("borrow<", id.resource(), out),
            // No interface of ours has any of these.
            ComponentDefinedType::Map { .. } => out.push_str("map"),
            ComponentDefinedType::FixedLengthList { .. } => out.push_str("fixed-length list"),
            ComponentDefinedType::Future { .. } => out.push_str("future"),
            ComponentDefinedType::Stream { .. } => out.push_str("stream"),
        }
    }

    fn one(&self, open: &str, ty: Option<ComponentValType>, close: &str, out: &mut String) {
        out.push_str(open);
        match ty {
            Some(ty) => self.spell(ty, out),
            None => out.push('_'),
        }
        out.push_str(close);
    }

    fn list<'t>(
        &self,
        open: &str,
        parts: impl Iterator<Item = (String, Option<ComponentValType>, &'t str)>,
        close: &str,
        out: &mut String,
    ) {
        out.push_str(open);
        for (number, (name, ty, after)) in parts.enumerate() {
            if number > 0 {
                out.push_str(", ");
            }
            if out.len() > SPELLING_BYTES_MAX {
                out.push_str(ELLIPSIS);
                return;
            }
            out.push_str(&name);
            if let Some(ty) = ty {
                self.spell(ty, out);
            }
            out.push_str(after);
        }
        out.push_str(close);
    }

    fn resource(&self, open: &str, id: ResourceId, out: &mut String) {
        out.push_str(open);
        out.push_str(self.resources.get(&id).map_or("?", String::as_str));
        out.push('>');
    }
}

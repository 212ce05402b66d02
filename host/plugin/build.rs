//! Writes the contract in `wit/` down as a table of names and types, so that a component can be
//! compared with it where there is no parser of WIT. A type is spelled as its structure: names of
//! fields and cases count, names of types do not. `src/fit/spell.rs` spells a component's the same.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use wit_parser::{Function, Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId, WorldItem};

const WIT: &str = "../../wit";
/// Worlds that a manifest may name, each with the world of all its grants and optional exports.
const WORLDS: [(&str, &str); 3] = [
    ("selection-policy", "selection-policy"),
    ("pricing-rule", "pricing-rule"),
    ("pipeline", "pipeline-full"),
];

fn main() {
    println!("cargo::rerun-if-changed={WIT}");
    println!("cargo::rerun-if-changed=build.rs");
    let mut wit = Resolve::new();
    let (package, _) = wit.push_dir(WIT).expect("the contract parses");
    let mut out = String::from("const INTERFACES: &[Interface] = &[\n");
    for (id, interface) in wit.interfaces.iter() {
        let Some(name) = wit.id_of(id) else { continue };
        writeln!(out, "Interface {{ name: {name:?}, functions: &[").expect("written");
        for function in interface.functions.values() {
            out.push_str(&self::function(&wit, function));
        }
        out.push_str("], types: &[\n");
        for (name, id) in &interface.types {
            if !matches!(wit.types[*id].kind, TypeDefKind::Resource) {
                let spelled = spell(&wit, &Type::Id(*id));
                writeln!(out, "({name:?}, {spelled:?}),").expect("written");
            }
        }
        out.push_str("] },\n");
    }
    out.push_str("];\nconst WORLDS: &[World] = &[\n");
    let interfaces = |world: &str, exports: bool| -> Vec<InterfaceId> {
        let world = &wit.worlds[wit.packages[package].worlds[world]];
        let items = if exports { &world.exports } else { &world.imports };
        let id = |item: &WorldItem| match item {
            WorldItem::Interface { id, .. } => Some(*id),
            WorldItem::Function(_) | WorldItem::Type { .. } => None,
        };
        items.values().filter_map(id).collect()
    };
    let names = |ids: Vec<InterfaceId>| -> Vec<String> {
        ids.into_iter().filter_map(|id| wit.id_of(id)).collect()
    };
    for (plain, full) in WORLDS {
        let imports = names(interfaces(full, false));
        let exports = names(interfaces(plain, true));
        let optional = names(interfaces(full, true));
        writeln!(
            out,
            "World {{ name: {plain:?}, imports: &{imports:?}, exports: &{exports:?}, \
             all_exports: &{optional:?} }},"
        )
        .expect("written");
    }
    out.push_str("];\n");
    let to = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&to).join("contract.rs"), out).expect("written");
}

fn function(wit: &Resolve, function: &Function) -> String {
    let params = function.params.iter();
    let params: Vec<_> = params.map(|param| (param.name.clone(), spell(wit, &param.ty))).collect();
    let result = function.result.as_ref().map_or_else(String::new, |ty| spell(wit, ty));
    let name = &function.name;
    format!("Function {{ name: {name:?}, params: &{params:?}, result: {result:?} }},\n")
}

fn spell(wit: &Resolve, ty: &Type) -> String {
    let of = |ty: &Type| spell(wit, ty);
    let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), of);
    let id = match ty {
        Type::Id(id) => *id,
        Type::ErrorContext => return "error-context".to_owned(),
        plain => return format!("{plain:?}").to_lowercase(),
    };
    let joined = |parts: Vec<String>| parts.join(", ");
    match &wit.types[id].kind {
        TypeDefKind::Type(ty) => spell(wit, ty),
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            let fields = fields.map(|field| format!("{}: {}", field.name, of(&field.ty)));
            format!("record{{{}}}", joined(fields.collect()))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|case| match &case.ty {
                Some(ty) => format!("{}({})", case.name, of(ty)),
                None => case.name.clone(),
            });
            format!("variant{{{}}}", joined(cases.collect()))
        }
        TypeDefKind::Enum(list) => {
            format!("enum{{{}}}", joined(list.cases.iter().map(|it| it.name.clone()).collect()))
        }
        TypeDefKind::Flags(list) => {
            format!("flags{{{}}}", joined(list.flags.iter().map(|it| it.name.clone()).collect()))
        }
        TypeDefKind::Tuple(tuple) => {
            format!("tuple<{}>", joined(tuple.types.iter().map(of).collect()))
        }
        TypeDefKind::Option(ty) => format!("option<{}>", of(ty)),
        TypeDefKind::List(ty) => format!("list<{}>", of(ty)),
        TypeDefKind::Result(result) => {
            format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err))
        }
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", resource(wit, *id)),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", resource(wit, *id)),
        TypeDefKind::Resource => resource(wit, id),
        other => panic!("`{}` has no spelling; add it here and in spell.rs", other.as_str()),
    }
}

/// Names a resource as its own interface does, whatever `use` calls it.
fn resource(wit: &Resolve, id: TypeId) -> String {
    match &wit.types[id].kind {
        TypeDefKind::Type(Type::Id(to)) => resource(wit, *to),
        _ => wit.types[id].name.clone().expect("a resource has a name"),
    }
}

//! Components that no compiler makes, written byte by byte: several memories and tables in one
//! store, each below its limit and together above it.

use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use super::{CORE_INSTANCES_MAX, LimitHit, Limiter, Limits};
use crate::engine::PolicyEngine;

/// Pages of 64 KiB in a MiB.
const PAGES_PER_MIB: u32 = 16;

fn number(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// As [`number`], for the argument of `i32.const`, which is signed.
fn constant(value: u32) -> Vec<u8> {
    let mut bytes = vec![0x41];
    bytes.extend([(value & 0x7f) as u8 | 0x80, (value >> 7 & 0x7f) as u8 | 0x80]);
    bytes.push((value >> 14 & 0x3f) as u8);
    bytes
}

fn section(id: u8, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut body = number(entries.len() as u32);
    body.extend(entries.concat());
    sized(id, body)
}

fn sized(id: u8, body: Vec<u8>) -> Vec<u8> {
    [vec![id], number(body.len() as u32), body].concat()
}

/// A module with memories and tables of these sizes, which runs `start` when it is instantiated.
fn module(memories: &[u32], tables: &[u32], start: Vec<u8>) -> Vec<u8> {
    let of = |kind: &[u8], size: u32| [kind.to_vec(), vec![0], number(size)].concat();
    let memories: Vec<_> = memories.iter().map(|pages| of(&[], *pages)).collect();
    let tables: Vec<_> = tables.iter().map(|elements| of(&[0x70], *elements)).collect();
    let code = [vec![0], start, vec![0x0b]].concat();
    let code = [number(code.len() as u32), code].concat();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[vec![0x60, 0, 0]]),
        section(3, &[vec![0]]),
        section(4, &tables),
        section(5, &memories),
        sized(8, vec![0]),
        section(10, &[code]),
    ]
    .concat()
}

/// A component that instantiates `module` so many times.
fn component(module: Vec<u8>, times: usize) -> Vec<u8> {
    let instances = vec![vec![0, 0, 0]; times];
    [b"\0asm\x0d\0\x01\0".to_vec(), sized(1, module), section(2, &instances)].concat()
}

/// Instantiates a component in the production engine under the default limits.
fn instantiate(bytes: &[u8]) -> wasmtime::Result<()> {
    let engine = PolicyEngine::new().expect("the engine works here").engine;
    let component = Component::from_binary(&engine, bytes)?;
    let mut store = Store::new(&engine, Limiter::new(Limits::policy()));
    store.limiter(|limiter| limiter);
    store.set_fuel(1_000_000)?;
    Linker::new(&engine).instantiate(&mut store, &component).map(drop)
}

fn hit(bytes: &[u8]) -> String {
    let error = instantiate(bytes).expect_err("it is above a limit");
    error.downcast_ref::<LimitHit>().map_or_else(|| format!("{error:#}"), ToString::to_string)
}

#[test]
fn memories_and_tables_are_summed_over_all_that_a_component_holds() {
    let small = module(&[30 * PAGES_PER_MIB], &[9_000], Vec::new());
    assert!(instantiate(&component(small.clone(), 2)).is_ok());
    assert_eq!(
        hit(&component(module(&[40 * PAGES_PER_MIB], &[], Vec::new()), 2)),
        "memory limit 64 MiB: plugin asked for 80 MiB"
    );
    assert_eq!(
        hit(&component(module(&[30 * PAGES_PER_MIB; 3], &[], Vec::new()), 1)),
        "memory limit 64 MiB: plugin asked for 90 MiB"
    );
    assert_eq!(
        hit(&component(module(&[], &[9_000], Vec::new()), 3)),
        "table_elements limit 20000: plugin used 27000"
    );
}

#[test]
fn growth_is_summed_over_several_memories_and_tables() {
    let grow_memory =
        |memory: u8| [constant(30 * PAGES_PER_MIB), vec![0x40, memory, 0x1a]].concat();
    let all = (0..3).flat_map(grow_memory).collect();
    assert_eq!(
        hit(&component(module(&[0; 3], &[], all), 1)),
        "memory limit 64 MiB: plugin asked for 90 MiB"
    );
    let grow_table =
        |table: u8| [vec![0xd0, 0x70], constant(12_000), vec![0xfc, 0x0f, table, 0x1a]].concat();
    let all = (0..2).flat_map(grow_table).collect();
    assert_eq!(
        hit(&component(module(&[], &[1; 2], all), 1)),
        "table_elements limit 20000: plugin used 24002"
    );
}

#[test]
fn a_component_is_composed_of_so_many_instances_at_most() {
    let empty = module(&[], &[], Vec::new());
    assert!(instantiate(&component(empty.clone(), CORE_INSTANCES_MAX)).is_ok());
    let text = hit(&component(empty, CORE_INSTANCES_MAX + 1));
    assert!(text.contains("33 core module instances") && text.contains("32"), "{text}");
}

#[test]
fn filling_memory_costs_fuel_for_every_byte() {
    // Fills 16 MiB with one instruction.
    let fill = [
        constant(0),
        constant(0),
        // i32.const 16 MiB
        vec![0x41, 0x80, 0x80, 0x80, 0x08],
        vec![0xfc, 0x0b, 0x00],
    ]
    .concat();
    let text = hit(&component(module(&[16 * PAGES_PER_MIB], &[], fill), 1));
    assert!(text.contains("all fuel consumed"), "{text}");
}

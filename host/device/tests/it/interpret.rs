//! Runs PTX on the CPU: the instructions that the kernels here are made of, one thread at a time.
//!
//! Registers are 64 bits wide and hold a value of their own width, zero above it. Global and generic
//! addresses are those of this process and have to lie in a block that the caller owns; parameters
//! and a thread's own memory begin at 0 in spaces of their own.
//!
//! **Invariant:** what is not understood ends the test with its text; nothing is skipped.

use std::collections::HashMap;

/// A value's width in bits, and how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Type {
    bits: u32,
    signed: bool,
    float: bool,
}

impl Type {
    fn parse(name: &str) -> Self {
        let bits = match &name[1..] {
            "red" => 1,
            digits => digits.parse().unwrap_or_else(|_| panic!("type `{name}`")),
        };
        Self { bits, signed: name.starts_with('s'), float: name.starts_with('f') }
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// Reads a value with its sign.
    fn wide(self, value: u64) -> i128 {
        let value = value & self.mask();
        let negative = self.signed && value >> (self.bits - 1) == 1;
        if negative { i128::from(value) - (1 << self.bits) } else { i128::from(value) }
    }
}

#[derive(Debug, Clone, Copy)]
enum Operand {
    Register(usize),
    Value(u64),
    /// The instruction's parts, which make a wider value, the lowest first.
    Parts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Space {
    Global,
    Parameter,
    Own,
}

#[derive(Debug, Clone, Copy)]
enum Code {
    Load(Space, Type),
    Store(Space, Type),
    Move(Type),
    Convert { to: Type, from: Type },
    Binary(Binary, Type),
    MulWide(Type),
    MulHigh(Type),
    MulAdd(Type),
    Unary(Unary, Type),
    Select,
    Compare(Comparison, Type),
    Permute,
    Dot2(Type),
    Branch,
    Return,
}

#[derive(Debug, Clone, Copy)]
enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Min,
    Max,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

#[derive(Debug, Clone, Copy)]
enum Unary {
    Not,
    Negate,
    Absolute,
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Debug)]
struct Instruction {
    /// A predicate and what it has to be.
    guard: Option<(usize, bool)>,
    code: Code,
    operands: Vec<Operand>,
    parts: Vec<usize>,
    target: usize,
    text: String,
}

/// One entry, ready to run.
pub(crate) struct Program {
    instructions: Vec<Instruction>,
    /// Width of each register in bits; the first six are `%tid`, `%ntid` and `%ctaid`.
    widths: Vec<u32>,
    own_bytes: usize,
}

/// Memory that a program may read and write: first addresses and lengths.
pub(crate) type Blocks = std::collections::BTreeMap<u64, usize>;

const SPECIAL: [&str; 6] = ["%tid.x", "%tid.y", "%ntid.x", "%ntid.y", "%ctaid.x", "%ctaid.y"];

struct Parser {
    registers: HashMap<String, usize>,
    widths: Vec<u32>,
    own_bytes: usize,
}

impl Program {
    /// Finds and parses an entry in the text of a module.
    pub(crate) fn parse(module: &str, entry: &str) -> Self {
        let start = module.find(&format!(".visible .entry {entry}(")).expect("the entry is there");
        let body = &module[start..];
        let body = &body[body.find('{').unwrap() + 1..];
        // Vectors have braces too; a body ends with one at the beginning of a line.
        let body = &body[..body.find("\n}").unwrap()];
        let registers = SPECIAL.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at));
        let mut parser =
            Parser { registers: registers.collect(), widths: vec![32; 6], own_bytes: 0 };
        let (mut labels, mut instructions, mut branches) = (HashMap::new(), Vec::new(), Vec::new());
        for line in body.lines().map(|line| line.split("//").next().unwrap_or("").trim()) {
            if let Some(label) = line.strip_suffix(':') {
                labels.insert(label.to_owned(), instructions.len());
            } else if line.starts_with('.') {
                parser.declare(line);
            } else if !line.is_empty() {
                let (instruction, target) = parser.instruction(line.trim_end_matches(';'));
                branches.extend(target.map(|target| (instructions.len(), target)));
                instructions.push(instruction);
            }
        }
        for (at, label) in branches {
            instructions[at].target = labels[&label];
        }
        Self { instructions, widths: parser.widths, own_bytes: parser.own_bytes }
    }

    /// Runs every thread of a grid of blocks.
    ///
    /// # Safety
    /// The blocks are memory that nobody else uses meanwhile.
    pub(crate) unsafe fn run(
        &self,
        (grid, block): ((u32, u32), (u32, u32)),
        parameters: &[u8],
        blocks: &Blocks,
    ) {
        let mut thread = Thread {
            registers: vec![0; self.widths.len()],
            own: vec![0xEE; self.own_bytes],
            parameters,
            blocks,
        };
        for (block_y, block_x) in pairs(grid) {
            for (y, x) in pairs(block) {
                let special = [x, y, block.0, block.1, block_x, block_y].map(u64::from);
                thread.registers[..6].copy_from_slice(&special);
                // SAFETY: as the caller says.
                unsafe { thread.run(self) };
            }
        }
    }
}

fn pairs((columns, rows): (u32, u32)) -> impl Iterator<Item = (u32, u32)> {
    (0..rows).flat_map(move |y| (0..columns).map(move |x| (y, x)))
}

impl Parser {
    fn declare(&mut self, line: &str) {
        if line.starts_with(".local") {
            let (_, bytes) = line.trim_end_matches("];").rsplit_once('[').unwrap();
            self.own_bytes = bytes.parse().unwrap();
        } else {
            let known = [".reg", ".pragma"].iter().any(|known| line.starts_with(known));
            assert!(known, "`{line}`");
        }
    }

    fn register(&mut self, name: &str) -> usize {
        let next = self.widths.len();
        let at = *self.registers.entry(name.to_owned()).or_insert(next);
        if at == next {
            let kind = name.trim_start_matches('%').trim_end_matches(|c: char| c.is_ascii_digit());
            self.widths.push(match kind {
                "p" => 1,
                "rs" => 16,
                "r" | "f" => 32,
                "rd" | "SP" | "SPL" => 64,
                _ => panic!("register `{name}`"),
            });
        }
        at
    }

    fn operand(&mut self, text: &str, parts: &mut Vec<usize>) -> Operand {
        if let Some(list) = text.strip_prefix('{') {
            let names = list.trim_end_matches('}').split(',').map(str::trim);
            parts.extend(names.map(|name| self.register(name)).collect::<Vec<_>>());
            return Operand::Parts;
        }
        if text.starts_with('%') {
            return Operand::Register(self.register(text));
        }
        if let Some(hex) = text.strip_prefix("0f") {
            return Operand::Value(u64::from_str_radix(hex, 16).unwrap());
        }
        if text.contains("_param_") || text.starts_with("__local_depot") {
            return Operand::Value(0);
        }
        let number: i64 = text.parse().unwrap_or_else(|_| panic!("operand `{text}`"));
        Operand::Value(number as u64)
    }

    /// Parses an instruction, and the label that it branches to.
    fn instruction(&mut self, line: &str) -> (Instruction, Option<String>) {
        let (guard, rest) = match line.strip_prefix('@') {
            Some(guarded) => {
                let (name, rest) = guarded.split_once(char::is_whitespace).unwrap();
                let expected = !name.starts_with('!');
                (Some((self.register(name.trim_start_matches('!')), expected)), rest.trim())
            }
            None => (None, line),
        };
        let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let words: Vec<_> = name.split('.').collect();
        let code = code(&words);
        let mut made = Instruction {
            guard,
            code,
            operands: Vec::new(),
            parts: Vec::new(),
            target: usize::MAX,
            text: line.to_owned(),
        };
        if matches!(code, Code::Branch) {
            return (made, Some(arguments.trim().to_owned()));
        }
        for argument in split_arguments(arguments) {
            let address = argument.strip_prefix('[').map(|inner| inner.trim_end_matches(']'));
            let (base, offset) = match address {
                Some(inner) => inner.split_once('+').unwrap_or((inner, "0")),
                None => (argument, "0"),
            };
            let operand = self.operand(base, &mut made.parts);
            made.operands.push(operand);
            if address.is_some() {
                let offset: i64 = offset.parse().unwrap();
                made.operands.push(Operand::Value(offset as u64));
            }
        }
        (made, None)
    }
}

/// Splits at commas outside of braces.
fn split_arguments(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(text[start..].trim());
    found.retain(|argument| !argument.is_empty());
    found
}

fn code(words: &[&str]) -> Code {
    let last = words.last().copied().unwrap_or_default();
    let of = || Type::parse(last);
    match *words {
        ["ld", space, ..] => Code::Load(space_of(space), of()),
        ["st", space, ..] => Code::Store(space_of(space), of()),
        ["mov", _] | ["cvta", "to", "global", _] => Code::Move(of()),
        ["cvt", to, from] | ["cvt", "rzi" | "rn", to, from] => {
            Code::Convert { to: Type::parse(to), from: Type::parse(from) }
        }
        ["mul", "wide", _] => Code::MulWide(of()),
        ["mul", "hi", _] => Code::MulHigh(of()),
        ["mad", "lo", _] => Code::MulAdd(of()),
        ["add", _] | ["add", "rn", _] => Code::Binary(Binary::Add, of()),
        ["sub", _] => Code::Binary(Binary::Sub, of()),
        ["mul", "lo" | "rn", _] => Code::Binary(Binary::Mul, of()),
        ["div", _] | ["div", "rn", _] => Code::Binary(Binary::Div, of()),
        ["rem", _] => Code::Binary(Binary::Rem, of()),
        ["min", _] => Code::Binary(Binary::Min, of()),
        ["max", _] => Code::Binary(Binary::Max, of()),
        ["and", _] => Code::Binary(Binary::And, of()),
        ["or", _] => Code::Binary(Binary::Or, of()),
        ["xor", _] => Code::Binary(Binary::Xor, of()),
        ["shl", _] => Code::Binary(Binary::ShiftLeft, of()),
        ["shr", _] => Code::Binary(Binary::ShiftRight, of()),
        ["not", _] => Code::Unary(Unary::Not, of()),
        ["neg", _] => Code::Unary(Unary::Negate, of()),
        ["abs", _] => Code::Unary(Unary::Absolute, of()),
        ["selp", _] => Code::Select,
        ["setp", how, _] => Code::Compare(comparison(how), of()),
        ["prmt", "b32"] => Code::Permute,
        ["dp2a", "lo", halves, "u32"] => Code::Dot2(Type::parse(halves)),
        ["bra"] | ["bra", "uni"] => Code::Branch,
        ["ret"] => Code::Return,
        _ => panic!("`{}` is not understood", words.join(".")),
    }
}

fn space_of(word: &str) -> Space {
    match word {
        "param" => Space::Parameter,
        "local" => Space::Own,
        _ => Space::Global,
    }
}

fn comparison(word: &str) -> Comparison {
    match word {
        "eq" => Comparison::Eq,
        "ne" => Comparison::Ne,
        "lt" => Comparison::Lt,
        "le" => Comparison::Le,
        "gt" => Comparison::Gt,
        "ge" => Comparison::Ge,
        _ => panic!("comparison `{word}`"),
    }
}

struct Thread<'a> {
    registers: Vec<u64>,
    own: Vec<u8>,
    parameters: &'a [u8],
    blocks: &'a Blocks,
}

impl Thread<'_> {
    unsafe fn run(&mut self, program: &Program) {
        let mut at = 0;
        while let Some(instruction) = program.instructions.get(at) {
            at += 1;
            if let Some((register, expected)) = instruction.guard
                && (self.registers[register] == 1) != expected
            {
                continue;
            }
            match instruction.code {
                Code::Branch => at = instruction.target,
                Code::Return => return,
                // SAFETY: as the caller says.
                Code::Load(space, of) => unsafe { self.load(program, instruction, space, of) },
                // SAFETY: as the caller says.
                Code::Store(space, of) => unsafe { self.store(instruction, space, of) },
                Code::Move(of) => self.move_value(program, instruction, of),
                _ => {
                    let Operand::Register(result) = instruction.operands[0] else {
                        panic!("`{}`", instruction.text)
                    };
                    let value = self.compute(instruction);
                    self.set(program, result, value);
                }
            }
        }
    }

    fn get(&self, operand: Operand) -> u64 {
        match operand {
            Operand::Register(at) => self.registers[at],
            Operand::Value(value) => value,
            Operand::Parts => panic!("parts where one value is"),
        }
    }

    fn set(&mut self, program: &Program, register: usize, value: u64) {
        self.registers[register] = value & (u64::MAX >> (64 - program.widths[register]));
    }

    fn move_value(&mut self, program: &Program, instruction: &Instruction, of: Type) {
        let [to, from] = instruction.operands[..] else { panic!("`{}`", instruction.text) };
        let parts = &instruction.parts;
        match (to, from) {
            (Operand::Register(to), Operand::Parts) => {
                let bits = of.bits / parts.len() as u32;
                let joined =
                    parts.iter().rev().fold(0, |all, part| all << bits | self.registers[*part]);
                self.set(program, to, joined);
            }
            (Operand::Parts, from) => {
                let (value, bits) = (self.get(from), of.bits / parts.len() as u32);
                for (index, part) in parts.iter().enumerate() {
                    self.set(program, *part, value >> (bits * index as u32));
                }
            }
            (Operand::Register(to), from) => self.set(program, to, self.get(from)),
            (Operand::Value(_), _) => panic!("`{}`", instruction.text),
        }
    }

    unsafe fn load(&mut self, program: &Program, at: &Instruction, space: Space, of: Type) {
        let [to, base, offset] = at.operands[..] else { panic!("`{}`", at.text) };
        let address = self.get(base).wrapping_add(self.get(offset));
        let targets = match to {
            Operand::Register(to) => vec![to],
            _ => at.parts.clone(),
        };
        let bytes = u64::from(of.bits / 8);
        for (index, to) in targets.into_iter().enumerate() {
            // SAFETY: as the caller says.
            let value = unsafe { self.read(space, address + bytes * index as u64, bytes, at) };
            self.set(program, to, of.wide(value) as u64);
        }
    }

    unsafe fn read(&self, space: Space, address: u64, bytes: u64, at: &Instruction) -> u64 {
        let mut word = [0_u8; 8];
        let (start, count) = (address as usize, bytes as usize);
        match space {
            Space::Parameter => {
                word[..count].copy_from_slice(&self.parameters[start..start + count]);
            }
            Space::Own => word[..count].copy_from_slice(&self.own[start..start + count]),
            Space::Global => {
                self.check(address, bytes, at);
                let from = std::ptr::with_exposed_provenance::<u8>(start);
                // SAFETY: it lies in a block, which is memory that nobody else uses.
                unsafe { word.as_mut_ptr().copy_from_nonoverlapping(from, count) };
            }
        }
        u64::from_le_bytes(word)
    }

    unsafe fn store(&mut self, at: &Instruction, space: Space, of: Type) {
        let [base, offset, from] = at.operands[..] else { panic!("`{}`", at.text) };
        let (address, bytes) = (self.get(base).wrapping_add(self.get(offset)), of.bits / 8);
        let word = self.get(from).to_le_bytes();
        let (start, count) = (address as usize, bytes as usize);
        match space {
            Space::Parameter => panic!("`{}`", at.text),
            Space::Own => self.own[start..start + count].copy_from_slice(&word[..count]),
            Space::Global => {
                self.check(address, u64::from(bytes), at);
                let to = std::ptr::with_exposed_provenance_mut::<u8>(start);
                // SAFETY: it lies in a block, which is memory that nobody else uses.
                unsafe { to.copy_from_nonoverlapping(word.as_ptr(), count) };
            }
        }
    }

    fn check(&self, address: u64, bytes: u64, at: &Instruction) {
        let block = self.blocks.range(..=address).next_back();
        let inside = block.is_some_and(|(start, length)| address + bytes <= start + *length as u64);
        assert!(inside, "`{}` at {address:#x}, outside of all blocks", at.text);
        assert!(address.is_multiple_of(bytes), "`{}` at {address:#x}, not aligned", at.text);
    }

    fn compute(&self, instruction: &Instruction) -> u64 {
        let value = |index: usize| self.get(instruction.operands[index]);
        match instruction.code {
            Code::Convert { to, from } => convert(to, from, value(1)),
            Code::Binary(how, of) if of.float => float(how, value(1), value(2)),
            Code::Binary(how, of) => binary(how, of, value(1), value(2)),
            Code::MulWide(of) => (of.wide(value(1)) * of.wide(value(2))) as u64,
            Code::MulHigh(of) => ((of.wide(value(1)) * of.wide(value(2))) >> of.bits) as u64,
            Code::MulAdd(of) => {
                (of.wide(value(1)) * of.wide(value(2)) + of.wide(value(3))) as u64 & of.mask()
            }
            Code::Unary(how, of) => {
                let wide = of.wide(value(1));
                let result = match how {
                    Unary::Not => !wide,
                    Unary::Negate => -wide,
                    Unary::Absolute => wide.abs(),
                };
                result as u64 & of.mask()
            }
            Code::Select => value(if value(3) == 1 { 1 } else { 2 }),
            Code::Compare(how, of) => u64::from(compare(how, of, value(1), value(2))),
            Code::Permute => permute(value(1), value(2), value(3)),
            Code::Dot2(halves) => {
                let half = |at: u32| {
                    let of = Type { bits: 16, ..halves };
                    of.wide(value(1) >> (16 * at))
                };
                let byte = |at: u32| i128::from(value(2) >> (8 * at) & 0xFF);
                let sum = halves.wide(value(3)) + half(0) * byte(0) + half(1) * byte(1);
                sum as u64 & 0xFFFF_FFFF
            }
            _ => panic!("`{}`", instruction.text),
        }
    }
}

fn convert(to: Type, from: Type, value: u64) -> u64 {
    match (to.float, from.float) {
        (true, false) => u64::from((from.wide(value) as f32).to_bits()),
        // To whole numbers towards zero, which is what `rzi` is.
        (false, true) => f32::from_bits(value as u32) as i64 as u64 & to.mask(),
        _ => from.wide(value) as u64 & to.mask(),
    }
}

fn float(how: Binary, a: u64, b: u64) -> u64 {
    let (a, b) = (f32::from_bits(a as u32), f32::from_bits(b as u32));
    let result = match how {
        Binary::Add => a + b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Min => a.min(b),
        _ => panic!("{how:?} of floats"),
    };
    u64::from(result.to_bits())
}

fn binary(how: Binary, of: Type, a: u64, b: u64) -> u64 {
    let (x, y) = (of.wide(a), of.wide(b));
    let shift = (b & 0xFFFF_FFFF).min(u64::from(of.bits)) as u32;
    let result = match how {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Rem => x % y,
        Binary::Min => x.min(y),
        Binary::Max => x.max(y),
        Binary::And => x & y,
        Binary::Or => x | y,
        Binary::Xor => x ^ y,
        Binary::ShiftLeft => x << shift,
        Binary::ShiftRight => x >> shift,
    };
    result as u64 & of.mask()
}

fn compare(how: Comparison, of: Type, a: u64, b: u64) -> bool {
    let order = if of.float {
        f32::from_bits(a as u32).partial_cmp(&f32::from_bits(b as u32))
    } else {
        Some(of.wide(a).cmp(&of.wide(b)))
    };
    let Some(order) = order else { return matches!(how, Comparison::Ne) };
    match how {
        Comparison::Eq => order.is_eq(),
        Comparison::Ne => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::Le => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::Ge => order.is_ge(),
    }
}

/// Picks bytes: each four bits of the selector name one of eight, or its sign all over.
fn permute(a: u64, b: u64, selector: u64) -> u64 {
    let bytes = a & 0xFFFF_FFFF | b << 32;
    (0..4).fold(0, |all, at| {
        let name = selector >> (4 * at);
        let byte = bytes >> (8 * (name & 7)) & 0xFF;
        let sign = if byte & 0x80 == 0 { 0 } else { 0xFF };
        all | (if name & 8 == 0 { byte } else { sign }) << (8 * at)
    })
}

//! Who listens on an address: from `/proc`, where it can be read. Only for a message.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";
/// Processes looked through before giving up: this runs once, before an exit.
const PROCESSES_MAX: usize = 100_000;

/// Returns the holder of `address`, such as ``process 12 (`caddy`)``.
pub(super) fn of(address: SocketAddr) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| {
        fs::read_to_string(table).ok()?.lines().skip(1).find_map(|line| inode_of(line, address))
    })?;
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten().take(PROCESSES_MAX);
    let pid = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| holds(*pid, Path::new(&wanted)))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} (`{}`)", name.trim_end()))
}

/// Returns the inode of a line of `/proc/net/tcp{,6}` that keeps `wanted` from being bound.
fn inode_of(line: &str, wanted: SocketAddr) -> Option<u64> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (ip, port) = fields.get(1)?.split_once(':')?;
    if *fields.get(3)? != LISTENING || u16::from_str_radix(port, 16).ok()? != wanted.port() {
        return None;
    }
    let ip = address_of(ip)?;
    let covers = ip == wanted.ip() || ip.is_unspecified() || wanted.ip().is_unspecified();
    if covers { fields.get(9)?.parse().ok() } else { None }
}

/// Reads an address as the kernel prints it: words of four bytes in the machine's order.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes)
    };
    if hex.len() == 8 {
        return Some(IpAddr::V4(Ipv4Addr::from(word(0)?)));
    }
    let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
}

fn holds(pid: u32, socket: &Path) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == socket))
}

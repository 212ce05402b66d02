//! `framegate version`: what this binary is made of and what it can use here.

use std::collections::BTreeMap;

use device::{Device, DeviceConfig};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::out;

/// Most devices of a kind that are looked for: more than any machine has.
const DEVICES_MAX: usize = 16;

/// How it is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    commit: &'static str,
    wasmtime: &'static str,
    /// Library versions by name, and `license`.
    libav: BTreeMap<&'static str, String>,
    device: Vec<DeviceLine>,
}

#[derive(Serialize)]
struct DeviceLine {
    name: String,
    description: String,
}

impl Version {
    fn here() -> Self {
        let libraries = media::libav_versions();
        let mut licenses: Vec<_> = libraries.iter().map(|it| it.license.clone()).collect();
        licenses.sort();
        licenses.dedup();
        let mut libav: BTreeMap<_, _> =
            libraries.into_iter().map(|library| (library.name, library.version)).collect();
        libav.insert("license", licenses.join(", "));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("FRAMEGATE_COMMIT"),
            wasmtime: env!("FRAMEGATE_WASMTIME"),
            libav,
            device: devices(),
        }
    }

    fn text(&self) -> String {
        let libraries = self.libav.iter().filter(|(name, _)| **name != "license");
        let libraries: Vec<_> = libraries.map(|(name, it)| format!("{name} {it}")).collect();
        let license = self.libav.get("license").map_or("", String::as_str);
        let mut lines = vec![
            format!("framegate {} ({})", self.version, self.commit),
            format!("wasmtime  {}", self.wasmtime),
            format!("libav     {} ({license})", libraries.join(", ")),
        ];
        let device = |line: &DeviceLine| format!("device    {}: {}", line.name, line.description);
        lines.extend(self.device.iter().map(device));
        lines.join("\n")
    }
}

/// Opens what there is: the CPU, then cards by number until one is missing.
fn devices() -> Vec<DeviceLine> {
    let config = DeviceConfig::default();
    let cards = (0..DEVICES_MAX).map(|number| format!("cuda-{number}"));
    let cards = cards.map_while(|name| Device::open(&name, &config).ok());
    let line = |device: Device| DeviceLine {
        name: device.name().to_owned(),
        description: device.description(),
    };
    Device::open("cpu-0", &config).into_iter().chain(cards).map(line).collect()
}

pub(super) fn main(args: &Args) -> Result<Exit, Failure> {
    let version = Version::here();
    if args.json {
        out::json(&version)?
    } else {
        out::line(&version.text())?
    }
    Ok(Exit::Ok)
}

//! `framegate worker`: hosts the sessions of one device. Started by an orchestrator, with the
//! socket to it as standard input. Starts no runtime and writes no log: it tells its parent.

use std::num::NonZeroUsize;

use device::{Device, DeviceConfig, SimdLevel};
use session::ServeOptions;

use super::Common;
use crate::config::env;
use crate::data::DataDir;
use crate::failure::{Exit, Failure};
use crate::out;
use crate::role::policies;

/// Which device.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Device to own, such as `cpu-0`
    #[arg(long, value_name = "DEVICE")]
    device: String,
    /// Say what the device is, and end
    #[arg(long, hide = true)]
    look: bool,
}

pub(super) fn main(args: &Args, common: &Common) -> Result<Exit, Failure> {
    if args.look {
        let device = Device::open(&args.device, &device_config(env::value)?)
            .map_err(|error| Failure::from_error(error.class(), &error))?;
        let taken = device.note().unwrap_or(device.name());
        out::line(&format!("{taken} ({})", device.description()))?;
        return Ok(Exit::Ok);
    }
    // A worker without a place for state works as well, and compiles each time.
    let data = DataDir::find(common.data_dir.as_deref()).ok();
    let options = ServeOptions {
        device: args.device.clone(),
        config: device_config(env::value)?,
        compiler: policies::compiler(),
        cache: data.map(|data| data.cache()),
        stores: env::value(env::STORES).map(Into::into),
    };
    session::serve(&options)
        .map(|()| Exit::Ok)
        .map_err(|error| Failure::from_error(error.class(), &error))
}

/// Reads how a device is opened from the environment: the parent sets it from its configuration.
pub(crate) fn device_config(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<DeviceConfig, Failure> {
    let mut config = DeviceConfig::default();
    if let Some(text) = variable(env::THREADS).filter(|text| text != "0") {
        config.threads = text.parse::<NonZeroUsize>().map_err(|_| {
            Failure::usage(format!("`{}` is `{text}`, not a number of threads", env::THREADS))
        })?;
    }
    if let Some(text) = variable(env::SIMD).filter(|text| text != "auto") {
        let level = SimdLevel::from_name(&text).ok_or_else(|| {
            Failure::usage(format!("`{}` is `{text}`, not a dispatch level", env::SIMD))
                .hint("`auto`, `scalar`, `avx2` or `avx512`")
        })?;
        config.simd = Some(level);
    }
    Ok(config)
}

#[cfg(test)]
#[test]
fn the_environment_says_how_a_device_is_opened() {
    let read = |threads: &str, simd: &str| {
        let (threads, simd) = (threads.to_owned(), simd.to_owned());
        device_config(move |name| match name {
            env::THREADS => Some(threads.clone()),
            env::SIMD => Some(simd.clone()),
            _ => None,
        })
    };
    let config = read("2", "scalar").expect("good");
    assert_eq!((config.threads.get(), config.simd), (2, Some(SimdLevel::Scalar)));
    let config = read("0", "auto").expect("good");
    assert_eq!((config.threads, config.simd), (DeviceConfig::default().threads, None));
    assert!(read("two", "auto").is_err());
    assert!(read("1", "mmx").is_err());
}

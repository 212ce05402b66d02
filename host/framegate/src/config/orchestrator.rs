//! `[orchestrator]`: the compute.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use orchestrator::config::{SLOTS, SURFACE_BYTES_MAX};
use orchestrator::price::{CEILING_PERCENT, FLOOR_PERCENT, STEP_PERCENT};
use plugin::{Limit, Limits as PluginLimits};
use serde::{Deserialize, Serialize};

use super::fallback::{OnFailure, OnFault};
use super::section::section;
use super::units::{Size, Time};

/// Port for gateways, as go-livepeer ships it.
const SERVICE_PORT: u16 = 8935;
/// Port of the admin side, as go-livepeer ships it.
const ADMIN_PORT: u16 = 7935;
/// Shipped price in wei a lot; a tenth of it is still a whole number, so surcharges show.
pub(super) const PRICE_WEI: u64 = 1000;
/// Threads of an encoder unless configured: a 720p30 picture is encoded well within its time, and
/// two sessions share four cores.
const ENCODER_THREADS: u32 = 2;
/// Frames between key frames unless configured: two seconds at 30 a second.
const GOP_FRAMES: u32 = 60;

/// Limits of a pipeline unless configured.
const SHIPPED: PluginLimits = PluginLimits::pipeline();

/// A text that is never printed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "(set)" })
    }
}

/// Instructions that the CPU backend uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Simd {
    /// The best that the CPU has.
    Auto,
    /// None beyond the baseline.
    Scalar,
    /// AVX2.
    Avx2,
    /// AVX-512.
    Avx512,
}

section! {
    /// The orchestrator: owns a device, offers pipelines on it and runs them.
    Orchestrator {
        /// Address for gateways. Port 0: any free one. One beyond this machine needs
        /// `[orchestrator.callers]`.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, SERVICE_PORT));
        /// Address of the admin side.
        admin: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
        /// Host names by which the admin side is called, beside the loopback names.
        admin_hosts: Vec<String> = Vec::new();
        /// URL by which gateways reach it. Empty: `https://` and the address of `listen`.
        service_uri: String = String::new();
        /// Whether `listen` speaks cleartext instead of TLS; on loopback only.
        cleartext: bool = false;
        /// Name that gateways know it by. Empty: the machine's name.
        name: String = String::new();
        /// Where it is, in your own words, such as `"eu-west"`: gateways list it and policies may go by
        /// it. Empty: not said.
        region: String = String::new();
        /// File with a key of 64 hexadecimal digits (`openssl rand -hex 32` makes one) that signs the
        /// offerings document. Empty: it is not signed.
        offerings_key: String = String::new();
        /// Device that sessions run on: `cpu-0`, `cuda-0` and so on, or `auto`, a card if there is one.
        device: String = "cpu-0".to_owned();
        /// Threads of the CPU backend. 0: one a core.
        threads: usize = 0;
        /// Instructions of the CPU backend: `"auto"`, `"scalar"`, `"avx2"` or `"avx512"`.
        simd: Simd = Simd::Auto;
        /// Sessions at a time on the device.
        slots: u32 = SLOTS;
        /// Price of every pipeline that names none of its own, in wei for a lot of 1,000,000
        /// `lv2v-pixel-second`.
        price_wei: u64 = PRICE_WEI;
        /// Plugin that turns this price into a quote. Empty: the price as it is.
        pricing: String = "price-job".to_owned();
        /// JSON document for that plugin. Empty: its defaults.
        pricing_config: String = String::new();
        /// What happens where it faults: `"native"`, the price as it is; `"refuse"`, no offer; or
        /// `"previous-version"`, the next key's plugin prices. A charge is always made.
        pricing_on_fault: OnFault = OnFault::Native;
        /// Plugin for `"previous-version"`: its id, or its folder where that has a `/`.
        pricing_previous: String = String::new();
        /// Least quote, in percent of a pipeline's price.
        price_floor_percent: u32 = FLOOR_PERCENT;
        /// Greatest quote, in percent of a pipeline's price.
        price_ceiling_percent: u32 = CEILING_PERCENT;
        /// Greatest change from one quote to the next, in percent of a pipeline's price.
        price_step_percent: u32 = STEP_PERCENT;
        /// Time that sessions have to end after a stop was asked for.
        drain: Time = Time::secs(25);
    }
}

section! {
    /// Who may use an orchestrator that listens beyond this machine. Exactly one of them.
    Callers {
        /// Anyone.
        any: bool = false;
        /// Those that know this secret.
        secret: Secret = Secret::default();
        /// Those that call from these addresses, such as `"192.0.2.7"`, or from this machine.
        addresses: Vec<IpAddr> = Vec::new();
    }
}

section! {
    /// How pictures are encoded.
    Encoder {
        /// Encoder by its name in libav: `"libx264"`, `"libopenh264"`, `"h264_nvenc"`.
        codec: String = "libx264".to_owned();
        /// Its preset, speed against size. Empty: for an encoder without presets.
        preset: String = "veryfast".to_owned();
        /// Quality: 0 is best, 51 is worst.
        quality: u32 = 23;
        /// Threads of one session's encoder.
        threads: u32 = ENCODER_THREADS;
        /// Most frames from one key frame to the next: so long may a new reader wait.
        gop_frames: u32 = GOP_FRAMES;
        /// Whether each picture comes out at once, at the cost of size.
        low_latency: bool = true;
    }
}

section! {
    /// Limits of one session. Those of one plugin, in `[plugins.limits.ID]`, go before them.
    Limits {
        /// Time of a plugin for one frame, its host operations not counted.
        frame_budget: Time = Time(SHIPPED.get(Limit::FrameBudget) / 1000);
        /// Frames that a plugin may keep.
        frames: u64 = SHIPPED.get(Limit::Frames);
        /// Host operations that one call may ask for.
        ops: u64 = SHIPPED.get(Limit::Ops);
        /// Memory for pictures.
        surfaces: Size = Size(SURFACE_BYTES_MAX);
    }
}

section! {
    /// One offered pipeline, by its plugin's id. Without any, every one that is found is offered.
    Pipeline {
        /// Price in wei a lot. 0: `orchestrator.price_wei`.
        price_wei: u64 = 0;
        /// Whether the same input gives the same pictures, bit for bit, as you tested it.
        deterministic: bool = false;
        /// What happens to a session when it faults: `"end"`; `"passthrough"`, pictures pass as they
        /// came until a fresh instance takes the next one, and to the end once it faulted 4 times
        /// without a good minute between; `"previous-version"`, the same, but then the next key's
        /// plugin takes over.
        on_failure: OnFailure = OnFailure::End;
        /// Plugin for `"previous-version"`: its id, or its folder where that has a `/`.
        previous: String = String::new();
    }
}

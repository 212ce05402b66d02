//! Measurements against a baseline, in pairs, in one run.
//!
//! A measurement and its baseline are taken in turn (A B B A …), each pair gives one ratio, and the
//! median of the ratios is reported with a bootstrap interval. What is too noisy to say is called
//! `noisy`, and no ratio is claimed. Nothing here decides whether a ratio is good enough.

mod bare;
mod channels;
mod clock;
mod code;
mod first;
mod floor;
mod fresh;
mod idle;
mod isolation;
mod kernel;
mod line;
mod live;
mod livepeer;
mod machine;
mod op;
mod pair;
mod peer;
mod pick;
mod place;
mod policy;
mod sketch;
mod stats;

pub use line::{Line, table};
pub use place::build_program;
pub use stats::Interval;

use serde_json::Value;

/// One thing that can be measured.
#[derive(Debug, Clone, Copy)]
pub struct Bench {
    /// Name, such as `policy.call`.
    pub id: &'static str,
    /// What is compared with what.
    pub what: &'static str,
    /// Whether it runs the program, which `FRAMEGATE_BIN` then names.
    pub uses_program: bool,
    /// Measures it; several lines if it has several figures.
    pub run: fn() -> Result<Vec<Line>, Skipped>,
}

/// Why something cannot be measured here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Skipped(pub String);

impl Skipped {
    fn of(error: impl std::error::Error + 'static) -> Self {
        Self(domain::chain(&error))
    }
}

/// Makes the measurement of one op.
macro_rules! op {
    ($name:literal) => {
        Bench {
            id: concat!("op.", $name),
            what: "an op on 1080p on one thread, over a memcpy of the bytes that it moves",
            uses_program: false,
            run: || kernel::run($name),
        }
    };
}

/// Everything that can be measured.
pub const BENCHES: &[Bench] = &[
    Bench {
        id: "policy.call",
        what: "a no-op pick through host/plugin, over a bare typed call",
        uses_program: false,
        run: policy::run,
    },
    Bench {
        id: "policy.pick",
        what: "a pick of choose-orchestrator over 10 to 10,000 candidates, over the same natively",
        uses_program: false,
        run: pick::run,
    },
    Bench {
        id: "policy.livepeer",
        what: "a pick of choose-like-livepeer over 10 to 1,000, over the rule evaluated per pick",
        uses_program: false,
        run: livepeer::run,
    },
    Bench {
        id: "trickle.idle_kib",
        what: "memory of an open channel that nobody uses, over the 8 KiB that it may hold",
        uses_program: false,
        run: channels::run,
    },
    Bench {
        id: "plugin.fresh",
        what: "a new policy instance, prepared and asked once, over the same in a bare engine",
        uses_program: false,
        run: fresh::run,
    },
    Bench {
        id: "plugin.idle_kib",
        what: "memory of one of 1,000 instances that wait, over the 16 KiB that it may take",
        uses_program: false,
        run: idle::run,
    },
    Bench {
        id: "plugin.cold",
        what: "from bytes to code by a compiling child, kept, over Component::new",
        uses_program: true,
        run: code::cold,
    },
    Bench {
        id: "plugin.cached",
        what: "from bytes to code by a sealed entry of the cache, over a bare deserialize",
        uses_program: true,
        run: code::cached,
    },
    Bench {
        id: "pipeline.op",
        what: "a no-op host op called by a guest, over a bare import",
        uses_program: false,
        run: op::run,
    },
    op!("convert"),
    op!("resize"),
    Bench {
        id: "op.resize.zimg",
        what: "resize of 1080p to 720p by Lanczos on one thread, over zimg's",
        uses_program: false,
        run: || peer::resize(peer::Library::Zimg),
    },
    Bench {
        id: "op.resize.swscale",
        what: "resize of 1080p to 720p by Lanczos on one thread, over swscale's",
        uses_program: false,
        run: || peer::resize(peer::Library::Swscale),
    },
    Bench {
        id: "op.resize.fast_image_resize",
        what: "resize of 1080p to 720p by Lanczos on one thread, over fast_image_resize's",
        uses_program: false,
        run: peer::fast_image_resize,
    },
    Bench {
        id: "op.libyuv",
        what: "convert and box-blur on 1080p on one thread, over libyuv's",
        uses_program: false,
        run: peer::libyuv,
    },
    op!("pad"),
    op!("rotate"),
    op!("flip"),
    op!("box-blur"),
    op!("gaussian-blur"),
    op!("blur-areas"),
    op!("pixelate-areas"),
    op!("edges"),
    op!("convolve"),
    op!("denoise"),
    op!("apply-lut"),
    op!("color-matrix"),
    op!("threshold"),
    op!("mix"),
    op!("noise"),
    op!("overlay"),
    op!("composite"),
    op!("draw-rects"),
    op!("draw-text"),
    op!("blank"),
    Bench {
        id: "graph.op",
        what: "an op of a graph of ten, over the same op called by itself",
        uses_program: false,
        run: kernel::graph,
    },
    Bench {
        id: "session.sketch720.cpu",
        what: "processor time of a worker session, over ffmpeg with the same look and encoder",
        uses_program: true,
        run: sketch::run,
    },
    Bench {
        id: "live.latency",
        what: "publish to receive through both roles, over decode + one frame + encode",
        uses_program: true,
        run: live::run,
    },
    Bench {
        id: "isolation.guest_p99",
        what: "guest time of eight honest sessions beside a hostile one, over the same without it",
        uses_program: true,
        run: isolation::run,
    },
];

/// Adds `facts` to those about the machine, for the `env` of a line.
fn env(facts: Value) -> Value {
    let mut all = machine::Machine::look().facts();
    if let (Some(all), Value::Object(facts)) = (all.as_object_mut(), facts) {
        all.extend(facts);
    }
    all
}

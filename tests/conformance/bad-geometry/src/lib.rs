//! Asks for pictures that cannot be, then sends one out of another size than it announced.

use framegate_sdk::prelude::*;

struct Guest {
    logo: Option<Frame>,
}

const INK: Color = Color { r: 0, g: 0, b: 0, a: 255 };

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("asks for pictures that cannot be")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        for (width, height) in [(0, 0), (0, 8), (16_385, 8), (u32::MAX, u32::MAX)] {
            assert_eq!(session::set_output_size(width, height), Err(ErrorClass::Invalid));
            assert!(refused(Frame::picture(width, height, &[0; 4])));
        }
        Ok(Self { logo: None })
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        for (width, height) in [(0, 0), (16_385, 8), (u32::MAX, u32::MAX)] {
            assert!(refused(frame.resize(width, height, Sampling::Nearest)));
            assert!(refused(Frame::blank(width, height, "gray", INK)));
        }
        for (x, y, width, height) in [(-1, 0, 8, 8), (0, 0, 0, 0), (0, 0, u32::MAX, u32::MAX)] {
            assert!(refused(frame.crop(Rect { x, y, width, height })));
        }
        assert!(refused(frame.pad([u32::MAX; 4], INK)));
        assert!(refused(frame.convert("no-such-format")));
        assert!(refused(frame.convolve(&[1.0; 7], 0.0)));
        if timing.sequence == 1 {
            let logo = Frame::from_pixels(2, 2, "gray", &[0; 4])?;
            self.logo = Some(logo);
            return Ok(logo.emit());
        }
        Ok(Output::Pass)
    }
}

/// An op that this host has refuses the argument; one that it lacks says so.
fn refused(answer: Result<Frame, ErrorClass>) -> bool {
    matches!(answer, Err(ErrorClass::Invalid | ErrorClass::NotFound | ErrorClass::Exhausted))
}

export_pipeline!(Guest);

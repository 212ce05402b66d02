//! Calls every function that a pipeline can import, and tells the client how each was answered.
//!
//! What the contract says of an answer is asserted here; whether this host can do a thing is not:
//! every name that was not answered with `ok` stands in the event, so that a case can say which.

mod calls;
mod report;

use framegate_sdk::prelude::*;

use calls::{Opened, Shown};
use report::Report;

struct Guest {
    report: Report,
    opened: Opened,
    metric: Option<Metric>,
    first: Option<Frame>,
    readings: Vec<Reading>,
    carried: Vec<u8>,
}

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("calls every function of the pipeline world", r#"{"type":"object"}"#)
    }

    fn start(params: &str) -> Result<Self, SetupError> {
        let mut report = Report::default();
        Document::parse(params)?.finish()?;
        calls::session_facts();
        calls::log();
        let metric = calls::metrics(&mut report);
        calls::session_choices(&mut report);
        calls::kv(&mut report);
        let opened = Opened::open(&mut report);
        report.note("ops.picture", Frame::picture(2, 2, &[255; 16]));
        Ok(Self { report, opened, metric, first: None, readings: Vec::new(), carried: Vec::new() })
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        if let Some(metric) = self.metric {
            metric.update(1.0);
            metric.update(f64::NAN);
        }
        match timing.sequence {
            0 => {
                calls::late(&mut self.report);
                calls::frames(&mut self.report, frame, timing);
                calls::ops(&mut self.report, frame, &self.opened);
                self.readings = calls::asks(&mut self.report, frame, &self.opened);
                calls::pixels(&mut self.report, frame);
                calls::sound(&mut self.report, &self.opened);
                frame.keep()?;
                self.first = Some(frame);
            }
            1 => {
                calls::readings(&mut self.report, &self.readings, &self.opened);
                let emitted = framegate_sdk::pipeline::emit(frame, timing.pts_us - 5_000);
                self.report.note("session.emit", emitted);
                if let Some(first) = self.first.take() {
                    let shown = Shown::of(first);
                    assert_eq!(shown, Shown::of(frame), "a kept frame is what it was");
                    first.release();
                    assert_eq!(first.width(), 0, "a released frame is none");
                }
            }
            _ => {}
        }
        Ok(Output::Pass)
    }

    fn on_params(&mut self, params: &str) -> Result<(), SetupError> {
        Document::parse(params)?.finish()
    }

    fn on_message(&mut self, text: &str) {
        self.report
            .note("message", if text == "hello" { Ok(()) } else { Err(ErrorClass::Invalid) });
    }

    fn stop(&mut self, reason: StopReason) {
        assert_eq!(reason, StopReason::Finished);
        calls::data(&mut self.report);
        let sent = data::send_event(&self.report.event());
        assert_eq!(sent, Ok(()), "{}", log::last_error());
    }
}

impl Carry for Guest {
    fn layout() -> String {
        "call-pipeline/1".to_owned()
    }

    fn save(&mut self) -> Result<Vec<u8>, SetupError> {
        Ok(vec![7; 3])
    }

    fn restore(&mut self, layout: &str, state: &[u8]) -> Result<(), SetupError> {
        assert_eq!(layout, Self::layout());
        self.carried = state.to_vec();
        if self.carried == [7; 3] {
            Ok(())
        } else {
            Err(SetupError::Unsupported(layout.to_owned()))
        }
    }
}

impl Sound for Guest {
    fn on_audio(&mut self, input: audio::Block) -> Result<Option<audio::Block>, FrameError> {
        Ok(Some(input))
    }
}

export_pipeline!(Guest, carry, sound);

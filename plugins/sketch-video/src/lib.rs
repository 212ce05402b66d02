//! Turns live video into a pencil drawing with five host ops a frame.
//!
//! Luma goes through a Laplacian of a Gaussian around white: where a pixel is darker than what
//! surrounds it, the paper gets a line. A curve then leaves faint texture out and darkens what
//! remains. Weights and curves are built when parameters come, so a frame allocates nothing but
//! what passing the weights takes.
//!
//! **Invariant:** a parameter that is refused leaves the drawing as it was.

use framegate_sdk::prelude::*;

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "strength": {"type": "integer", "minimum": 0, "maximum": 300, "default": 100,
      "description": "How readily an edge becomes a line"},
    "contrast": {"type": "integer", "minimum": 0, "maximum": 300, "default": 100,
      "description": "How dark lines are"},
    "shade": {"type": "integer", "minimum": 0, "maximum": 100, "default": 20,
      "description": "How much of the picture's own light and dark shows, in percent"},
    "color": {"type": "integer", "minimum": 0, "maximum": 100, "default": 0,
      "description": "How much of the original shows, in percent"}
  }
}"#;

/// A Laplacian of a Gaussian with sigma of about 1, five by five, in sixteenths; its sum is 0, so
/// an even area stays paper whatever its brightness.
const LINES: [i8; 25] = [
    0, 0, -1, 0, 0, //
    0, -1, -2, -1, 0, //
    -1, -2, 16, -2, -1, //
    0, -1, -2, -1, 0, //
    0, 0, -1, 0, 0,
];
/// What `strength` 100 multiplies the sixteenths by: soft outlines of a moving picture, where one
/// pixel differs from its surroundings by a few levels, are then clear lines.
const GAIN: f32 = 8.0;
/// Ink up to here is noise and texture, and stays paper.
const FAINT: i64 = 20;
/// Brightness of the paper.
const PAPER: u8 = 250;

#[derive(Debug, Clone, PartialEq)]
struct Look {
    weights: [f32; 25],
    curve: [u8; 256],
    shade: u8,
    color: u8,
}

impl Look {
    fn parse(params: &str) -> Result<Self, SetupError> {
        let mut document = Document::parse(params)?;
        let strength = document.integer("strength", 100, 0..=300)?;
        let contrast = document.integer("contrast", 100, 0..=300)?;
        let shade = document.integer("shade", 20, 0..=100)?;
        let color = document.integer("color", 0, 0..=100)?;
        document.finish()?;
        let scale = GAIN * strength as f32 / (16.0 * 100.0);
        Ok(Self {
            weights: LINES.map(|weight| f32::from(weight) * scale),
            curve: std::array::from_fn(|level| tone(level, contrast)),
            shade: of_255(shade),
            color: of_255(color),
        })
    }
}

/// Returns the brightness that line level `level` (255: no line) is drawn in.
fn tone(level: usize, contrast: i64) -> u8 {
    let ink = 255 - i64::try_from(level).unwrap_or(255);
    let dark = (ink - FAINT).max(0) * contrast * 6 / 500;
    u8::try_from((i64::from(PAPER) - dark).max(0)).unwrap_or(PAPER)
}

fn of_255(percent: i64) -> u8 {
    u8::try_from((percent * 255 + 50) / 100).unwrap_or(u8::MAX)
}

struct Sketch {
    look: Look,
    tone: Lut,
}

impl Sketch {
    fn with(look: Look) -> Result<Self, SetupError> {
        let curves: Vec<u8> = look.curve.iter().copied().cycle().take(3 * 256).collect();
        let tone = Lut::from_curves(&curves)?;
        Ok(Self { look, tone })
    }
}

impl Pipeline for Sketch {
    fn describe() -> PluginInfo {
        info!("live pencil drawing", SCHEMA)
    }

    fn start(params: &str) -> Result<Self, SetupError> {
        Self::with(Look::parse(params)?)
    }

    fn on_frame(&mut self, frame: Frame, _timing: &FrameTiming) -> Result<Output, FrameError> {
        let gray = frame.convert("gray")?;
        let lines = gray.convolve(&self.look.weights, 255.0)?;
        let mut drawing = lines.apply_lut(&self.tone)?;
        if self.look.shade > 0 {
            drawing = drawing.mix(gray, self.look.shade)?;
        }
        drawing = drawing.convert("yuv420p")?;
        if self.look.color > 0 {
            drawing = drawing.mix(frame.convert("yuv420p")?, self.look.color)?;
        }
        Ok(drawing.emit())
    }

    fn on_params(&mut self, params: &str) -> Result<(), SetupError> {
        *self = Self::with(Look::parse(params)?)?;
        Ok(())
    }
}

export_pipeline!(Sketch);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_area_is_paper_and_an_edge_is_a_line() {
        let look = Look::parse("").unwrap();
        let sum: f32 = look.weights.iter().sum();
        assert_eq!(sum, 0.0, "an even area changes nothing");
        assert_eq!(look.curve[255], PAPER);
        assert_eq!(look.curve[255 - 20], PAPER, "texture stays paper");
        assert!(look.curve[128] < 140, "an edge is dark: {}", look.curve[128]);
        assert!(look.curve.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn parameters_change_the_look_and_wrong_ones_are_refused() {
        let soft = Look::parse(r#"{"contrast":40,"shade":30,"color":100}"#).unwrap();
        assert!(soft.curve[128] > Look::parse("").unwrap().curve[128]);
        assert_eq!((soft.shade, soft.color), (77, 255));
        assert!(Look::parse(r#"{"strength":301}"#).is_err());
        assert!(Look::parse(r#"{"ink":1}"#).is_err());
    }
}

//! Whether a machine can run a model well.

use super::{Kind, Preset};
use crate::hub::{Precision, human_size};

/// What is known of the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Whether a graphics card does the work.
    pub accelerated: bool,
    /// Bytes of main memory, where the system tells.
    pub memory: Option<u64>,
}

/// How a model will do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Well,
    /// It runs, but takes its time.
    Slow,
    /// There is not enough memory.
    TooLarge,
}

impl Machine {
    /// The weights that are run here: a graphics card takes 16 bits, the processor 32.
    pub fn precision(&self) -> Precision {
        if self.accelerated { Precision::Half } else { Precision::Full }
    }

    /// How a preset will do, and that in words.
    pub fn fit(&self, preset: &Preset) -> (Fit, String) {
        let needed = preset.memory.of(self.precision());
        let size = human_size(needed);
        if self.accelerated {
            let text = format!("Runs on the graphics card with {size} of its memory free");
            return (Fit::Well, text);
        }
        match self.memory {
            // The system and other programs need some, too.
            Some(memory) if needed > memory / 10 * 9 => {
                let here = human_size(memory);
                let text = format!(
                    "Wants {size} of memory; this machine has {here}. A memory budget makes it \
                     fit, and slower"
                );
                (Fit::TooLarge, text)
            }
            _ if matches!(preset.kind, Kind::Model(_) | Kind::Prior) => {
                let text = format!(
                    "Runs here on the processor, in minutes rather than seconds; {size} of memory"
                );
                (Fit::Slow, text)
            }
            _ => (Fit::Well, format!("Runs well here; {size} of memory")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::preset;

    #[test]
    fn a_machine_says_what_it_can_run() {
        let of = |accelerated, memory| Machine { accelerated, memory };
        let small = preset("sd15-inpainting").unwrap();
        let large = preset("sdxl-inpainting").unwrap();
        let laptop = of(false, Some(16_000_000_000));
        assert_eq!(laptop.fit(small).0, Fit::Slow);
        assert_eq!(laptop.fit(large).0, Fit::TooLarge);
        assert!(laptop.fit(large).1.contains("16.0 GB"));
        assert_eq!(of(true, None).fit(large).0, Fit::Well);
        assert_eq!(of(false, None).fit(large).0, Fit::Slow);
        assert_eq!(laptop.fit(preset("taesd").unwrap()).0, Fit::Well);
        assert_eq!(of(true, None).precision(), Precision::Half);
    }
}

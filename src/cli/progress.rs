//! The progress bar, on a terminal only.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::{Loading, PassNumber, Progress};

/// Shows how far a run has come, or nothing.
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// Nothing is shown when `quiet`, or when nobody watches.
    pub fn new(quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(100);
        if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:30} {pos}/{len}") {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    pub fn loading(&self, loading: &Loading) {
        let Some(bar) = &self.0 else { return };
        bar.set_message(loading.what.clone());
        bar.set_length(100);
        bar.set_position((loading.fraction.unwrap_or(0.0) * 100.0) as u64);
    }

    pub fn step(&self, progress: &Progress) {
        let Some(bar) = &self.0 else { return };
        bar.set_length(progress.total as u64);
        bar.set_position(progress.step as u64);
        let PassNumber { number, of } = progress.pass;
        let pass = if of > 1 { format!("pass {number} of {of}, ") } else { String::new() };
        bar.set_message(format!("{pass}{:.0} s left", progress.remaining.as_secs_f64()));
    }

    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

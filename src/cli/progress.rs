//! The progress bar, on a terminal only.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    engine::{Loading, PassNumber, Progress},
    hub,
};

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

/// Shows how far a download has come, or nothing.
pub struct TransferBar(Option<ProgressBar>);

impl TransferBar {
    /// Nothing is shown when `quiet`, or when nobody watches.
    pub fn new(quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(1);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {msg}") {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    pub fn listing(&self, repository: &str) {
        let Some(bar) = &self.0 else { return };
        bar.set_prefix(repository.to_owned());
        bar.set_message("asking the hub");
    }

    pub fn progress(&self, progress: &hub::Progress) {
        let Some(bar) = &self.0 else { return };
        bar.set_length(progress.total.max(1));
        bar.set_position(progress.done);
        bar.set_message(progress.words());
    }

    /// Bytes read, of those to be read.
    pub fn reading(&self, name: &str, done: u64, total: u64) {
        let Some(bar) = &self.0 else { return };
        bar.set_prefix(name.to_owned());
        bar.set_length(total.max(1));
        bar.set_position(done);
    }

    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

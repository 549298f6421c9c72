//! Where in its schedule a scheduler stands.

/// The place of the next step: where the pipeline said that the run begins (or at the top), and on
/// from there. Timesteps alone would not do, because several steps may share one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StepIndex {
    begin: Option<usize>,
    current: Option<usize>,
}

impl StepIndex {
    pub fn set_begin(&mut self, index: usize) {
        self.begin = Some(index);
    }

    /// The place of the current step.
    pub fn current(&self) -> usize {
        self.current.or(self.begin).unwrap_or(0)
    }

    /// One step on.
    pub fn advance(&mut self) {
        self.current = Some(self.current() + 1);
    }

    /// The place whose noise level `add_noise` takes: where the run stands. Without a run, the
    /// first one at `timestep`.
    pub fn noise_level(&self, timesteps: &[f64], timestep: f64) -> usize {
        if self.begin.is_some() {
            return self.current();
        }
        timesteps.iter().position(|t| *t == timestep).unwrap_or(timesteps.len().saturating_sub(1))
    }
}

//! Where in its schedule a scheduler stands.

/// The place of the next step. Before the first step it is found from the timestep, unless a
/// pipeline has said where the run begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StepIndex {
    begin: Option<usize>,
    current: Option<usize>,
}

impl StepIndex {
    pub fn set_begin(&mut self, index: usize) {
        self.begin = Some(index);
    }

    /// The place of the step at `timestep`, fixed by the first call.
    pub fn locate(&mut self, timesteps: &[f64], timestep: f64) -> usize {
        let index = self.current.or(self.begin).unwrap_or_else(|| position(timesteps, timestep));
        self.current = Some(index);
        index
    }

    /// One step on.
    pub fn advance(&mut self) {
        self.current = self.current.map(|index| index + 1);
    }

    /// The place whose noise level `add_noise` takes: where the run stands, or begins.
    pub fn noise_level(&self, timesteps: &[f64], timestep: f64) -> usize {
        match (self.begin, self.current) {
            (None, _) => position(timesteps, timestep),
            (Some(_), Some(current)) => current,
            (Some(begin), None) => begin,
        }
    }
}

/// The second place that holds `timestep` where several do: a run that starts in the middle of a
/// second-order schedule must not begin with the second half of a step.
fn position(timesteps: &[f64], timestep: f64) -> usize {
    let mut places = timesteps.iter().enumerate().filter(|(_, t)| **t == timestep);
    let first = places.next();
    places.next().or(first).map_or(timesteps.len().saturating_sub(1), |(place, _)| place)
}

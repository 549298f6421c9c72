//! What the inference thread is doing, as far as its events told.

use std::sync::Arc;

use super::widgets::human_time;
use crate::{
    engine::{Event, EventKind, JobId, Loaded, Loading, Outcome, PassNumber, Preview, Progress},
    render::StagedLayer,
};

/// The job that the window waits for, if any.
#[derive(Default)]
pub struct Jobs {
    running: Option<Running>,
    /// The models in memory after the last run, the last used first.
    pub loaded: Vec<Loaded>,
}

/// A job between its submission and its ending.
pub struct Running {
    pub id: JobId,
    state: State,
    preview: Option<StagedLayer>,
    cancelling: bool,
}

enum State {
    Queued,
    Loading(Loading),
    Step(Progress),
}

/// How a job ended.
pub enum Ending {
    Finished(Arc<Outcome>),
    Cancelled,
    Failed(String),
}

impl Jobs {
    pub fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    pub fn started(&mut self, id: JobId) {
        self.running = Some(Running { id, state: State::Queued, preview: None, cancelling: false });
    }

    /// Notes an event; the job's ending if it is one. Events of other jobs are of no interest.
    pub fn note(&mut self, event: Event) -> Option<Ending> {
        let running = self.running.as_mut().filter(|r| r.id == event.job)?;
        match event.kind {
            EventKind::Queued => running.state = State::Queued,
            EventKind::Loading(loading) => running.state = State::Loading(loading),
            EventKind::Step(progress) => running.state = State::Step(progress),
            EventKind::Finished(outcome) => {
                self.loaded.clone_from(&outcome.loaded);
                return self.end(Ending::Finished(outcome));
            }
            // Nothing that this waits for selects.
            EventKind::Selected(_) => {}
            EventKind::Cancelled => return self.end(Ending::Cancelled),
            EventKind::Failed(why) => return self.end(Ending::Failed(why)),
        }
        None
    }

    /// Keeps a preview; `version` names its contents for the renderer.
    pub fn show_preview(&mut self, preview: Preview, version: u64) {
        if let Some(running) = self.running.as_mut().filter(|r| r.id == preview.job) {
            running.preview = Some(StagedLayer {
                bounds: preview.bounds,
                picture: preview.picture,
                coverage: None,
                version,
            });
        }
    }

    pub fn preview(&self) -> Option<&StagedLayer> {
        self.running.as_ref()?.preview.as_ref()
    }

    pub fn cancelling(&mut self) {
        if let Some(running) = &mut self.running {
            running.cancelling = true;
        }
    }

    fn end(&mut self, ending: Ending) -> Option<Ending> {
        self.running = None;
        Some(ending)
    }
}

impl Running {
    /// What a person reads, and how much is done, 0 to 1.
    pub fn words(&self) -> (String, Option<f32>) {
        if self.cancelling {
            return ("Cancelling ...".to_owned(), None);
        }
        match &self.state {
            State::Queued => ("Waiting ...".to_owned(), None),
            State::Loading(loading) => {
                let pass = of_several(loading.pass).map(|pass| format!("{pass}: "));
                (format!("{}{} ...", pass.unwrap_or_default(), loading.what), loading.fraction)
            }
            State::Step(p) => {
                let left = if p.step == p.total {
                    "decoding".to_owned()
                } else {
                    format!("{} left", human_time(p.remaining))
                };
                let fraction = p.step as f32 / p.total.max(1) as f32;
                let steps = format!("{} of {}, {left}", p.step, p.total);
                let text = match of_several(p.pass) {
                    Some(pass) => format!("{pass}, step {steps}"),
                    None => format!("Step {steps}"),
                };
                (text, Some(fraction))
            }
        }
    }
}

/// "Pass 2 of 3", where there are several.
fn of_several(PassNumber { number, of }: PassNumber) -> Option<String> {
    (of > 1).then(|| format!("Pass {number} of {of}"))
}

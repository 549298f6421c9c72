//! Keeps the journal of the open document, and brings back what a program that was killed left.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    App, background::RestoredSession, launch::Options, panels::tool_options::BrushSettings,
};
use crate::{
    document::journal::{self, Folder, Journal, JournalEvent, Place, State},
    engine::Request,
};

/// How often the document is looked at, in seconds: what is lost at most, and the time to write it.
const INTERVAL_SECS: f64 = 0.25;

/// The journal of the open document, if one is kept.
#[derive(Default)]
pub struct Keeping {
    /// Where journals lie; `None` keeps none.
    root: Option<PathBuf>,
    journal: Option<Journal>,
    /// The folder that the document was restored from.
    adopted: Option<Folder>,
    /// What was handed over last, or what the document was opened as.
    last: Option<Box<State>>,
    /// `egui` time before which the document is not looked at.
    next_look: f64,
}

/// What is kept beside the document.
#[derive(Serialize, Deserialize)]
struct Session {
    request: Request,
    /// Shown while the next seed is random.
    seed: u64,
    brush: BrushSettings,
    saved_to: Option<PathBuf>,
}

impl Keeping {
    pub fn new(root: Option<PathBuf>) -> Self {
        Self { root, ..Self::default() }
    }

    /// Another document is open: what is kept of the last one is not needed any more.
    fn close(&mut self) {
        (self.adopted, self.last) = (None, None);
        let Some(journal) = self.journal.take() else { return };
        // A large picture may be half-way to the disk; the window does not wait for that.
        let spawned = std::thread::Builder::new()
            .name("journal remover".into())
            .spawn(move || journal.remove());
        if let Err(why) = spawned {
            log::warn!("a journal that is not needed stays: {why}");
        }
    }

    /// Hands the state over if it is new; false if it must be offered again.
    fn offer(
        &mut self,
        state: Box<State>,
        has_file: bool,
        wake: journal::Wake,
    ) -> Result<bool, String> {
        if self.last.as_ref().is_some_and(|last| last.is_same(&state)) {
            return Ok(true);
        }
        let fresh = self.journal.is_none() && self.adopted.is_none() && self.last.is_none();
        if fresh && has_file {
            // As it is in its file: there is nothing to lose yet.
            self.last = Some(state);
            return Ok(true);
        }
        if self.journal.is_none() {
            let Some(root) = &self.root else { return Ok(true) };
            let place =
                self.adopted.take().map_or_else(|| Place::New(root.clone()), Place::Adopted);
            self.journal = Some(Journal::start(place, wake).map_err(|why| why.to_string())?);
        }
        let handed = state.clone();
        let taken = self.journal.as_ref().is_some_and(|journal| journal.offer(handed).is_ok());
        if taken {
            self.last = Some(state);
        }
        Ok(taken)
    }
}

impl App {
    /// Opens what an earlier window left behind, or what the command line named.
    pub(super) fn begin_session(&mut self, options: Options) {
        let root = options.state.as_ref().map(|state| state.join("journal"));
        let mut left = root.as_deref().map(journal::left_behind).unwrap_or_default();
        self.keeping = Keeping::new(root);
        if options.picture.is_some() || left.is_empty() {
            let kept = left.len();
            self.apply_options(options);
            if kept > 0 {
                self.complain(
                    "An earlier window ended with a picture that was not saved. It is kept: start \
                     Overpaint without naming a picture to get it back.",
                );
            }
            return;
        }
        self.apply_options(Options { empty: true, ..options });
        self.background.restore(left.remove(0));
    }

    /// Looks whether something is new, and hands it to the journal's thread.
    pub(super) fn keep_journal(&mut self, ctx: &egui::Context) {
        let events: Vec<_> =
            self.keeping.journal.iter().flat_map(|journal| journal.events()).collect();
        for event in events {
            if let JournalEvent::Failed(why) = event {
                self.complain(format!(
                    "Work is not being kept safe ({why}): save the picture, and see that the disk \
                     has room."
                ));
            }
        }
        let Some(document) = &self.document else { return };
        if self.keeping.root.is_none() {
            return;
        }
        let now = ctx.input(|i| i.time);
        let wait = self.keeping.next_look - now;
        if wait > 0.0 {
            return ctx.request_repaint_after(std::time::Duration::from_secs_f64(wait));
        }
        self.keeping.next_look = now + INTERVAL_SECS;
        let state = Box::new(State::of(document, self.session()));
        let has_file = document.metadata.path.is_some() && !document.is_modified();
        let waker = ctx.clone();
        match self.keeping.offer(state, has_file, Arc::new(move || waker.request_repaint())) {
            Ok(true) => {}
            Ok(false) => {
                ctx.request_repaint_after(std::time::Duration::from_secs_f64(INTERVAL_SECS));
            }
            Err(why) => self.complain(format!("Work is not being kept safe: {why}")),
        }
    }

    /// The document is another one, which no journal keeps yet.
    pub(super) fn begin_journal(&mut self) {
        self.keeping.close();
    }

    /// The window closes with nothing to lose: nothing needs to be brought back.
    pub(super) fn end_journal(&mut self) {
        self.keeping.adopted = None;
        if let Some(journal) = self.keeping.journal.take() {
            journal.remove();
        }
    }

    /// Shows what was brought back.
    pub(super) fn restored(
        &mut self,
        ctx: &egui::Context,
        restored: Result<Box<RestoredSession>, String>,
    ) {
        let RestoredSession { folder, restored } = match restored {
            Ok(restored) => *restored,
            Err(why) => {
                self.complain(why);
                return self.open_sample();
            }
        };
        self.open_document(restored.document);
        self.keeping.adopted = Some(folder);
        if let Ok(session) = serde_json::from_str::<Session>(&restored.session) {
            self.adopt(&session.request);
            self.settings.seed = session.seed;
            self.brush = session.brush;
            self.saved_to = session.saved_to;
        }
        if restored.damage.lost_something() {
            self.complain(format!(
                "Restored what was open when Overpaint ended. Its journal was damaged; missing: {}",
                restored.damage
            ));
        } else {
            self.tell(ctx, "Restored what was open when Overpaint ended");
        }
    }

    fn session(&self) -> String {
        let mut request = self.settings.request();
        request.controlnets = self.settings.controls.iter().map(|c| c.keep()).collect();
        let session = Session {
            request,
            seed: self.settings.seed,
            brush: self.brush.clone(),
            saved_to: self.saved_to.clone(),
        };
        serde_json::to_string(&session).unwrap_or_default()
    }
}

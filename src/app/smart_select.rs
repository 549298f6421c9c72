//! Smart select: clicks that are gathered, sent to the inference thread, and what comes back put
//! into the mask.

use std::path::PathBuf;

use super::App;
use crate::{
    catalog::selector,
    document::{
        Combine, Document, MaskTiles, PictureTiles,
        tools::{Phase, PointerEvent},
    },
    engine::{Click, Device, Event, EventKind, JobId, SelectRequest, Selected},
};

/// The tool's settings and the object that is being selected.
#[derive(Default)]
pub struct SmartSelect {
    /// How the next object joins the mask.
    pub how: Combine,
    weights: Option<PathBuf>,
    object: Option<Object>,
    job: Option<Running>,
}

/// An object that further clicks refine.
struct Object {
    clicks: Vec<Click>,
    how: Combine,
    picture: PictureTiles,
    /// The mask before it was selected.
    before: MaskTiles,
    /// The mask as its last answer left it. Once the mask is another, the object is done with.
    after: MaskTiles,
}

struct Running {
    id: JobId,
    /// What the thread says that it does.
    words: String,
}

impl Object {
    fn is_of(&self, document: &Document) -> bool {
        self.picture.is_same(document.picture()) && self.after.is_same(document.mask())
    }
}

impl SmartSelect {
    pub fn new() -> Self {
        Self { weights: selector::weights(), ..Self::default() }
    }

    /// Whether there are weights; without them the tool is not offered.
    pub fn is_available(&self) -> bool {
        self.weights.is_some()
    }

    /// Looks for the weights again; false if there are none.
    pub fn find_weights(&mut self) -> bool {
        self.weights = selector::weights();
        self.is_available()
    }

    /// What is going on, for a person.
    pub fn words(&self) -> Option<&str> {
        self.job.as_ref().map(|job| job.words.as_str())
    }

    /// The clicks on the object that is being selected in this document.
    pub fn clicks(&self, document: &Document) -> &[Click] {
        self.object.as_ref().filter(|o| o.is_of(document)).map_or(&[], |o| o.clicks.as_slice())
    }

    /// Ends the refining: the next click is another object's.
    pub fn forget(&mut self) {
        self.object = None;
    }

    /// Takes a click. Says what is missing where it leads nowhere.
    fn click(&mut self, click: Click, document: &Document) -> Result<(), &'static str> {
        if !self.object.as_ref().is_some_and(|object| object.is_of(document)) {
            self.object = None;
        }
        if self.object.is_none() && !click.inside {
            return Err("Click on an object first; Alt+click then takes a part away from it.");
        }
        let how = self.how;
        let object = self.object.get_or_insert_with(|| Object {
            clicks: Vec::new(),
            how,
            picture: document.picture().clone(),
            before: document.mask().clone(),
            after: document.mask().clone(),
        });
        object.clicks.push(click);
        Ok(())
    }

    /// Takes an event if it is this tool's; its answer or its failure ends the job.
    pub fn note(&mut self, event: &Event) -> Option<Result<std::sync::Arc<Selected>, String>> {
        let running = self.job.as_mut().filter(|job| job.id == event.job)?;
        match &event.kind {
            EventKind::Loading(loading) => running.words = format!("{} ...", loading.what),
            EventKind::Selected(selected) => {
                self.job = None;
                return Some(Ok(selected.clone()));
            }
            EventKind::Failed(why) => {
                (self.job, self.object) = (None, None);
                return Some(Err(why.clone()));
            }
            EventKind::Cancelled => self.job = None,
            EventKind::Queued | EventKind::Step(_) | EventKind::Finished(_) => {}
        }
        None
    }
}

impl App {
    /// Lets the thread look at the picture before the first click.
    pub(super) fn prepare_smart_select(&mut self) {
        self.smart_select.forget();
        self.send_selection(Vec::new());
    }

    /// The tool's part of a frame's input.
    pub(super) fn select_with(&mut self, events: &[PointerEvent]) {
        for event in events.iter().filter(|event| event.phase == Phase::Down) {
            let Some(document) = &self.document else { return };
            let (x, y) = (event.position.x.floor() as i32, event.position.y.floor() as i32);
            if !document.extent().bounds().contains(x, y) {
                continue;
            }
            let click = Click { position: event.position, inside: !event.modifiers.alt };
            match self.smart_select.click(click, document) {
                Ok(()) => {
                    let clicks = self.smart_select.clicks(document).to_vec();
                    self.send_selection(clicks);
                }
                Err(hint) => self.complain(hint),
            }
        }
    }

    /// Cancels what runs for the tool, and asks anew.
    fn send_selection(&mut self, clicks: Vec<Click>) {
        self.cancel_selection();
        let (Some(document), Some(weights)) = (&self.document, &self.smart_select.weights) else {
            return;
        };
        let request = SelectRequest {
            weights: weights.clone(),
            picture: document.picture().clone(),
            clicks,
            // A run may have all of a graphics card; the processor takes seconds for a look.
            device: Device::Cpu,
        };
        match self.engine.select(request) {
            Ok(id) => self.smart_select.job = Some(Running { id, words: "Waiting ...".into() }),
            Err(why) => self.complain(why.to_string()),
        }
    }

    /// Stops what runs for the tool; false if nothing does.
    pub(super) fn cancel_selection(&mut self) -> bool {
        let running = self.smart_select.job.take();
        if let Some(job) = &running {
            self.engine.cancel(job.id);
        }
        running.is_some()
    }

    /// Puts an answer into the mask, unless picture or mask have changed since the click.
    pub(super) fn selected(&mut self, selected: &Selected) {
        let (Some(document), Some(mask)) = (&mut self.document, &selected.mask) else { return };
        let object = self.smart_select.object.take().filter(|object| object.is_of(document));
        let Some(mut object) = object else { return };
        match document.combine_mask("Smart select", &object.before, mask, object.how) {
            Ok(_effects) => {
                object.after = document.mask().clone();
                self.smart_select.object = Some(object);
            }
            Err(why) => self.complain(why.to_string()),
        }
    }
}

/// What to do where there are no weights.
pub fn missing_weights() -> String {
    let folder = crate::catalog::places::model_folders().pop();
    let folder = folder.map_or_else(|| "a model folder".to_owned(), |f| f.display().to_string());
    format!(
        "Smart select needs the weights of Segment Anything: {}. Put the file into {folder}, then \
         press W.",
        selector::SOURCE
    )
}

//! A window on a scripted model.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use egui_kittest::Harness;
use overpaint::{
    app::{App, Options},
    engine::{
        Backend, Engine, EngineError, Generated, ImageSource, Monitor, Outcome, Recording, Request,
        SelectRequest, Selected,
    },
    geometry::Bounds,
    pixels::{
        Mask, Picture,
        blend::{Hole, Inlay, InnerSides, composite},
    },
};

/// Far longer than any wait here lasts; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stands in the panel as the chosen model; the script runs in its place.
const MODEL: &str = "tests/fixtures/parity/models/inpaint-pndm";

/// Repaints the marked part in one colour. Takes a step whenever the test lets it; the prompt
/// "fail" fails.
struct Scripted {
    go: Arc<Mutex<Receiver<()>>>,
    seen: SyncSender<Request>,
    selections: SyncSender<SelectRequest>,
}

pub const SCRIPTED_SEED: u64 = 4711;
pub const SCRIPTED_COLOUR: [u8; 3] = [40, 160, 90];

impl Backend for Scripted {
    fn run(
        &mut self,
        request: &Request,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome, EngineError> {
        // A test that does not look at requests leaves them here.
        let _ = self.seen.try_send(request.clone());
        if request.prompt == "fail" {
            return Err(EngineError::failed("the script failed: write another prompt"));
        }
        let size = || request.canvas.expect("a new picture has the size of the canvas");
        let picture = request.image.as_ref().map_or_else(|| Picture::new(size()), make);
        let whole = || {
            let mut mask = Mask::new(picture.extent());
            mask.bytes_mut().fill(u8::MAX);
            mask
        };
        let mask = request.mask.as_ref().map_or_else(whole, make);
        let mut raw = Picture::new(picture.extent());
        for pixel in raw.bytes_mut().chunks_exact_mut(4) {
            pixel[..3].copy_from_slice(&SCRIPTED_COLOUR);
            pixel[3] = 255;
        }
        let bounds = picture.extent().bounds();
        let inner_sides = InnerSides::default();
        let hole = Hole { painted: Arc::new(mask), strength: request.strength(), inner_sides };
        let inlay = Inlay { raw: Arc::new(raw), hole };
        let blended = inlay.blended(&picture, &request.blend);
        let composite = Arc::new(composite(&picture, &blended.layer, &blended.composite_mask));
        monitor.step(0, request.num_inference_steps)?;
        for step in 1..=request.num_inference_steps {
            // A closed channel means that the test is over.
            let _ = self.go.lock().unwrap().recv();
            monitor.preview(step, bounds, Arc::clone(&composite));
            monitor.step(step, request.num_inference_steps)?;
        }
        Ok(Outcome {
            notes: Vec::new(),
            seed: request.seed.unwrap_or(SCRIPTED_SEED),
            images: vec![Generated {
                bounds,
                layer: Arc::new(blended.layer),
                composite_mask: Some(Arc::new(blended.composite_mask)),
                inlay: Some((inlay, request.blend)),
                picture: composite,
            }],
            elapsed: Duration::ZERO,
            request: request.clone(),
            recording: Recording::default(),
            foreseen_bytes: None,
            loaded: Vec::new(),
        })
    }

    /// A square around the first click.
    fn select(
        &mut self,
        request: &SelectRequest,
        monitor: &mut dyn Monitor,
    ) -> Result<Selected, EngineError> {
        let _ = self.selections.try_send(request.clone());
        monitor.loading("Looking at the picture", None)?;
        let Some(first) = request.clicks.first() else { return Ok(Selected { mask: None }) };
        let mut mask = Mask::new(request.picture.extent());
        let half = SELECTED_SIDE as i32 / 2;
        let (x, y) = (first.position.x as i32 - half, first.position.y as i32 - half);
        let square = Bounds::new(x, y, SELECTED_SIDE, SELECTED_SIDE);
        let square = square.intersect(mask.extent().bounds());
        for row in square.y..square.bottom() {
            mask.row_mut(row as u32)[square.x as usize..square.right() as usize].fill(255);
        }
        Ok(Selected { mask: Some(Arc::new(mask)) })
    }
}

/// Side of the square that the script selects, in picture pixels.
pub const SELECTED_SIDE: u32 = 40;

fn make<T: Clone>(source: &ImageSource<T>) -> T {
    match source {
        ImageSource::Memory(value) => T::clone(value),
        ImageSource::Deferred(deferred) => deferred.make(),
        _ => panic!("the window sends pictures and masks in memory"),
    }
}

/// A window and the strings that move its script.
pub struct Stage {
    /// Dropped before the window: the script then waits for nothing while the engine joins.
    go: SyncSender<()>,
    seen: Receiver<Request>,
    selections: Receiver<SelectRequest>,
    pub window: Harness<'static, App>,
}

impl Stage {
    /// With the sample picture, or with none.
    pub fn new(empty: bool) -> Self {
        Self::build(empty, egui::vec2(1366.0, 768.0), 1.0, false, MODEL)
    }

    /// With another model's folder chosen, below the repository.
    pub fn with_model(empty: bool, model: &str) -> Self {
        Self::build(empty, egui::vec2(1366.0, 768.0), 1.0, false, model)
    }

    /// With a renderer, for pictures.
    pub fn drawn(empty: bool, size: egui::Vec2, pixels_per_point: f32) -> Self {
        Self::build(empty, size, pixels_per_point, true, MODEL)
    }

    /// That keeps what must survive it below `state`, and brings back what lies there.
    pub fn keeping(state: &std::path::Path) -> Self {
        let options = Options { state: Some(state.into()), ..Options::default() };
        Self::open(options, egui::vec2(1366.0, 768.0), 1.0, false, MODEL)
    }

    fn build(
        empty: bool,
        size: egui::Vec2,
        pixels_per_point: f32,
        drawn: bool,
        model: &str,
    ) -> Self {
        let options = Options { empty, ..Options::default() };
        Self::open(options, size, pixels_per_point, drawn, model)
    }

    fn open(
        options: Options,
        size: egui::Vec2,
        pixels_per_point: f32,
        drawn: bool,
        model: &str,
    ) -> Self {
        let (go, gate) = sync_channel(1024);
        let (seen_sender, seen) = sync_channel(16);
        let (selection_sender, selections) = sync_channel(16);
        let gate = Arc::new(Mutex::new(gate));
        let backend = move || -> Box<dyn Backend> {
            Box::new(Scripted {
                go: Arc::clone(&gate),
                seen: seen_sender.clone(),
                selections: selection_sender.clone(),
            })
        };
        let mut builder = Harness::builder()
            .with_size(size)
            .with_pixels_per_point(pixels_per_point)
            .with_max_steps(16);
        if drawn {
            builder = builder.wgpu();
        }
        let model = format!("{}/{model}", env!("CARGO_MANIFEST_DIR"));
        let window = builder.build_eframe(|cc| {
            let ctx = cc.egui_ctx.clone();
            let engine = Engine::start(backend, Arc::new(move || ctx.request_repaint())).unwrap();
            App::new(cc, Options { model: Some(model), ..options }, engine)
        });
        let mut stage = Self { go, seen, selections, window };
        stage.settle();
        stage
    }

    /// Frames until nothing more is asked for; running jobs may keep asking.
    pub fn settle(&mut self) {
        self.window.run_ok();
    }

    /// Lets the script take a step.
    pub fn go(&self) {
        self.go.send(()).unwrap();
    }

    /// The next request that reached the model.
    pub fn request(&self) -> Request {
        self.seen.recv_timeout(PATIENCE).expect("no request reached the model")
    }

    /// The next selection that reached the script.
    pub fn selection(&self) -> SelectRequest {
        self.selections.recv_timeout(PATIENCE).expect("no selection reached the script")
    }

    /// Frames until `done`; panics when that never comes.
    pub fn until(&mut self, what: &str, done: impl Fn(&Harness<'static, App>) -> bool) {
        let started = std::time::Instant::now();
        while !done(&self.window) {
            assert!(started.elapsed() < PATIENCE, "never came: {what}");
            self.window.step();
            std::thread::yield_now();
        }
    }

    /// A stroke on the canvas through these points of the window.
    pub fn stroke(&mut self, points: &[egui::Pos2]) {
        self.window.drag_at(points[0]);
        self.window.step();
        for point in points {
            self.window.hover_at(*point);
            self.window.step();
        }
        self.window.drop_at(points[points.len() - 1]);
        self.window.step();
        self.settle();
    }

    /// The smallest rectangle around the mask.
    pub fn masked(&self) -> Option<overpaint::geometry::Bounds> {
        self.window.state().document()?.mask().bounding_box()
    }
}

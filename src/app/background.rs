//! Work that must not hold up a frame: file dialogs, reading and writing pictures. Each runs on a
//! named thread of its own and its answer comes back through one bounded channel.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use super::{
    commands::Command,
    library::{Ask, Shelf},
    prompt_counts::ReaderKey,
};
use crate::{
    catalog,
    document::{
        Patch, PictureTiles, Snapshot,
        journal::{self, Folder, Restored},
    },
    engine::{
        Handover, PromptReader, Request, handovers,
        prompts::{FoundEmbedding, found_embeddings},
    },
    hub::{Found, Verified},
    pixels::{
        Mask, Picture,
        blend::Blend,
        codec::{self, TextEntry},
    },
};

/// What a dialog was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Open,
    Save,
    ModelFolder,
    ModelFile,
    LoraFolder,
    EmbeddingFolder,
    ControlFolder,
    ControlFile,
    /// For the ControlNet with this number.
    ControlImage(usize),
    AutoencoderFolder,
    AutoencoderFile,
    /// One that is looked through for models of any kind.
    ModelsFolder,
}

impl Purpose {
    /// What a dialog says.
    pub fn title(self) -> &'static str {
        match self {
            Self::Open => "Open a picture",
            Self::Save => "Save the picture",
            Self::ModelFolder => "Use a model folder",
            Self::ModelFile => "Use a model file",
            Self::LoraFolder => "Add a folder of LoRAs",
            Self::EmbeddingFolder => "Add a folder of embeddings",
            Self::ControlFolder => "Use a ControlNet folder",
            Self::ControlFile => "Use a ControlNet file",
            Self::ControlImage(_) => "Steer by a picture",
            Self::AutoencoderFolder => "Use an autoencoder's folder",
            Self::AutoencoderFile => "Use an autoencoder's file",
            Self::ModelsFolder => "Look through a folder for models",
        }
    }

    /// What follows from a choice.
    pub fn command(self, path: PathBuf) -> Command {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        match self {
            Self::Open => Command::OpenPath(path),
            Self::Save => Command::SaveTo(path),
            Self::ModelFolder | Self::ModelFile => Command::UseModel(text(path)),
            Self::LoraFolder => Command::AddLoraFolder(path),
            Self::EmbeddingFolder => Command::AddEmbeddingFolder(path),
            Self::ControlFolder | Self::ControlFile => Command::AddControl(text(path)),
            Self::ControlImage(index) => Command::UseControlImage(index, path),
            Self::AutoencoderFolder | Self::AutoencoderFile => Command::UseAutoencoder(path),
            Self::ModelsFolder => Command::Library(Ask::AddFolder(path)),
        }
    }
}

/// An answer.
pub enum Done {
    /// A dialog was closed with a choice.
    Chosen(Purpose, PathBuf),
    /// A dialog was closed without a choice.
    Dismissed(Purpose),
    /// A dialog could not be shown on this desktop.
    NoDialog(Purpose),
    /// A picture was read, and the mask that was asked for with it.
    Read { path: PathBuf, picture: Result<Picture, String>, mask: Option<Result<Mask, String>> },
    /// A picture was written as it was at `revision` of the document.
    Written { path: PathBuf, result: Result<(), String>, revision: u64 },
    /// A journal was read.
    Restored(Result<Box<RestoredSession>, String>),
    /// The words of a model were opened, to count prompts.
    PromptReader { key: ReaderKey, reader: Result<Box<PromptReader>, String> },
    /// A result was blended anew.
    Reblended(Box<Patch>),
    /// The folders of embeddings were looked through.
    Embeddings(Vec<FoundEmbedding>),
    /// What lies on this machine.
    Shelf(Box<Shelf>),
    /// What the hub found under these words.
    Searched(String, Result<Vec<Found>, String>),
    /// What reading a repository again has shown.
    Verified(String, Result<Verified, String>),
    /// Files were deleted, or could not be.
    Deleted(Result<(), String>),
    /// How the passes of a chain hand over, or why it cannot run.
    Handovers { asked: Box<Request>, told: Result<Vec<Handover>, String> },
}

/// What a journal held, and its folder, which stays locked.
pub struct RestoredSession {
    pub folder: Folder,
    pub restored: Restored,
}

/// Starts background work and collects the answers.
pub struct Background {
    sender: SyncSender<Done>,
    receiver: Receiver<Done>,
    ctx: egui::Context,
}

/// A dialog that closes sooner than a person can was never shown.
const SOONER_THAN_A_PERSON: Duration = Duration::from_millis(250);

impl Background {
    pub fn new(ctx: egui::Context) -> Self {
        let (sender, receiver) = sync_channel(64);
        Self { sender, receiver, ctx }
    }

    /// All answers since the last call.
    pub fn drain(&self) -> Vec<Done> {
        self.receiver.try_iter().collect()
    }

    /// Shows the platform's file dialog.
    pub fn ask_for_file(&self, purpose: Purpose, start: Option<&Path>) {
        let start = start.map(Path::to_owned);
        self.spawn("file dialog", move || {
            let opened = Instant::now();
            match dialog(purpose, start) {
                Some(path) => Some(Done::Chosen(purpose, path)),
                None if opened.elapsed() < SOONER_THAN_A_PERSON => Some(Done::NoDialog(purpose)),
                None => Some(Done::Dismissed(purpose)),
            }
        });
    }

    pub fn read_picture(&self, path: PathBuf, mask: Option<PathBuf>) {
        self.spawn("picture reader", move || {
            let picture = codec::load_picture(&path).map_err(|e| e.to_string());
            let mask = mask.map(|path| codec::load_mask(&path).map_err(|e| e.to_string()));
            Some(Done::Read { path, picture, mask })
        });
    }

    /// Reads the journal in `folder`. One that holds nothing whole is put aside, so that it is not
    /// met again; its bytes stay.
    pub fn restore(&self, folder: Folder) {
        self.spawn("journal reader", move || {
            Some(Done::Restored(match journal::restore(&folder) {
                Ok(restored) => Ok(Box::new(RestoredSession { folder, restored })),
                Err(why) => Err(match folder.put_aside() {
                    Ok(path) => format!("{why}. Its files are in {}", path.display()),
                    Err(_) => why.to_string(),
                }),
            }))
        });
    }

    /// Flattens and writes a snapshot. `text` are the PNG's text entries.
    pub fn write_picture(
        &self,
        snapshot: Snapshot,
        path: PathBuf,
        text: Vec<TextEntry>,
        revision: u64,
    ) {
        self.spawn("picture writer", move || {
            let picture = snapshot.picture();
            let result = codec::save_picture(&path, &picture, &text);
            let result = result.map_err(|e| e.to_string());
            Some(Done::Written { path, result, revision })
        });
    }

    /// Opens what counts the prompts of `request`.
    pub fn open_prompt_reader(&self, key: ReaderKey, request: Request) {
        self.spawn("prompt reader", move || {
            let reader = match catalog::find(&request.model).map_err(|e| e.to_string()) {
                Ok(catalog::Model::Diffusion(folder)) => {
                    let reader = PromptReader::open(&folder, &request);
                    reader.map(Box::new).map_err(|e| e.to_string())
                }
                Ok(catalog::Model::ContentAware | catalog::Model::Prior(_)) => return None,
                Err(why) => Err(why),
            };
            Some(Done::PromptReader { key, reader })
        });
    }

    /// Blends a result into the picture anew.
    pub fn reblend(&self, patch: Patch, picture: PictureTiles, blend: Blend) {
        self.spawn("blender", move || {
            Some(Done::Reblended(Box::new(patch.reblended(&picture, blend))))
        });
    }

    /// Does something that takes time; `name` is the thread's.
    pub fn work(&self, name: &str, work: impl FnOnce() -> Done + Send + 'static) {
        self.spawn(name, move || Some(work()));
    }

    /// Looks through the folders of embeddings.
    pub fn find_embeddings(&self) {
        self.spawn("embedding finder", || Some(Done::Embeddings(found_embeddings())));
    }

    /// Asks how the passes of a chain hand over.
    pub fn ask_for_handovers(&self, asked: Request) {
        self.spawn("handovers", move || {
            let told = handovers(&asked).map_err(|error| error.to_string());
            Some(Done::Handovers { asked: Box::new(asked), told })
        });
    }

    fn spawn(&self, name: &str, work: impl FnOnce() -> Option<Done> + Send + 'static) {
        let (sender, ctx) = (self.sender.clone(), self.ctx.clone());
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Some(done) = work() {
                // The window may be gone by now; then nobody needs the answer.
                let _ = sender.send(done);
                ctx.request_repaint();
            }
        });
        if let Err(error) = spawned {
            log::error!("could not start the {name} thread: {error}");
        }
    }
}

fn dialog(purpose: Purpose, start: Option<PathBuf>) -> Option<PathBuf> {
    let mut dialog = rfd::FileDialog::new();
    if let Some(folder) = start.as_deref().and_then(Path::parent) {
        dialog = dialog.set_directory(folder);
    }
    dialog = dialog.set_title(purpose.title());
    match purpose {
        Purpose::Open | Purpose::ControlImage(_) => dialog
            .add_filter("Pictures", &["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"])
            .pick_file(),
        Purpose::Save => {
            let name = start.as_deref().and_then(Path::file_stem).and_then(|s| s.to_str());
            dialog
                .set_file_name(format!("{}.png", name.unwrap_or("picture")))
                .add_filter("PNG", &["png"])
                .add_filter("Other pictures", &["jpg", "jpeg", "webp", "tif", "tiff", "bmp"])
                .save_file()
        }
        Purpose::ModelFolder
        | Purpose::LoraFolder
        | Purpose::EmbeddingFolder
        | Purpose::ControlFolder
        | Purpose::AutoencoderFolder
        | Purpose::ModelsFolder => dialog.pick_folder(),
        Purpose::ModelFile | Purpose::ControlFile | Purpose::AutoencoderFile => {
            dialog.add_filter("Checkpoints", &["safetensors", "sft"]).pick_file()
        }
    }
}

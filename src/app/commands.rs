//! What the person can ask for. Panels and keys push commands while they paint; `App::logic`
//! applies them before the next frame, so nothing changes the document in the middle of one.

use std::path::PathBuf;

use super::library::Ask;
use crate::catalog::Recommended;

/// Which tool the pointer drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Brush,
    Eraser,
    /// Smart select.
    Select,
    Hand,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    // files
    ChooseFile,
    OpenSample,
    OpenPath(PathBuf),
    Save,
    SaveAs,
    SaveTo(PathBuf),
    CopyPicture,
    CloseAnyway,
    // the mask and the history
    Undo,
    Redo,
    ClearMask,
    InvertMask,
    FillMask,
    // tools and view
    SelectTool(Tool),
    /// Smart select: the next click is another object's.
    NewObject,
    /// Multiplies the brush size.
    ScaleBrush(f32),
    /// Adds to the brush hardness.
    AddHardness(f32),
    /// Brush opacity, 0 to 1.
    SetOpacity(f32),
    FitView,
    ActualSize,
    ZoomBy(f32),
    ToggleOverlay,
    // generation
    Generate,
    Cancel,
    Accept,
    Discard,
    SelectResult(isize),
    UseSeed(u64),
    ChooseModelFolder,
    ChooseModelFile,
    ChooseControlFile,
    ChooseControlFolder,
    /// Of the ControlNet with this number.
    ChooseControlImage(usize),
    AddControl(String),
    UseControlImage(usize, PathBuf),
    UseModel(String),
    ChooseLoraFolder,
    AddLoraFolder(PathBuf),
    FindLoras,
    ChooseEmbeddingFolder,
    AddEmbeddingFolder(PathBuf),
    FindEmbeddings,
    UseLora(PathBuf),
    /// The settings that a LoRA for few steps wants.
    UseFewSteps(Recommended),
    /// Puts the word of an embedding into the prompt.
    UseEmbedding(PathBuf),
    ChooseAutoencoderFolder,
    ChooseAutoencoderFile,
    /// A folder or a file.
    UseAutoencoder(PathBuf),
    Library(Ask),
    OpenPage(String),
    // the window
    ToggleHelp,
    /// The key that leaves whatever is going on: a stroke, a running job, a sheet.
    Escape,
}

/// Commands in the order they were asked for.
#[derive(Debug, Default)]
pub struct CommandQueue {
    waiting: Vec<Command>,
}

impl CommandQueue {
    pub fn push(&mut self, command: Command) {
        self.waiting.push(command);
    }

    /// Takes all that waits.
    pub fn drain(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.waiting)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

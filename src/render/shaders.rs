//! The WGSL sources: built in, and read again from disk while someone works on them.
//!
//! A line `#include "name.wgsl"` stands for that file's text, which each shader gets once however
//! often it is included.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Every file of `shaders/`, by name.
const BUILT_IN: &[(&str, &str)] = &[
    ("backdrop.wgsl", include_str!("../../shaders/backdrop.wgsl")),
    ("blur_common.wgsl", include_str!("../../shaders/blur_common.wgsl")),
    ("blur_gather.wgsl", include_str!("../../shaders/blur_gather.wgsl")),
    ("blur_horizontal.wgsl", include_str!("../../shaders/blur_horizontal.wgsl")),
    ("blur_vertical.wgsl", include_str!("../../shaders/blur_vertical.wgsl")),
    ("checkerboard.wgsl", include_str!("../../shaders/checkerboard.wgsl")),
    ("common.wgsl", include_str!("../../shaders/common.wgsl")),
    ("composite.wgsl", include_str!("../../shaders/composite.wgsl")),
    ("cursor.wgsl", include_str!("../../shaders/cursor.wgsl")),
    ("mask_overlay.wgsl", include_str!("../../shaders/mask_overlay.wgsl")),
    ("picture.wgsl", include_str!("../../shaders/picture.wgsl")),
    ("pixel_grid.wgsl", include_str!("../../shaders/pixel_grid.wgsl")),
    ("staged.wgsl", include_str!("../../shaders/staged.wgsl")),
    ("tiles.wgsl", include_str!("../../shaders/tiles.wgsl")),
];

/// Why a shader could not be put together or used. The one in use before stays.
#[derive(Debug, thiserror::Error)]
pub enum ShaderError {
    /// A file that is asked for by name is neither built in nor on disk.
    #[error("there is no shader file {0}")]
    Missing(String),
    /// The file could not be read.
    #[error("the shader file {path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The graphics card's compiler refused it; the text names the line.
    #[error("a shader does not compile: {0}")]
    Invalid(String),
}

/// Where shader texts come from.
pub struct ShaderSources {
    /// Read from here instead of the built-in texts.
    folder: Option<PathBuf>,
    /// When the newest file of `folder` was last written.
    newest: Option<SystemTime>,
}

impl ShaderSources {
    /// The texts that were compiled in.
    pub fn built_in() -> Self {
        Self { folder: None, newest: None }
    }

    /// The source tree's `shaders/` in debug builds, if it is there; else what is compiled in.
    pub fn for_this_build() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
        if cfg!(debug_assertions) && folder.is_dir() {
            Self::watching(folder)
        } else {
            Self::built_in()
        }
    }

    /// Texts from a folder, in which changes are noticed.
    pub fn watching(folder: PathBuf) -> Self {
        let newest = newest_change(&folder);
        Self { folder: Some(folder), newest }
    }

    /// Whether a file was written since the last call.
    pub fn changed(&mut self) -> bool {
        let Some(folder) = &self.folder else { return false };
        let newest = newest_change(folder);
        std::mem::replace(&mut self.newest, newest) != newest
    }

    /// A shader's whole text, its includes put in.
    ///
    /// # Errors
    /// When the file or one it includes is missing or unreadable.
    pub fn text(&self, name: &str) -> Result<String, ShaderError> {
        let mut text = String::new();
        self.append(name, &mut Vec::new(), &mut text)?;
        Ok(text)
    }

    /// Names of all shaders that stand for themselves, not those that are only included.
    pub fn entry_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN
            .iter()
            .filter(|(_, text)| text.contains("@fragment") || text.contains("@compute"))
            .map(|(name, _)| *name)
    }

    fn append(
        &self,
        name: &str,
        included: &mut Vec<String>,
        text: &mut String,
    ) -> Result<(), ShaderError> {
        if included.iter().any(|seen| seen == name) {
            return Ok(());
        }
        included.push(name.to_owned());
        for line in self.read(name)?.lines() {
            match included_name(line) {
                Some(inner) => self.append(inner, included, text)?,
                None => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<String, ShaderError> {
        if let Some(folder) = &self.folder {
            let path = folder.join(name);
            return std::fs::read_to_string(&path)
                .map_err(|source| ShaderError::Unreadable { path, source });
        }
        BUILT_IN
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, text)| (*text).to_owned())
            .ok_or_else(|| ShaderError::Missing(name.to_owned()))
    }
}

/// The file that an include line names.
fn included_name(line: &str) -> Option<&str> {
    line.trim().strip_prefix("#include")?.trim().strip_prefix('"')?.strip_suffix('"')
}

/// When the last change was made to a file of the folder; `None` if there is none.
fn newest_change(folder: &Path) -> Option<SystemTime> {
    let files = std::fs::read_dir(folder).ok()?;
    files.flatten().filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
        let mut on_disk: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        on_disk.sort();
        let built_in: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        assert_eq!(on_disk, built_in);
    }

    #[test]
    fn includes_are_put_in_once() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        write("a.wgsl", "#include \"b.wgsl\"\n#include \"c.wgsl\"\na").unwrap();
        write("b.wgsl", "#include \"c.wgsl\"\nb").unwrap();
        write("c.wgsl", "c").unwrap();
        let sources = ShaderSources::watching(folder.path().to_owned());
        assert_eq!(sources.text("a.wgsl").unwrap(), "c\nb\na\n");
    }

    #[test]
    fn a_missing_include_names_the_file() {
        let error = ShaderSources::built_in().text("nowhere.wgsl").unwrap_err();
        assert!(error.to_string().contains("nowhere.wgsl"));
    }

    #[test]
    fn a_written_file_is_noticed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wgsl");
        std::fs::write(&path, "a").unwrap();
        let mut sources = ShaderSources::watching(folder.path().to_owned());
        assert!(!sources.changed());
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(sources.changed());
        assert!(!sources.changed());
    }
}

//! The key map: what diffusers calls the tensors of a single-file checkpoint.
//!
//! Files of the field (CompVis', Stability's and everything trained from theirs) number the blocks
//! of a network through, where diffusers sorts them by resolution. The networks of this program
//! ask for diffusers' names; the functions here say, for each tensor of a file, which name that is.
//! Names only: nothing is read.
//!
//! | module | what it renames |
//! |---|---|
//! | [`unet`] | `model.diffusion_model.*` |
//! | [`autoencoder`] | `first_stage_model.*` |
//! | [`text`] | `cond_stage_model.*`, `conditioner.embedders.*`, in CLIP's and in OpenCLIP's own names |
//! | [`controlnet`] | `control_model.*` |

pub mod autoencoder;
pub mod controlnet;
pub mod text;
pub mod unet;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A tensor under diffusers' name: which one of the file's it is, or a part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    pub key: String,
    #[serde(default, skip_serializing_if = "View::is_whole")]
    pub view: View,
}

/// What of a stored tensor is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    #[default]
    Whole,
    /// Query (0), key (1) or value (2), which are stored on top of each other.
    Third(usize),
    /// Rows and columns exchanged.
    Transposed,
}

/// Where a component's tensors lie, by diffusers' names: the content of a [`TABLE`] file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// In one file, under other names.
    Table { file: PathBuf, tensors: BTreeMap<String, Stored> },
    /// In another folder.
    Folder(PathBuf),
}

/// A component's folder may have a file of this name instead of weights.
pub const TABLE: &str = "weights-elsewhere.json";

/// One tensor's name in a file, without the prefix of its component, and what it becomes.
pub type Renamed<'a> = (String, &'a str, View);

impl View {
    fn is_whole(&self) -> bool {
        *self == Self::Whole
    }

    /// The shape of this part of a tensor of the shape `stored`; `None` if it has no such part.
    pub fn shape(self, stored: &[usize]) -> Option<Vec<usize>> {
        match (self, stored) {
            (Self::Whole, _) => Some(stored.to_vec()),
            (Self::Third(which), [rows, rest @ ..]) if which < 3 && rows % 3 == 0 => {
                Some([&[rows / 3], rest].concat())
            }
            (Self::Transposed, [rows, columns]) => Some(vec![*columns, *rows]),
            _ => None,
        }
    }
}

/// `text` with its beginning replaced as a table of (original, diffusers) says. The beginning ends
/// with `text`, or before a dot.
fn renamed(text: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find_map(|(original, name)| {
        let rest = text.strip_prefix(original)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{name}{rest}"))
    })
}

/// `12.rest` in two.
fn numbered(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_tensors_have_shapes() {
        assert_eq!(View::Third(1).shape(&[12, 4]), Some(vec![4, 4]));
        assert_eq!(View::Third(2).shape(&[12]), Some(vec![4]));
        assert_eq!(View::Third(0).shape(&[13, 4]), None);
        assert_eq!(View::Third(3).shape(&[12, 4]), None);
        assert_eq!(View::Transposed.shape(&[2, 3]), Some(vec![3, 2]));
        assert_eq!(View::Transposed.shape(&[2]), None);
    }

    #[test]
    fn beginnings_end_at_dots() {
        let table = [("out.0", "first"), ("out", "rest")];
        assert_eq!(renamed("out.0.bias", &table), Some("first.bias".into()));
        assert_eq!(renamed("out.01", &table), Some("rest.01".into()));
        assert_eq!(renamed("outer", &table), None);
    }
}

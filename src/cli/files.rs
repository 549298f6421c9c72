//! What a run writes, and where. Everything is written under a temporary name and renamed.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use safetensors::tensor::{Dtype, TensorView};

use super::{Failure, build::Run};
use crate::{
    engine::{ImageSource, Recorded, Request},
    pixels::codec::save_atomically,
};

/// Beside the input, under another name.
pub fn default_output(request: &Request, suffix: &str) -> PathBuf {
    match &request.image {
        Some(ImageSource::File(input)) => {
            let stem = input.file_stem().unwrap_or_default().to_string_lossy();
            input.with_file_name(format!("{stem}{suffix}.png"))
        }
        _ => PathBuf::from("generated.png"),
    }
}

/// The names of `count` pictures: the output itself, or FILE-0, FILE-1 ... before the extension.
pub fn numbered(output: &Path, count: usize) -> Vec<PathBuf> {
    if count == 1 {
        return vec![output.to_path_buf()];
    }
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    let extension = output.extension().map(|e| format!(".{}", e.to_string_lossy()));
    let extension = extension.unwrap_or_default();
    (0..count).map(|i| output.with_file_name(format!("{stem}-{i}{extension}"))).collect()
}

/// Refuses outputs that would overwrite an input or cannot be written, before anything runs.
pub fn check_outputs(run: &Run) -> Result<(), Failure> {
    let mut outputs = numbered(&run.output, run.request.num_images_per_prompt.max(1));
    outputs.extend([&run.outputs.output_float, &run.outputs.trace].into_iter().flatten().cloned());
    let inputs = inputs(run);
    for output in &outputs {
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Failure::Bad(format!(
                "{}: there is no folder {}; make it, or name another output",
                output.display(),
                folder.display()
            )));
        }
        if inputs.iter().any(|input| same_file(input, output)) {
            return Err(Failure::Bad(format!(
                "{}: this is an input, which is never overwritten; name another --output",
                output.display()
            )));
        }
    }
    check_format(&run.output)
}

fn inputs(run: &Run) -> Vec<&Path> {
    let mut inputs = Vec::new();
    if let Some(ImageSource::File(path)) = &run.request.image {
        inputs.push(path.as_path());
    }
    if let Some(ImageSource::File(path)) = &run.request.mask {
        inputs.push(path);
    }
    for control in &run.request.controlnets {
        if let Some(ImageSource::File(path)) = &control.image {
            inputs.push(path);
        }
    }
    for stage in &run.request.chain {
        if let Some(ImageSource::File(path)) = &stage.mask {
            inputs.push(path);
        }
    }
    inputs
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

fn check_format(output: &Path) -> Result<(), Failure> {
    const KNOWN: [&str; 7] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp"];
    let extension = output.extension().map(|e| e.to_string_lossy().to_lowercase());
    if extension.is_some_and(|extension| KNOWN.contains(&extension.as_str())) {
        return Ok(());
    }
    Err(Failure::Bad(format!(
        "{}: pictures are written as {}; name an output with one of these extensions",
        output.display(),
        KNOWN.join(", ")
    )))
}

/// Writes a tensor as a NumPy array, format 1.0, little-endian f32 in C order.
pub fn save_npy(path: &Path, tensor: &Recorded) -> io::Result<()> {
    let shape: String = tensor.shape.iter().map(|side| format!("{side}, ")).collect();
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
    // Magic (6), version (2), length (2), header and newline fill a multiple of 64 bytes.
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    save_atomically(path, |out| {
        out.write_all(b"\x93NUMPY\x01\x00")?;
        out.write_all(&(header.len() as u16).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        out.write_all(&little_endian(&tensor.values))
    })
}

/// Writes the latents after each step: latents_000, latents_001 ...
pub fn save_trace(path: &Path, latents: &[Recorded]) -> io::Result<()> {
    let bytes: Vec<Vec<u8>> = latents.iter().map(|t| little_endian(&t.values)).collect();
    let mut views = BTreeMap::new();
    for (index, (tensor, bytes)) in latents.iter().zip(&bytes).enumerate() {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
        views.insert(format!("latents_{index:03}"), view.map_err(io::Error::other)?);
    }
    let file = safetensors::serialize(views, None).map_err(io::Error::other)?;
    save_atomically(path, |out| out.write_all(&file))
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_pictures_are_numbered_before_the_extension() {
        let names = numbered(Path::new("a/b.tar.png"), 2);
        assert_eq!(names, [PathBuf::from("a/b.tar-0.png"), PathBuf::from("a/b.tar-1.png")]);
        assert_eq!(numbered(Path::new("b.png"), 1), [PathBuf::from("b.png")]);
    }

    #[test]
    fn an_array_file_has_its_header_aligned_and_its_values_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let tensor = Recorded { shape: vec![1, 2], values: vec![1.5, -2.0].into() };
        save_npy(&path, &tensor).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!((10 + length) % 64, 0);
        let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
        assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2,), }"));
        assert!(header.ends_with('\n'));
        assert_eq!(bytes[10 + length..], [0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0]);
    }
}

//! Segment Anything against the original programs (`tests/reference/segment_anything.py`): MobileSAM
//! at its true size, and the original's network with a small encoder. Weights are drawn anew from
//! torch's generator, tensor by tensor in the order of their names, as the script draws them.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{DType, Device, IndexOp, Tensor};
use overpaint::{
    diffusion::{NoiseSource, noise::TorchNoise},
    document::PictureTiles,
    engine::{self, EngineError, Monitor, PassNumber, SelectRequest, diffusion_backend},
    geometry::{Bounds, Extent, Point},
    networks::{
        SegmentAnything,
        segment_anything::{Click, SIDE},
    },
    pixels::{
        Picture,
        codec::load_picture,
        resize::{Filter, resize_picture},
    },
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Index {
    /// x, y, and 1 for the object.
    clicks: BTreeMap<String, Vec<[f64; 3]>>,
    weights: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn index() -> Index {
    let text = std::fs::read(fixtures().join("segment_anything/index.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The weight `name`, the `index`th by name.
fn drawn(name: &str, shape: &[usize], index: usize) -> Tensor {
    let count = shape.iter().product();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let fan = (count as f64 / shape[0] as f64).sqrt();
    let sharp = if has(&["q_proj", "k_proj", "qkv"]) { 1.7 } else { 1.0 };
    let tokens = [
        "iou_token",
        "mask_tokens",
        "embed.weight",
        "point_embeddings",
        "gaussian_matrix",
        "attention_biases",
    ];
    let value = |v: f32| match shape.len() {
        _ if name.ends_with("running_var") => 1.0 + 0.2 * v.abs(),
        1 if name.ends_with("weight") => 1.0 + 0.2 * v,
        1 => 0.2 * v,
        _ if has(&tokens) => v,
        _ if has(&["pos_embed", "rel_pos"]) => 0.3 * v,
        _ => v * (sharp / fan) as f32,
    };
    let values: Vec<f32> =
        TorchNoise::new(5000 + index as u64).fill(count).into_iter().map(value).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A folder with the file of weights that is drawn for a network.
fn weights(name: &str) -> (tempfile::TempDir, PathBuf) {
    let weight =
        |(i, (name, shape)): (usize, (&String, &Vec<usize>))| (name.clone(), drawn(name, shape, i));
    let tensors: HashMap<_, _> = index().weights[name].iter().enumerate().map(weight).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    candle_core::safetensors::save(&tensors, &file).unwrap();
    (folder, file)
}

fn picture() -> Picture {
    load_picture(&fixtures().join("parity/inputs/wide.png")).unwrap()
}

/// The picture at the size that the network takes.
fn seen() -> (Tensor, Extent) {
    let picture = picture();
    let Extent { width, height } = picture.extent();
    let scale = SIDE as f64 / f64::from(width);
    let size = Extent::new(SIDE as u32, (f64::from(height) * scale + 0.5) as u32);
    let resized = resize_picture(&picture, size, Filter::Bilinear);
    let rgb: Vec<f32> = (0..3)
        .flat_map(|c| resized.bytes().chunks_exact(4).map(move |pixel| f32::from(pixel[c])))
        .collect();
    let shape = (3, size.height as usize, size.width as usize);
    (Tensor::from_vec(rgb, shape, &Device::Cpu).unwrap(), size)
}

/// The clicks of a name where the network sees them.
fn clicks(name: &str, size: Extent) -> Vec<Click> {
    let Extent { width, height } = picture().extent();
    let (across, down) =
        (f64::from(size.width) / f64::from(width), f64::from(size.height) / f64::from(height));
    let click =
        |&[x, y, inside]: &[f64; 3]| Click { x: x * across, y: y * down, inside: inside > 0.0 };
    index().clicks[name].iter().map(click).collect()
}

/// ||a - b|| / ||b||.
fn deviation(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let norm = |t: &Tensor| {
        f64::from(t.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()).sqrt()
    };
    norm(&(a - b).unwrap()) / norm(b)
}

/// Every `step`th row and column.
fn thinned(tensor: &Tensor, step: u32) -> Tensor {
    let side = |dim: usize| {
        Tensor::arange_step(0, tensor.dim(dim).unwrap() as u32, step, &Device::Cpu).unwrap()
    };
    tensor.index_select(&side(1), 1).unwrap().index_select(&side(2), 2).unwrap()
}

fn thinned_embedding(embedding: &Tensor) -> Tensor {
    let channels = Tensor::arange_step(0u32, 256, 16, &Device::Cpu).unwrap();
    thinned(&embedding.i(0).unwrap().index_select(&channels, 0).unwrap(), 8)
}

fn reference() -> HashMap<String, Tensor> {
    let file = fixtures().join("segment_anything/numbers.safetensors");
    candle_core::safetensors::load(file, &Device::Cpu).unwrap()
}

fn check(name: &str) {
    let reference = reference();
    let (_folder, file) = weights(name);
    let go_on = |_| ControlFlow::Continue(());
    let network = SegmentAnything::load(&file, &Device::Cpu, go_on).unwrap();
    let (picture, size) = seen();
    let started = std::time::Instant::now();
    let embedding = network.embed(&picture).unwrap();
    println!("{name}: embedded in {:.1?}", started.elapsed());
    let thin = thinned_embedding(&embedding);
    let same = deviation(&thin, &reference[&format!("{name}-tanh.embedding")]);
    let original = deviation(&thin, &reference[&format!("{name}.embedding")]);
    println!("{name}: embedding off by {same:.1e}, with the original's GELU by {original:.1e}");
    assert!(same < 1e-4 && original < 3e-3, "{name}: {same:e}, {original:e}");
    for clicked in ["one", "another", "three"] {
        let candidates = network.candidates(&embedding, &clicks(clicked, size)).unwrap();
        let expected = |part: &str| &reference[&format!("{name}-tanh.{clicked}.{part}")];
        let masks = deviation(&thinned(&candidates.masks, 16), expected("masks"));
        let qualities = Tensor::new(candidates.qualities.as_slice(), &Device::Cpu).unwrap();
        let qualities = deviation(&qualities, expected("quality"));
        println!("{name}, {clicked}: masks off by {masks:.1e}, qualities by {qualities:.1e}");
        assert!(masks < 1e-3 && qualities < 1e-3, "{name}, {clicked}: {masks:e}, {qualities:e}");
    }
    // The comparison can fail: clicks matter.
    let one = network.candidates(&embedding, &clicks("one", size)).unwrap().masks;
    let elsewhere = &reference[&format!("{name}-tanh.another.masks")];
    assert!(deviation(&thinned(&one, 16), elsewhere) > 1e-2);
}

#[test]
fn mobile_sam_computes_what_its_authors_program_does() {
    check("mobile");
}

#[test]
fn the_original_computes_what_its_authors_program_does() {
    check("original");
}

/// Nobody watches; counts how often the picture is looked at.
#[derive(Default)]
struct Watch {
    looked: usize,
}

impl Monitor for Watch {
    fn is_cancelled(&mut self) -> bool {
        false
    }

    fn loading(&mut self, what: &str, _: Option<f32>) -> Result<(), EngineError> {
        self.looked += usize::from(what.starts_with("Looking"));
        Ok(())
    }

    fn pass(&mut self, _: PassNumber) -> Result<(), EngineError> {
        Ok(())
    }

    fn step(&mut self, _: usize, _: usize) -> Result<(), EngineError> {
        Ok(())
    }

    fn preview(&mut self, _: usize, _: Bounds, _: Arc<Picture>) {}
}

#[test]
fn clicks_on_a_picture_become_its_mask_and_the_second_is_cheap() {
    let (reference, mut watch) = (reference(), Watch::default());
    let (_folder, file) = weights("original");
    let tiles = PictureTiles::from_picture(&picture());
    let mut backend = diffusion_backend();
    for (number, clicked) in ["one", "another", "three", "one"].into_iter().enumerate() {
        let click = |&[x, y, inside]: &[f64; 3]| engine::Click {
            position: Point::new(x as f32 + 0.7, y as f32 + 0.2),
            inside: inside > 0.0,
        };
        let request = SelectRequest {
            weights: file.clone(),
            picture: tiles.clone(),
            clicks: index().clicks[clicked].iter().map(click).collect(),
            device: engine::Device::Cpu,
        };
        let mask = backend.select(&request, &mut watch).unwrap().mask.unwrap();
        assert_eq!(watch.looked, 1, "click {number} looks at the same picture");
        let packed =
            reference[&format!("original-tanh.{clicked}.selected")].to_vec1::<u8>().unwrap();
        let expected = packed.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        let wrong =
            mask.bytes().iter().zip(expected).filter(|(ours, theirs)| **ours / 255 != *theirs);
        // Where the answer hardly differs from 0, rounding decides.
        let wrong = wrong.count();
        println!("{clicked}: {wrong} of {} pixels differ", mask.bytes().len());
        assert!(wrong <= 3, "{clicked}: {wrong} pixels");
    }
    // Another picture is looked at anew; the first is not forgotten.
    let other = PictureTiles::from_picture(&picture());
    for (picture, looked) in [(other, 2), (tiles, 2)] {
        let (weights, device) = (file.clone(), engine::Device::Cpu);
        let request = SelectRequest { weights, picture, clicks: Vec::new(), device };
        assert!(backend.select(&request, &mut watch).unwrap().mask.is_none());
        assert_eq!(watch.looked, looked);
    }
}

#[test]
fn files_of_another_kind_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mobile_sam.safetensors");
    let tensors = HashMap::from([("a", Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap())]);
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let load = || SegmentAnything::load(&file, &Device::Cpu, |_| ControlFlow::Continue(()));
    let text = load().err().unwrap().to_string();
    assert!(text.contains("mobile_sam.safetensors") && text.contains("no mask decoder"), "{text}");
    std::fs::write(&file, "<html>").unwrap();
    assert!(load().err().unwrap().to_string().contains("damaged"));
}

//! Pillow's resizing and blur, and the reference's image processor: not one byte may differ.

use libtest_mimic::Trial;
use overpaint::{
    geometry::{Bounds, Extent},
    pixels::{
        Mask, Picture,
        blur::{gaussian_blur_mask, gaussian_blur_picture},
        crop_region::crop_region,
        fit::{resize_and_crop, resize_and_fill, resize_mask_and_fill},
        luma::mask_from_luma,
        overlay::apply_overlay,
        resize::{Filter, resize_mask, resize_picture},
    },
};
use serde::Deserialize;

use super::{
    compare::exact,
    fixtures::{Tensors, unit},
};

#[derive(Deserialize)]
struct Pixels {
    resize: Vec<Resize>,
    blur: Vec<Blur>,
    fit: Vec<Fit>,
    binary: Vec<Resize>,
    crop_region: Vec<CropRegion>,
    overlay_crops: Vec<[i32; 4]>,
}

#[derive(Deserialize)]
struct Resize {
    source: String,
    width: u32,
    height: u32,
}

#[derive(Deserialize)]
struct Blur {
    source: String,
    radius: f32,
}

#[derive(Deserialize)]
struct Fit {
    source: String,
    mode: String,
    width: u32,
    height: u32,
}

#[derive(Deserialize)]
struct CropRegion {
    mask_size: [u32; 2],
    hole: [i32; 4],
    size: [u32; 2],
    pad: u32,
    #[serde(rename = "box")]
    expected: [i32; 4],
}

pub fn trials() -> Vec<Trial> {
    let cases: Pixels = unit("pixels");
    let mut trials = Vec::new();
    for (index, case) in cases.resize.into_iter().enumerate() {
        let name = format!("pixels::resize-{}-{}x{}", case.source, case.width, case.height);
        trials.push(exact(name, move || resize(index, &case)));
    }
    for (index, case) in cases.blur.into_iter().enumerate() {
        let name = format!("pixels::blur-{}-{}", case.source, case.radius);
        trials.push(exact(name, move || blur(index, &case)));
    }
    for (index, case) in cases.fit.into_iter().enumerate() {
        let name = format!("pixels::{}-{}-{}x{}", case.mode, case.source, case.width, case.height);
        trials.push(exact(name, move || fit(index, &case)));
    }
    for (index, case) in cases.binary.into_iter().enumerate() {
        let name = format!("pixels::binary-{}-{}x{}", case.source, case.width, case.height);
        trials.push(exact(name, move || binary(index, &case)));
    }
    for (index, case) in cases.crop_region.into_iter().enumerate() {
        trials
            .push(exact(format!("pixels::crop-region-{index}"), move || check_crop_region(&case)));
    }
    trials.push(exact("pixels::overlay", || overlay("overlay_plain", "overlay_whole", None)));
    for (index, corners) in cases.overlay_crops.into_iter().enumerate() {
        let [x0, y0, x1, y1] = corners;
        trials.push(exact(format!("pixels::overlay-crop-{index}"), move || {
            let crop = Bounds::from_corners(x0, y0, x1, y1);
            overlay(&format!("overlay_crop_{index}"), "overlay_patch", Some(crop))
        }));
    }
    trials
}

fn load() -> Tensors {
    Tensors::load("units/pixels.safetensors")
}

fn same_mask(actual: &Mask, expected: &Mask) -> Result<(), String> {
    same(actual.extent(), actual.bytes(), expected.extent(), expected.bytes())
}

fn same_picture(actual: &Picture, expected: &Picture) -> Result<(), String> {
    same(actual.extent(), actual.bytes(), expected.extent(), expected.bytes())
}

fn same(size: Extent, bytes: &[u8], wanted_size: Extent, wanted: &[u8]) -> Result<(), String> {
    if size != wanted_size {
        return Err(format!("{size} instead of {wanted_size}"));
    }
    let wrong = bytes.iter().zip(wanted).filter(|(a, b)| a != b);
    let worst = wrong.clone().map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    match wrong.count() {
        0 => Ok(()),
        count => Err(format!("{count} of {} bytes differ, by up to {worst}", bytes.len())),
    }
}

fn resize(index: usize, case: &Resize) -> Result<(), String> {
    let (tensors, expected) = (load(), format!("resize_{index}"));
    let extent = Extent::new(case.width, case.height);
    if tensors.is_grey(&case.source) {
        let resized = resize_mask(&tensors.mask(&case.source)?, extent, Filter::Lanczos);
        same_mask(&resized, &tensors.mask(&expected)?)
    } else {
        let source = tensors.picture(&case.source)?;
        let resized = resize_picture(&source, extent, Filter::Lanczos);
        same_picture(&resized, &tensors.picture(&expected)?)
    }
}

fn blur(index: usize, case: &Blur) -> Result<(), String> {
    let (tensors, expected) = (load(), format!("blur_{index}"));
    if tensors.is_grey(&case.source) {
        let blurred = gaussian_blur_mask(&tensors.mask(&case.source)?, case.radius);
        same_mask(&blurred, &tensors.mask(&expected)?)
    } else {
        let source = tensors.picture(&case.source)?;
        let blurred = gaussian_blur_picture(&source, case.radius);
        same_picture(&blurred, &tensors.picture(&expected)?)
    }
}

fn fit(index: usize, case: &Fit) -> Result<(), String> {
    let (tensors, expected) = (load(), format!("fit_{index}"));
    let extent = Extent::new(case.width, case.height);
    if case.mode == "fill" && tensors.is_grey(&case.source) {
        let fitted = resize_mask_and_fill(&tensors.mask(&case.source)?, extent);
        let expected = mask_from_luma(&tensors.picture(&expected)?);
        return same_mask(&fitted, &expected);
    }
    let source = tensors.picture(&case.source)?;
    let fitted = match case.mode.as_str() {
        "fill" => resize_and_fill(&source, extent),
        _ => resize_and_crop(&source, extent),
    };
    same_picture(&fitted, &tensors.picture(&expected)?)
}

/// Resized, then everything from 128 on is one: what the sampling loop makes of a mask.
fn binary(index: usize, case: &Resize) -> Result<(), String> {
    let tensors = load();
    // The image processor floors a size to multiples of 8.
    let extent = Extent::new(case.width / 8 * 8, case.height / 8 * 8);
    let resized = resize_mask(&tensors.mask(&case.source)?, extent, Filter::Lanczos);
    let binary: Vec<u8> = resized.bytes().iter().map(|&v| u8::from(v >= 128)).collect();
    let expected = tensors.mask(&format!("binary_{index}"))?;
    same(resized.extent(), &binary, expected.extent(), expected.bytes())
}

fn check_crop_region(case: &CropRegion) -> Result<(), String> {
    let [width, height] = case.mask_size;
    let mut mask = Mask::new(Extent::new(width, height));
    let [left, top, right, bottom] = case.hole;
    for y in top..bottom {
        mask.row_mut(y as u32)[left as usize..right as usize].fill(1);
    }
    let [to_width, to_height] = case.size;
    let found = crop_region(&mask, Extent::new(to_width, to_height), case.pad);
    let [x0, y0, x1, y1] = case.expected;
    match found {
        Some(bounds) if bounds == Bounds::from_corners(x0, y0, x1, y1) => Ok(()),
        other => Err(format!("{other:?} instead of {:?}", case.expected)),
    }
}

fn overlay(expected: &str, generated: &str, crop: Option<Bounds>) -> Result<(), String> {
    let tensors = load();
    let mask = tensors.mask("soft")?;
    let original = tensors.picture("overlay_picture")?;
    let result = apply_overlay(&mask, &original, &tensors.picture(generated)?, crop);
    same_picture(&result, &tensors.picture(expected)?)
}

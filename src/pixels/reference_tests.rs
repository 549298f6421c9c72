//! Byte for byte against Pillow and diffusers; `tests/reference/pixels.py` wrote the fixtures.

use std::path::PathBuf;

use serde::Deserialize;

use super::{
    Mask, Picture,
    blur::{gaussian_blur_mask, gaussian_blur_picture},
    codec::{load_mask, load_picture},
    crop_region::crop_region,
    fit::{resize_and_crop, resize_and_fill, resize_mask_and_fill},
    luma::mask_from_luma,
    overlay::apply_overlay,
    resize::{Filter, resize_mask, resize_picture},
};
use crate::geometry::{Bounds, Extent};

#[derive(Deserialize)]
struct Index {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Case {
    Resize {
        input: String,
        filter: String,
        size: [u32; 2],
        expected: String,
    },
    Blur {
        input: String,
        radius: f32,
        expected: String,
    },
    Fill {
        input: String,
        size: [u32; 2],
        expected: String,
    },
    Crop {
        input: String,
        size: [u32; 2],
        expected: String,
    },
    Luma {
        input: String,
        expected: String,
    },
    Overlay {
        input: String,
        mask: String,
        generated: String,
        crop: Option<[i32; 4]>,
        expected: String,
    },
    CropRegion {
        extent: [u32; 2],
        painted: [i32; 4],
        size: [u32; 2],
        padding: u32,
        region: [i32; 4],
    },
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pixels")
}

fn picture(name: &str) -> Picture {
    load_picture(&folder().join(format!("{name}.png"))).unwrap()
}

fn mask(name: &str) -> Mask {
    load_mask(&folder().join(format!("{name}.png"))).unwrap()
}

fn is_grey(name: &str) -> bool {
    !name.starts_with("rgb") || name.ends_with("mask")
}

/// Runs `check` on every case and returns how many it took on.
fn for_each_case(check: impl Fn(&Case) -> bool) -> usize {
    let index = std::fs::read_to_string(folder().join("cases.json")).unwrap();
    let index: Index = serde_json::from_str(&index).unwrap();
    index.cases.iter().filter(|case| check(case)).count()
}

/// Equal, or a message with the first byte that differs.
fn assert_same(got: &[u8], expected: &str, grey: bool) {
    let wanted = if grey { mask(expected).into_bytes() } else { picture(expected).into_bytes() };
    assert_eq!(got.len(), wanted.len(), "{expected}: another size");
    if let Some(at) = got.iter().zip(&wanted).position(|(a, b)| a != b) {
        let count = got.iter().zip(&wanted).filter(|(a, b)| a != b).count();
        panic!("{expected}: byte {at} is {}, not {}; {count} differ", got[at], wanted[at]);
    }
}

fn extent(size: [u32; 2]) -> Extent {
    Extent::new(size[0], size[1])
}

fn filter_named(name: &str) -> Filter {
    match name {
        "nearest" => Filter::Nearest,
        "box" => Filter::Box,
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        "lanczos" => Filter::Lanczos,
        other => panic!("no filter {other}"),
    }
}

#[test]
fn resize_is_pillows() {
    let count = for_each_case(|case| {
        let Case::Resize { input, filter, size, expected } = case else { return false };
        let (filter, size) = (filter_named(filter), extent(*size));
        if is_grey(input) {
            assert_same(resize_mask(&mask(input), size, filter).bytes(), expected, true);
        } else {
            assert_same(resize_picture(&picture(input), size, filter).bytes(), expected, false);
        }
        true
    });
    assert!(count > 50, "{count} cases");
}

#[test]
fn gaussian_blur_is_pillows() {
    let count = for_each_case(|case| {
        let Case::Blur { input, radius, expected } = case else { return false };
        if is_grey(input) {
            assert_same(gaussian_blur_mask(&mask(input), *radius).bytes(), expected, true);
        } else {
            assert_same(gaussian_blur_picture(&picture(input), *radius).bytes(), expected, false);
        }
        true
    });
    assert!(count > 10, "{count} cases");
}

#[test]
fn fill_and_crop_are_the_references() {
    let count = for_each_case(|case| {
        match case {
            Case::Fill { input, size, expected } if is_grey(input) => {
                let fitted = resize_mask_and_fill(&mask(input), extent(*size));
                assert_same(fitted.bytes(), expected, true);
            }
            Case::Fill { input, size, expected } => {
                let fitted = resize_and_fill(&picture(input), extent(*size));
                assert_same(fitted.bytes(), expected, false);
            }
            Case::Crop { input, size, expected } => {
                let fitted = resize_and_crop(&picture(input), extent(*size));
                assert_same(fitted.bytes(), expected, false);
            }
            _ => return false,
        }
        true
    });
    assert!(count > 15, "{count} cases");
}

#[test]
fn crop_region_is_the_references() {
    let count = for_each_case(|case| {
        let Case::CropRegion { extent: whole, painted, size, padding, region } = case else {
            return false;
        };
        let mut mask = Mask::new(extent(*whole));
        for y in painted[1]..painted[3] {
            mask.row_mut(y as u32)[painted[0] as usize..painted[2] as usize].fill(1);
        }
        let expected = Bounds::from_corners(region[0], region[1], region[2], region[3]);
        let got = crop_region(&mask, extent(*size), *padding);
        assert_eq!(got, Some(expected), "{whole:?} {painted:?} {size:?} {padding}");
        true
    });
    assert!(count > 50, "{count} cases");
    assert_eq!(crop_region(&Mask::new(Extent::new(5, 5)), Extent::new(8, 8), 3), None);
}

#[test]
fn overlay_is_the_references() {
    let count = for_each_case(|case| {
        let Case::Overlay { input, mask: mask_name, generated, crop, expected } = case else {
            return false;
        };
        let crop = crop.map(|c| Bounds::from_corners(c[0], c[1], c[2], c[3]));
        let got = apply_overlay(&mask(mask_name), &picture(input), &picture(generated), crop);
        assert_same(got.bytes(), expected, false);
        true
    });
    assert!(count > 5, "{count} cases");
}

#[test]
fn luma_is_pillows() {
    let count = for_each_case(|case| {
        let Case::Luma { input, expected } = case else { return false };
        assert_same(mask_from_luma(&picture(input)).bytes(), expected, true);
        true
    });
    assert_eq!(count, 2);
}

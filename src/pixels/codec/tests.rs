//! Files in, files out, and files that are wrong.

use std::{fs, io};

use image::{ImageEncoder, codecs::jpeg::JpegEncoder};

use super::*;
use crate::pixels::{Mask, Picture};

fn gradient(width: u32, height: u32, alpha: u8) -> Picture {
    let mut picture = Picture::new(Extent::new(width, height));
    for (i, p) in picture.bytes_mut().chunks_exact_mut(4).enumerate() {
        p.copy_from_slice(&[(i * 7) as u8, (i * 3) as u8, !(i as u8), alpha]);
    }
    picture
}

/// A JPEG, left half red and right half blue, whose EXIF block says `orientation`.
fn oriented_jpeg(orientation: u8) -> Vec<u8> {
    let mut data = Vec::new();
    for _ in 0..16 {
        data.extend([220, 20, 20].repeat(16));
        data.extend([20, 20, 220].repeat(16));
    }
    // Little-endian TIFF with one entry: tag 0x0112, type SHORT, one value.
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(&data, 32, 16, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

#[test]
fn lossless_formats_give_the_pixels_back() {
    let folder = tempfile::tempdir().unwrap();
    for alpha in [255, 100] {
        let picture = gradient(13, 7, alpha);
        for name in ["a.png", "a.webp", "a.tif", "a.TIFF", "a.bmp"] {
            let path = folder.path().join(name);
            save_picture(&path, &picture, &[]).unwrap();
            assert_eq!(load_picture(&path).unwrap().bytes(), picture.bytes(), "{name} {alpha}");
        }
    }
}

#[test]
fn masks_give_their_bytes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mask = Mask::from_raw(Extent::new(16, 16), (0..=255).collect()).unwrap();
    for name in ["a.png", "a.webp", "a.tif", "a.bmp"] {
        let path = folder.path().join(name);
        save_mask(&path, &mask).unwrap();
        assert_eq!(load_mask(&path).unwrap().bytes(), mask.bytes(), "{name}");
    }
}

#[test]
fn a_mask_ignores_alpha_and_takes_luma() {
    let see_through = Picture::from_raw(Extent::new(1, 1), vec![255, 0, 0, 10]).unwrap();
    let bytes = encode_png(&see_through, &[]).unwrap();
    assert_eq!(decode_mask(&bytes, "mask.png").unwrap().bytes(), [76]);
}

#[test]
fn jpeg_puts_transparency_on_white() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    let clear = Picture::new(Extent::new(8, 8));
    save_picture(&path, &clear, &[]).unwrap();
    let back = load_picture(&path).unwrap();
    assert!(back.bytes().chunks_exact(4).all(|p| p.iter().all(|&v| v >= 253)));
}

#[test]
fn exif_orientation_turns_the_picture_upright() {
    let is_red = |p: &[u8]| p[0] > 128;
    let plain = decode_picture(&oriented_jpeg(1), "a.jpg").unwrap();
    assert_eq!(plain.extent(), Extent::new(32, 16));
    assert!(is_red(plain.pixel(2, 8)) && !is_red(plain.pixel(30, 8)));
    // 6: the camera was turned, the picture's left becomes its top.
    let turned = decode_picture(&oriented_jpeg(6), "a.jpg").unwrap();
    assert_eq!(turned.extent(), Extent::new(16, 32));
    assert!(is_red(turned.pixel(8, 2)) && !is_red(turned.pixel(8, 30)));
    let upside_down = decode_picture(&oriented_jpeg(3), "a.jpg").unwrap();
    assert!(!is_red(upside_down.pixel(2, 8)) && is_red(upside_down.pixel(30, 8)));
    let mask = decode_mask(&oriented_jpeg(8), "a.jpg").unwrap();
    assert_eq!(mask.extent(), Extent::new(16, 32));
}

#[test]
fn sixteen_bits_keep_their_high_byte() {
    let deep: Vec<u16> = vec![0x00ff, 0x0100, 0x7fff, 0x8000, 0xfeff, 0xffff];
    let colour = image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(2, 1, deep.clone()).unwrap();
    let mut bytes = io::Cursor::new(Vec::new());
    colour.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    let picture = decode_picture(bytes.get_ref(), "deep.png").unwrap();
    assert_eq!(picture.bytes(), [0, 1, 0x7f, 255, 0x80, 0xfe, 0xff, 255]);
    let grey = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(6, 1, deep).unwrap();
    let mut bytes = io::Cursor::new(Vec::new());
    grey.write_to(&mut bytes, image::ImageFormat::Tiff).unwrap();
    let mask = decode_mask(bytes.get_ref(), "deep.tif").unwrap();
    assert_eq!(mask.bytes(), [0, 1, 0x7f, 0x80, 0xfe, 0xff]);
}

#[test]
fn damaged_files_are_refused_by_name() {
    let whole = encode_png(&gradient(64, 64, 255), &[]).unwrap();
    for cut in [20, whole.len() / 2, whole.len() - 30] {
        let error = decode_picture(&whole[..cut], "cut.png").unwrap_err();
        assert!(matches!(error, CodecError::Damaged { .. }), "{cut}: {error}");
        assert!(error.to_string().starts_with("cut.png is damaged or cut short"), "{error}");
    }
    let error = decode_picture(b"hello there, not a picture", "a.png").unwrap_err();
    assert!(matches!(error, CodecError::UnknownFormat { .. }), "{error}");
    let error = decode_picture(b"GIF89a\x01\0\x01\0\0\0\0", "a.gif").unwrap_err();
    assert!(matches!(error, CodecError::UnknownFormat { .. }), "{error}");
    let error = load_picture("/no/such/file.png".as_ref()).unwrap_err();
    assert!(error.to_string().starts_with("/no/such/file.png could not be read"), "{error}");
}

#[test]
fn too_large_pictures_are_refused_with_their_size() {
    // Only the header: 20000 x 3, 8-bit RGB, with its checksum.
    let mut header = b"IHDR".to_vec();
    header.extend(20000_u32.to_be_bytes());
    header.extend(3_u32.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    file.extend(&header);
    file.extend(crc32(&header).to_be_bytes());
    file.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    let error = decode_picture(&file, "wide.png").unwrap_err();
    assert!(error.to_string().contains("wide.png is 20000x3; pictures up to 16384"), "{error}");
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| (c >> 1) ^ (0xEDB8_8320 & (c & 1).wrapping_neg()))
    })
}

#[test]
fn text_chunks_come_back() {
    let text = vec![
        ("parameters".to_owned(), "a cat\nSteps: 20, Seed: 7".to_owned()),
        ("overpaint".to_owned(), "{\"prompt\":\"猫 on a mat\"}".to_owned()),
    ];
    let bytes = encode_png(&gradient(4, 4, 255), &text).unwrap();
    assert_eq!(decode_text(&bytes, "a.png").unwrap(), text);
    assert_eq!(decode_picture(&bytes, "a.png").unwrap().bytes(), gradient(4, 4, 255).bytes());
    assert_eq!(decode_text(&oriented_jpeg(1), "a.jpg").unwrap(), []);
    let bad_key = vec![(String::new(), "x".to_owned())];
    assert!(matches!(encode_png(&gradient(4, 4, 255), &bad_key), Err(CodecError::Encode { .. })));
}

#[test]
fn the_extension_chooses_and_unknown_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = save_picture(&folder.path().join("a.gif"), &gradient(2, 2, 255), &[]).unwrap_err();
    assert!(matches!(error, CodecError::Extension { .. }), "{error}");
    let missing = folder.path().join("no").join("a.png");
    let error = save_picture(&missing, &gradient(2, 2, 255), &[]).unwrap_err();
    assert!(matches!(error, CodecError::Write { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_failed_save_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("work.png");
    save_atomically(&path, |w| w.write_all(b"first")).unwrap();
    let failure = save_atomically(&path, |w| {
        w.write_all(b"half of the sec")?;
        Err(io::Error::other("disk full"))
    });
    assert_eq!(failure.unwrap_err().to_string(), "disk full");
    assert_eq!(fs::read(&path).unwrap(), b"first");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    save_atomically(&path, |w| w.write_all(b"second")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

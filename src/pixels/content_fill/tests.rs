//! What a fill promises.

use super::*;

/// Upright stripes, 4 pixels each.
fn stripes(extent: Extent) -> Picture {
    let mut picture = Picture::new(extent);
    for (i, p) in picture.bytes_mut().chunks_exact_mut(4).enumerate() {
        let x = i % extent.width as usize;
        p.copy_from_slice(if (x / 4).is_multiple_of(2) {
            &[200, 40, 40, 255]
        } else {
            &[30, 60, 160, 255]
        });
    }
    picture
}

fn hole(extent: Extent, bounds: Bounds) -> Mask {
    let mut mask = Mask::new(extent);
    for y in bounds.y..bounds.bottom() {
        mask.row_mut(y as u32)[bounds.x as usize..bounds.right() as usize].fill(255);
    }
    mask
}

fn fill(picture: &Picture, mask: &Mask, seed: u64) -> Result<Picture, FillError> {
    let options = FillOptions { seed, ..Default::default() };
    content_fill(picture, mask, &options, &mut |_| ControlFlow::Continue(()))
}

/// The picture with its hole painted over, so that nothing of the truth is left in it.
fn spoiled(picture: &Picture, mask: &Mask) -> Picture {
    let mut out = picture.clone();
    for (p, &m) in out.bytes_mut().chunks_exact_mut(4).zip(mask.bytes()) {
        if m != 0 {
            p.copy_from_slice(&[0, 255, 0, 255]);
        }
    }
    out
}

fn share_that_differs(a: &Picture, b: &Picture, mask: &Mask) -> f32 {
    let pairs = a.bytes().chunks_exact(4).zip(b.bytes().chunks_exact(4)).zip(mask.bytes());
    let (mut wrong, mut all) = (0, 0);
    for ((a, b), &m) in pairs {
        if m != 0 {
            all += 1;
            wrong += usize::from(a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > 8));
        }
    }
    wrong as f32 / all as f32
}

#[test]
fn stripes_continue_through_a_hole() {
    let extent = Extent::new(96, 80);
    let picture = stripes(extent);
    for bounds in
        [Bounds::new(34, 30, 25, 22), Bounds::new(0, 0, 30, 25), Bounds::new(70, 60, 26, 20)]
    {
        let mask = hole(extent, bounds);
        let filled = fill(&spoiled(&picture, &mask), &mask, 1).unwrap();
        let wrong = share_that_differs(&filled, &picture, &mask);
        assert!(wrong < 0.02, "{bounds:?}: {wrong}");
    }
}

#[test]
fn only_the_hole_changes_and_the_seed_decides() {
    let extent = Extent::new(80, 60);
    // Noise: no patch fits perfectly, so the search has something to choose.
    let mut random = random::Random::new(3, [0; 3]);
    let mut picture = stripes(extent);
    for p in picture.bytes_mut().chunks_exact_mut(4) {
        p[1] = random.below(256) as u8;
    }
    let mask = hole(extent, Bounds::new(20, 15, 30, 30));
    let filled = fill(&picture, &mask, 5).unwrap();
    for (i, &m) in mask.bytes().iter().enumerate() {
        let at = i * 4..i * 4 + 4;
        assert!(m != 0 || filled.bytes()[at.clone()] == picture.bytes()[at]);
    }
    assert_eq!(fill(&picture, &mask, 5).unwrap(), filled);
    assert_ne!(fill(&picture, &mask, 6).unwrap(), filled);
}

#[test]
fn transparent_pixels_are_no_sources() {
    let extent = Extent::new(64, 64);
    let mut picture = stripes(extent);
    for y in 0..64 {
        for p in picture.row_mut(y)[32 * 4..].chunks_exact_mut(4) {
            p.copy_from_slice(&[0, 255, 0, 0]);
        }
    }
    let mask = hole(extent, Bounds::new(8, 20, 20, 20));
    let filled = fill(&picture, &mask, 0).unwrap();
    for (p, &m) in filled.bytes().chunks_exact(4).zip(mask.bytes()) {
        assert!(m == 0 || (p[1] < 100 && p[3] == 255), "{p:?}");
    }
}

#[test]
fn impossible_holes_are_refused() {
    let extent = Extent::new(40, 30);
    let picture = stripes(extent);
    let everything = hole(extent, extent.bounds());
    assert_eq!(fill(&picture, &everything, 0), Err(FillError::NoSource));
    let clear = Picture::new(extent);
    let mask = hole(extent, Bounds::new(3, 3, 5, 5));
    assert_eq!(fill(&clear, &mask, 0), Err(FillError::NoSource));
    let tiny = Picture::from_raw(Extent::new(3, 3), vec![255; 36]).unwrap();
    let dot = hole(tiny.extent(), Bounds::new(1, 1, 1, 1));
    assert_eq!(fill(&tiny, &dot, 0), Err(FillError::NoSource));
    assert!(matches!(fill(&picture, &dot, 0), Err(FillError::Extents { .. })));
    assert_eq!(fill(&picture, &Mask::new(extent), 0), Ok(picture));
}

#[test]
fn every_round_shows_a_whole_picture_and_can_be_the_last() {
    let extent = Extent::new(80, 64);
    let picture = stripes(extent);
    let mask = hole(extent, Bounds::new(20, 20, 30, 30));
    let mut seen = Vec::new();
    content_fill(&picture, &mask, &FillOptions::default(), &mut |progress| {
        assert_eq!(progress.picture.extent(), extent);
        assert_eq!(progress.picture.row(0), picture.row(0));
        seen.push(progress.fraction);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(seen.len() > 5 && seen.is_sorted() && seen.last() == Some(&1.0), "{seen:?}");
    let mut rounds = 0;
    let cancelled = content_fill(&picture, &mask, &FillOptions::default(), &mut |_| {
        rounds += 1;
        if rounds == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(cancelled, Err(FillError::Cancelled));
    assert_eq!(rounds, 3);
}

#[test]
fn a_slope_is_filled_without_steps() {
    // Nowhere else is the picture quite as bright as in the hole, so pieces copied there differ.
    let extent = Extent::new(128, 128);
    let mut picture = Picture::new(extent);
    for (i, p) in picture.bytes_mut().chunks_exact_mut(4).enumerate() {
        let (dx, dy) = ((i % 128) as f32 - 64.0, (i / 128) as f32 - 64.0);
        let light = (230.0 - 0.02 * (dx * dx + dy * dy)) as u8;
        p.copy_from_slice(&[light, light, light / 2, 255]);
    }
    let mask = hole(extent, Bounds::new(44, 44, 40, 40));
    let filled = fill(&spoiled(&picture, &mask), &mask, 0).unwrap();
    let mut steepest = 0;
    for y in 43..84 {
        for x in 43..84 {
            let here = filled.pixel(x, y)[0];
            steepest = steepest.max(here.abs_diff(filled.pixel(x + 1, y)[0]));
            steepest = steepest.max(here.abs_diff(filled.pixel(x, y + 1)[0]));
        }
    }
    assert!(steepest <= 4, "a step of {steepest}");
}

#[test]
fn a_smooth_fill_continues_a_gradient_and_keeps_the_rest() {
    let extent = Extent::new(64, 48);
    let mut picture = Picture::new(extent);
    for (i, p) in picture.bytes_mut().chunks_exact_mut(4).enumerate() {
        let x = (i % 64) as u8;
        p.copy_from_slice(&[x * 4, 100, 255 - x * 4, 255]);
    }
    let mask = hole(extent, Bounds::new(24, 16, 16, 16));
    let filled = smooth_fill(&spoiled(&picture, &mask), &mask);
    for (i, (got, wanted)) in
        filled.bytes().chunks_exact(4).zip(picture.bytes().chunks_exact(4)).enumerate()
    {
        let tolerance = if mask.bytes()[i] == 0 { 0 } else { 24 };
        assert!(got.iter().zip(wanted).all(|(g, w)| g.abs_diff(*w) <= tolerance), "{i} {got:?}");
    }
}

/// Mean absolute difference between horizontal neighbours, where both lie within `bounds`.
fn grain(picture: &Picture, bounds: Bounds) -> f32 {
    let mut sum = 0;
    for y in bounds.y..bounds.bottom() {
        for x in bounds.x..bounds.right() - 1 {
            let at = |x: i32| picture.pixel(x as u32, y as u32)[1];
            sum += u32::from(at(x).abs_diff(at(x + 1)));
        }
    }
    sum as f32 / (bounds.height as i32 * (bounds.width as i32 - 1)) as f32
}

#[test]
fn grain_is_not_filled_with_the_one_flat_patch_there_is() {
    let extent = Extent::new(144, 128);
    let flat = Bounds::new(8, 8, 26, 26);
    let mut random = random::Random::new(11, [0; 3]);
    let mut picture = Picture::new(extent);
    for (i, p) in picture.bytes_mut().chunks_exact_mut(4).enumerate() {
        let (x, y) = (i as i32 % 144, i as i32 / 144);
        let within = (flat.x..flat.right()).contains(&x) && (flat.y..flat.bottom()).contains(&y);
        // The flat patch has the grain's mean, as a blurred fill has.
        let light = if within { 130 } else { 90 + random.below(81) as u8 };
        p.copy_from_slice(&[light, light, light, 255]);
    }
    let bounds = Bounds::new(56, 44, 46, 44);
    let mask = hole(extent, bounds);
    let filled = fill(&spoiled(&picture, &mask), &mask, 0).unwrap();
    let (got, wanted) = (grain(&filled, bounds), grain(&picture, bounds));
    assert!(got > 0.6 * wanted, "grain {got} in the hole, {wanted} around it");
}

#[test]
fn only_repeated_use_of_a_source_costs_more() {
    let extent = Extent::new(60, 40);
    let level = Level::new(&stripes(extent), &hole(extent, Bounds::new(4, 4, 12, 12)));
    let matches = |source: &dyn Fn(u32) -> u32| -> Vec<field::Match> {
        (0..100).map(|i| field::Match { source: source(i), distance: 1000 }).collect()
    };
    let copied_once = matches(&|i| (20 + i / 10) * 60 + 30 + i % 10);
    assert!(usage::penalties(&level, &copied_once).iter().all(|&p| p == 0));
    let repeated = usage::penalties(&level, &matches(&|_| 20 * 60 + 30));
    assert!(repeated[20 * 60 + 30] > 400 && repeated[10 * 60 + 30] == 0);
}

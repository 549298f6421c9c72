//! The two masks, the match of colours, and what a blend leaves alone.

use proptest::prelude::*;

use super::*;

const SIDE: u32 = 200;
const EXTENT: Extent = Extent::new(SIDE, SIDE);
const INSIDE: InnerSides = InnerSides { left: true, top: true, right: true, bottom: true };

fn painted(place: Bounds, value: u8) -> Mask {
    let mut mask = Mask::new(EXTENT);
    for y in place.y..place.bottom() {
        mask.row_mut(y as u32)[place.x as usize..place.right() as usize].fill(value);
    }
    mask
}

fn picture(colour: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
    let places = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
    let bytes = places.flat_map(|(x, y)| {
        let [r, g, b] = colour(x, y);
        [r, g, b, 255]
    });
    Picture::from_raw(EXTENT, bytes.collect()).unwrap()
}

fn hole(painted: Mask) -> Hole {
    Hole { painted: Arc::new(painted), strength: 1.0, inner_sides: InnerSides::default() }
}

#[test]
fn automatic_widths_follow_the_mask_and_the_strength() {
    let square = Bounds::new(50, 60, 300, 300);
    let widths = Edge::AUTO.px(square, 1.0);
    assert_eq!(widths, EdgePx { grow: 25.0, feather: 42.0, fade: 25.0 });
    assert_eq!(widths.reach(), 46.0);
    let weak = Edge::AUTO.px(square, 0.25);
    assert_eq!(weak, EdgePx { grow: 9.0, feather: 10.0, fade: 14.0 });
    let own = Edge { grow: EdgeWidth::Px(3.0), ..Edge::AUTO }.px(square, 1.0);
    assert_eq!(own, EdgePx { grow: 3.0, feather: 42.0, fade: 24.0 });
}

#[test]
fn both_masks_are_full_over_what_is_painted_and_end_within_reach() {
    for (place, strength) in [
        (Bounds::new(80, 80, 40, 30), 1.0),
        (Bounds::new(100, 90, 1, 1), 1.0),
        (Bounds::new(70, 90, 60, 20), 0.3),
    ] {
        let mask = painted(place, 255);
        let hole = Hole { strength, inner_sides: INSIDE, ..hole(mask.clone()) };
        let masks = hole.masks(Edge::AUTO);
        let reach = Edge::AUTO.px(place, strength).reach() as i32;
        for (i, &value) in mask.bytes().iter().enumerate() {
            let (denoise, composite) = (masks.denoise.bytes()[i], masks.composite.bytes()[i]);
            if value == 255 {
                assert_eq!((denoise, composite), (255, 255));
            }
            assert!(composite == 0 || denoise > 0, "what is taken was sampled");
        }
        let ends = masks.composite.bounding_box().unwrap();
        assert_eq!(ends.union(place.grow(reach as u32 + 1)), place.grow(reach as u32 + 1));
        assert!(ends.width > place.width, "softly, outside");
        let row = masks.composite.row(place.y as u32);
        let falling = &row[place.right() as usize..];
        assert!(falling.windows(2).all(|pair| pair[0] >= pair[1]));
    }
}

#[test]
fn without_widths_the_mask_is_taken_as_it_is() {
    let mut mask = painted(Bounds::new(20, 20, 50, 50), 255);
    mask.row_mut(10)[3..9].copy_from_slice(&[1, 7, 25, 26, 128, 254]);
    let masks = hole(mask.clone()).masks(Edge::default());
    assert_eq!(masks.composite, mask);
    assert_eq!(masks.denoise, mask);
}

#[test]
fn grey_stays_grey_and_a_soft_edge_still_grows() {
    let grey = hole(painted(Bounds::new(80, 80, 40, 40), 100)).masks(Edge::AUTO);
    assert_eq!(grey.composite.pixel(100, 100), [100]);
    assert_eq!(grey.composite.bytes().iter().max(), Some(&100));
    let mut soft = painted(Bounds::new(80, 80, 40, 40), 255);
    for y in 80..120 {
        soft.row_mut(y)[120..124].copy_from_slice(&[190, 120, 60, 10]);
    }
    let masks = hole(soft).masks(Edge::AUTO);
    assert_eq!(masks.composite.pixel(123, 100), [255]);
}

#[test]
fn what_reaches_an_inner_side_fades_there_and_at_the_pictures_own_edge_it_does_not() {
    let mask = painted(Bounds::new(0, 0, 200, 120), 255);
    let sides = InnerSides { right: true, ..InnerSides::default() };
    let masks = Hole { inner_sides: sides, ..hole(mask) }.masks(Edge::AUTO);
    assert_eq!(masks.composite.pixel(0, 0), [255]);
    assert_eq!(masks.composite.pixel(100, 60), [255]);
    assert!(masks.composite.pixel(199, 60)[0] < 10);
}

#[test]
fn widths_are_read_and_written_as_they_are_typed() {
    let edge: Edge = serde_json::from_str(r#"{"grow": "auto", "feather": 12}"#).unwrap();
    assert_eq!((edge.grow, edge.feather), (EdgeWidth::Auto, EdgeWidth::Px(12.0)));
    assert_eq!(edge.fade, EdgeWidth::Px(0.0));
    let text = serde_json::to_string(&edge).unwrap();
    assert_eq!(text, r#"{"grow":"auto","feather":12.0,"fade":0.0}"#);
    assert!("-1".parse::<EdgeWidth>().unwrap_err().contains("auto, or pixels from 0 to 512"));
    assert!(serde_json::from_str::<Edge>(r#"{"grow": 900}"#).is_err());
}

/// Colours with some contrast of all three kinds.
fn motif(x: u32, y: u32) -> [u8; 3] {
    let wave = |t: u32| (128.0 + 60.0 * (f64::from(t) / 9.0).sin()) as u8;
    [wave(x), wave(y), wave(x + 2 * y)]
}

#[test]
fn a_shift_of_the_whole_piece_is_taken_back() {
    let original = picture(motif);
    let raw = picture(|x, y| {
        let [r, g, b] = motif(x, y).map(f32::from);
        [r * 0.9 + 18.0, g * 0.9 + 4.0, b * 0.9 - 6.0].map(|v| v.clamp(0.0, 255.0) as u8)
    });
    let hole = hole(painted(Bounds::new(80, 80, 40, 40), 255));
    let error = |blend: &Blend| {
        let made =
            Inlay { raw: Arc::new(raw.clone()), hole: hole.clone() }.blended(&original, blend);
        let mut sum = 0.0;
        for (y, x) in (80..120).flat_map(|y| (80..120).map(move |x| (y, x))) {
            let pair = made.layer.pixel(x, y).iter().zip(original.pixel(x, y));
            sum += pair.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
        }
        sum / (40.0 * 40.0 * 3.0)
    };
    let plain = Blend { color_match: false, seam: Seam::Feather, ..Blend::default() };
    let (off, on) = (error(&plain), error(&Blend { color_match: true, ..plain }));
    assert!(off > 6.0 && on < off / 4.0, "{off} {on}");
}

#[test]
fn a_flat_picture_gets_no_contrast_from_it() {
    let original = picture(|_, _| [120; 3]);
    let raw = picture(|x, y| motif(x, y).map(|v| v / 2 + 60));
    let hole = hole(painted(Bounds::new(80, 80, 40, 40), 255));
    let masks = hole.masks(Edge::AUTO);
    let layer = Blend { seam: Seam::Feather, ..Blend::default() }.layer(&original, &raw, &masks);
    let spread = |p: &Picture| {
        let values: Vec<u8> = (80..120).map(|x| p.pixel(x, 100)[0]).collect();
        values.iter().max().unwrap() - values.iter().min().unwrap()
    };
    let (before, after) = (spread(&raw), spread(&layer));
    assert!(after.abs_diff(before) < 12, "{before} {after}");
}

#[test]
fn a_piece_that_fits_already_is_left_alone() {
    let original = picture(motif);
    let mut raw = original.clone();
    raw.row_mut(100)[400..480].fill(9);
    let hole = hole(painted(Bounds::new(80, 80, 40, 40), 255));
    let blend = Blend { seam: Seam::Feather, ..Blend::default() };
    assert_eq!(blend.layer(&original, &raw, &hole.masks(Edge::AUTO)), raw);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_byte_changes_where_the_composite_mask_is_empty(
        place in (0i32..150, 0i32..150, 1u32..50, 1u32..50), value in 1u8..,
        grow in 0f32..30.0, feather in 0f32..60.0, width in 0f32..60.0, opacity in 0f32..=1.0,
    ) {
        let original = picture(motif);
        let raw = Arc::new(picture(|x, y| motif(y, x).map(|v| v / 2)));
        let px = EdgeWidth::Px;
        let edge = Edge { grow: px(grow), feather: px(feather), fade: px(width) };
        let blend = Blend { edge, opacity, ..Blend::default() };
        let place = Bounds::new(place.0, place.1, place.2, place.3);
        let inlay = Inlay { raw, hole: hole(painted(place, value)) };
        let made = inlay.blended(&original, &blend);
        let put = composite(&original, &made.layer, &made.composite_mask);
        for (i, &mask) in made.composite_mask.bytes().iter().enumerate() {
            if mask == 0 {
                prop_assert_eq!(&put.bytes()[i * 4..i * 4 + 4], &original.bytes()[i * 4..i * 4 + 4]);
            }
        }
        let reach = (grow + feather / 2.0) as u32 + 2;
        if let Some(ends) = made.composite_mask.bounding_box() {
            prop_assert_eq!(ends.union(place.grow(reach)), place.grow(reach));
        }
    }
}

//! Draws of torch 2.15, and of an independent Philox in numpy.

use candle_core::{DType, Device};

use super::{NoiseSource, PhiloxNoise, TorchNoise, first_integer};

#[track_caller]
fn assert_close(ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() < 4e-6, "{ours:?} against {theirs:?}");
    }
}

#[test]
fn blocks_of_sixteen() {
    let values = TorchNoise::new(42).fill(4 * 64 * 64);
    let first = [1.926915, 1.487284, 0.9007172, -2.105521, 0.6784185, -1.234545];
    assert_close(&values[..6], &first);
    assert_close(&values[16380..], &[-0.8111438, -0.6357505, 0.9728097, -0.2934061]);
}

#[test]
fn a_ragged_end_is_drawn_anew() {
    let values = TorchNoise::new(0).fill(37);
    assert_close(&values[..3], &[-1.12584, -1.15236, -0.2505786]);
    let overlap = [-1.352654, -1.695931, 0.5666506, 0.7935084, 0.5988395, 0.1124112];
    assert_close(&values[16..22], &overlap);
    let end = [-1.586689, 1.203224, 0.0845347, -1.200139, -0.004785738, -0.5180748];
    assert_close(&values[31..], &end);
}

#[test]
fn short_draws_keep_half_a_pair() {
    let mut noise = TorchNoise::new(7);
    assert_close(&noise.fill(5), &[-0.1467951, 0.7861413, 0.9468216, -1.114344, 1.69079]);
    assert_close(&noise.fill(3), &[-0.8948279, -0.355625, 1.232386]);
    assert_close(&noise.fill(16)[..4], &[-1.582665, -0.3245666, 1.926368, -0.3300117]);
    assert_close(&noise.fill(2), &[2.438208, 0.2027583]);
    // It waits through a long draw.
    let mut noise = TorchNoise::new(7);
    noise.fill(5);
    noise.fill(16);
    assert!((noise.fill(2)[0] + 0.8948279).abs() < 4e-6);
}

#[test]
fn large_seeds() {
    let values = TorchNoise::new(123_456_789_012).fill(16);
    assert_close(&values[..4], &[-0.35335988, -0.2634964, -1.373362, -3.3606706]);
    // torch's processor generator takes the low half of a seed.
    assert_eq!(TorchNoise::new((1 << 32) + 5).fill(16), TorchNoise::new(5).fill(16));
}

#[test]
fn philox_numbers_its_calls() {
    let first = PhiloxNoise::new(0).fill(4);
    assert_close(&first, &[-0.9246624, -0.42534393, -2.6438458, 0.14518386]);
    let mut noise = PhiloxNoise::new(123_456_789_012);
    assert_close(&noise.fill(4), &[1.818138, 0.7406977, -0.8840778, 2.38407]);
    assert_close(&noise.fill(4), &[-1.604967, -1.298679, -0.9118444, 0.5917514]);
}

#[test]
fn half_precision_is_cast_after_drawing() {
    let mut noise = TorchNoise::new(42);
    let tensor = noise.randn((1, 4, 64, 64).into(), &Device::Cpu, DType::F16).unwrap();
    let first = tensor.flatten_all().unwrap().narrow(0, 0, 4).unwrap();
    let first: Vec<f32> = first.to_dtype(DType::F32).unwrap().to_vec1().unwrap();
    assert_close(&first, &[1.926758, 1.487305, 0.9008789, -2.105469]);
}

#[test]
fn whole_numbers_take_the_high_word_first() {
    for (seed, expected) in
        [(0, 900450186894289456), (5, 4095051218741643470), (1940647672, 4458787945392279409)]
    {
        assert_eq!(first_integer(seed), expected);
    }
}

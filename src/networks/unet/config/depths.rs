//! How many transformer blocks each attention layer has: `transformer_layers_per_block` and its
//! reverse. Pruned networks (Segmind's SSD-1B and Vega) have another number in each layer.

use serde::Deserialize;

use super::levels::{BlockKind, WayUp};
use crate::networks::{
    Result,
    config::{ConfigReader, OneOrMany},
};

const DOWN: &str = "transformer_layers_per_block";
/// From the coarsest level.
const UP: &str = "reverse_transformer_layers_per_block";

/// By level from the finest, and by layer.
type LayerDepths = Vec<Vec<usize>>;

/// A number for all levels; or for each level a number for all its layers, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Depths {
    All(usize),
    Each(Vec<OneOrMany<usize>>),
}

/// Of each level, the depth of every layer on the way down and of every layer, one more, on the
/// way up. `layers` and the kinds are those of the levels from the finest.
///
/// # Errors
/// If the numbers do not fit the levels; if the layers of a level differ and the way up, which
/// cannot mirror that, has no numbers of its own.
pub fn read(
    json: &mut ConfigReader,
    layers: &[usize],
    down: &[BlockKind],
    up: &[BlockKind],
    way_up: WayUp,
) -> Result<(LayerDepths, LayerDepths)> {
    let of_levels = match json.take(DOWN, Depths::All(1))? {
        Depths::All(depth) => vec![OneOrMany::One(depth); layers.len()],
        Depths::Each(of_levels) => of_levels,
    };
    let uneven = of_levels.iter().any(|depths| matches!(depths, OneOrMany::Many(_)));
    let down_depths = by_layer(json, DOWN, of_levels, layers, down)?;
    let own: Option<Vec<OneOrMany<usize>>> = json.take(UP, None)?;
    let up_depths = match own {
        Some(mut of_levels) => {
            of_levels.reverse();
            let layers: Vec<usize> = layers.iter().map(|layers| layers + 1).collect();
            by_layer(json, UP, of_levels, &layers, up)?
        }
        None if uneven && way_up == WayUp::AsNamed => {
            return Err(json.error(UP, format!("is needed where {DOWN} has lists in it")));
        }
        None => down_depths.iter().map(|depths| one_more(depths)).collect(),
    };
    Ok((down_depths, up_depths))
}

/// With the first twice.
fn one_more(depths: &[usize]) -> Vec<usize> {
    depths.first().into_iter().chain(depths).copied().collect()
}

/// As the reference has it, the rest of a list that is longer than its level does not count, and
/// blocks without transformers take any; the first of the last level is the middle's, too.
fn by_layer(
    json: &ConfigReader,
    key: &str,
    of_levels: Vec<OneOrMany<usize>>,
    layers: &[usize],
    kinds: &[BlockKind],
) -> Result<LayerDepths> {
    if of_levels.len() != layers.len() {
        let why = format!("needs one value, or {}: one for each level", layers.len());
        return Err(json.error(key, why));
    }
    let levels = of_levels.into_iter().zip(layers).zip(kinds);
    let level = |((depths, &layers), kind): ((OneOrMany<usize>, &usize), &BlockKind)| {
        let depths = match depths {
            OneOrMany::One(depth) => vec![depth; layers],
            OneOrMany::Many(depths) => depths,
        };
        let enough = depths.len() >= layers || *kind != BlockKind::CrossAttention;
        let Some(&first) = depths.first().filter(|_| enough) else {
            let why = format!("a level of {layers} layers needs a number, or {layers} of them");
            return Err(json.error(key, why));
        };
        let of_layer = |layer: usize| depths.get(layer).copied().unwrap_or(first);
        Ok((0..layers).map(of_layer).collect())
    };
    levels.map(level).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const KINDS: [BlockKind; 2] = [BlockKind::Plain, BlockKind::CrossAttention];

    fn depths(text: &str, way_up: WayUp) -> Result<(LayerDepths, LayerDepths)> {
        let mut json = ConfigReader::parse(Path::new("unet/config.json"), text)?;
        read(&mut json, &[2, 2], &KINDS, &KINDS, way_up)
    }

    #[test]
    fn one_number_a_level_or_a_layer() {
        for (text, down, up) in [
            ("{}", vec![vec![1; 2], vec![1; 2]], vec![vec![1; 3], vec![1; 3]]),
            (
                r#"{"transformer_layers_per_block": [1, 5]}"#,
                vec![vec![1; 2], vec![5; 2]],
                vec![vec![1; 3], vec![5; 3]],
            ),
            (
                r#"{"transformer_layers_per_block": [[9], [4, 3, 7]],
                    "reverse_transformer_layers_per_block": [[4, 0, 10], 1]}"#,
                vec![vec![9; 2], vec![4, 3]],
                vec![vec![1; 3], vec![4, 0, 10]],
            ),
        ] {
            assert_eq!(depths(text, WayUp::AsNamed).unwrap(), (down, up), "{text}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_named() {
        for (text, key) in [
            (r#"{"transformer_layers_per_block": [1, [2, 3]]}"#, UP),
            (r#"{"transformer_layers_per_block": [1, 2, 3]}"#, DOWN),
            (r#"{"transformer_layers_per_block": [[], 2]}"#, DOWN),
            (r#"{"reverse_transformer_layers_per_block": [[1, 2], 2]}"#, UP),
            (r#"{"reverse_transformer_layers_per_block": [1]}"#, UP),
        ] {
            let error = depths(text, WayUp::AsNamed).unwrap_err().to_string();
            assert!(error.contains(&format!("\"{key}\"")), "{error}");
        }
        // A ControlNet has no way up that would need numbers.
        let uneven = r#"{"transformer_layers_per_block": [1, [2, 3]]}"#;
        assert_eq!(depths(uneven, WayUp::Mirrored).unwrap().0[1], [2, 3]);
    }
}

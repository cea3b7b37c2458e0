//! Which set of keys is made of which.

use super::set_id;

/// A set of keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Level {
    /// Positions of the keys it has.
    pub keys: Vec<usize>,
    /// What tells its groups from those of other sets: [`set_id`], and above it how many times the same set came before.
    pub id: u64,
    /// The level whose groups become its groups.
    pub from: usize,
}

/// All keys, and each of the sets after those it can be made of. Of a set is given which keys it has not.
pub(super) fn of_sets(sets: &[Vec<bool>]) -> Vec<Level> {
    let keys = sets.first().map_or(0, Vec::len);
    let mut levels = vec![Level { keys: (0..keys).collect(), id: 0, from: 0 }];
    let mut in_order: Vec<&Vec<bool>> = sets.iter().collect();
    in_order.sort_by_key(|set| set.iter().filter(|absent| **absent).count());
    for (i, set) in in_order.iter().enumerate() {
        let before = in_order[..i].iter().filter(|other| other == &set).count() as u64;
        let id = set_id(keys, |key| !set[key]) | before << keys;
        if id == 0 {
            continue;
        }
        let keys: Vec<usize> = (0..keys).filter(|key| !set[*key]).collect();
        let has_all = |level: &Level| keys.iter().all(|key| level.keys.contains(key));
        let candidates = levels.iter().enumerate().filter(|(_, level)| has_all(level));
        let from = candidates.min_by_key(|(_, level)| level.keys.len()).map_or(0, |(i, _)| i);
        levels.push(Level { keys, id, from });
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(keys: &[usize], id: u64, from: usize) -> Level {
        Level { keys: keys.to_vec(), id, from }
    }

    #[test]
    fn a_rollup_goes_down_step_by_step() {
        let sets = [vec![true, true], vec![false, true], vec![false, false]];
        assert_eq!(of_sets(&sets), [level(&[0, 1], 0, 0), level(&[0], 1, 0), level(&[], 3, 1)]);
    }

    #[test]
    fn a_set_without_another_above_it_is_made_of_all_keys() {
        let sets = [vec![false, true, true], vec![true, true, false], vec![true, true, true]];
        let expected = [level(&[0, 1, 2], 0, 0), level(&[0], 3, 0), level(&[2], 6, 0), level(&[], 7, 1)];
        assert_eq!(of_sets(&sets), expected);
    }

    #[test]
    fn the_same_set_again_has_another_number() {
        let sets = [vec![false], vec![true], vec![false], vec![true]];
        let expected = [level(&[0], 0, 0), level(&[0], 2, 0), level(&[], 1, 0), level(&[], 3, 2)];
        assert_eq!(of_sets(&sets), expected);
    }
}

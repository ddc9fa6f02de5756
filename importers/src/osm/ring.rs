//! Multipolygon relations: their member ways joined to rings (wiki.openstreetmap.org/wiki/Relation:multipolygon).

use std::collections::HashMap;

/// A closed sequence of nodes, the first not repeated, with whether its ways have the role `inner`.
pub(super) type Ring = (Vec<i64>, bool);

/// Joins ways at their ends. Gives the rings, and how many ways are left that close no ring.
pub(super) fn join(ways: &[(&[i64], bool)]) -> (Vec<Ring>, usize) {
    let mut rings = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for (index, (refs, is_inner)) in ways.iter().enumerate() {
        match refs {
            [first, middle @ .., last] if first == last && middle.len() >= 2 => {
                rings.push((refs[..refs.len() - 1].to_vec(), *is_inner));
            }
            [first, .., last] if first != last => open.push(index),
            _ => {}
        }
    }
    let mut ends: HashMap<i64, Vec<usize>> = HashMap::new();
    for &index in &open {
        let refs = ways[index].0;
        for end in [refs.first(), refs.last()].into_iter().flatten() {
            ends.entry(*end).or_default().push(index);
        }
    }
    let mut is_used = vec![false; ways.len()];
    let mut left = 0;
    for &start in &open {
        if is_used[start] {
            continue;
        }
        is_used[start] = true;
        left += walk(start, ways, &mut ends, &mut is_used, &mut rings);
    }
    (rings, left)
}

/// A way on the path, walked from its first node or from its last.
struct Step {
    way: usize,
    is_reversed: bool,
}

/// Walks on from way to way. Whenever the path meets a junction that it has passed, the loop between is a ring of its
/// own; so rings that touch in a node come apart. Gives how many ways closed no ring.
fn walk(
    start: usize,
    ways: &[(&[i64], bool)],
    ends: &mut HashMap<i64, Vec<usize>>,
    is_used: &mut [bool],
    rings: &mut Vec<Ring>,
) -> usize {
    let first = |way: usize| ways[way].0.first().copied().unwrap_or_default();
    let last = |way: usize| ways[way].0.last().copied().unwrap_or_default();
    let mut path = vec![Step { way: start, is_reversed: false }];
    // Junction to the number of steps before it.
    let mut passed = HashMap::from([(first(start), 0)]);
    let mut at = last(start);
    let mut lost = 0;
    loop {
        if let Some(&from) = passed.get(&at) {
            let steps = path.split_off(from);
            for step in &steps[1..] {
                passed.remove(&if step.is_reversed { last(step.way) } else { first(step.way) });
            }
            let is_inner = ways[steps[0].way].1;
            rings.push((nodes(&steps, ways), is_inner));
            if path.is_empty() {
                return lost;
            }
        } else {
            passed.insert(at, path.len());
        }
        let candidates = ends.get_mut(&at);
        let next = candidates.and_then(|list| {
            list.retain(|way| !is_used[*way]);
            list.pop()
        });
        match next {
            Some(way) => {
                is_used[way] = true;
                let is_reversed = last(way) == at;
                at = if is_reversed { first(way) } else { last(way) };
                path.push(Step { way, is_reversed });
            }
            None => {
                // A dead end: steps back one way.
                let Some(step) = path.pop() else { return lost };
                lost += 1;
                passed.remove(&at);
                at = if step.is_reversed { last(step.way) } else { first(step.way) };
                if path.is_empty() {
                    return lost;
                }
                passed.remove(&at);
            }
        }
    }
}

fn nodes(steps: &[Step], ways: &[(&[i64], bool)]) -> Vec<i64> {
    let mut ring = Vec::new();
    for step in steps {
        let refs = ways[step.way].0;
        // The last node of each is the first of the next.
        let count = refs.len() - 1;
        match step.is_reversed {
            true => ring.extend(refs.iter().rev().take(count)),
            false => ring.extend(refs.iter().take(count)),
        }
    }
    ring
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(ways: &[&[i64]]) -> (Vec<usize>, usize) {
        let ways: Vec<(&[i64], bool)> = ways.iter().map(|refs| (*refs, false)).collect();
        let (rings, left) = join(&ways);
        let mut sizes: Vec<usize> = rings.iter().map(|(ring, _)| ring.len()).collect();
        sizes.sort_unstable();
        (sizes, left)
    }

    #[test]
    fn ways_of_any_direction_join_to_rings() {
        assert_eq!(joined(&[&[1, 2, 3], &[5, 4, 3], &[5, 6, 1]]), (vec![6], 0));
        assert_eq!(joined(&[&[1, 2, 3, 1], &[7, 8, 9, 7]]), (vec![3, 3], 0));
    }

    #[test]
    fn rings_that_touch_come_apart() {
        // An eight through node 1.
        assert_eq!(joined(&[&[1, 2, 3], &[3, 4, 1], &[1, 5, 6], &[6, 7, 1]]), (vec![4, 4], 0));
    }

    #[test]
    fn what_closes_no_ring_is_counted() {
        assert_eq!(joined(&[&[1, 2, 3], &[3, 4, 5]]), (vec![], 2));
        assert_eq!(joined(&[&[9, 1], &[1, 2, 3], &[3, 4, 1]]), (vec![4], 1));
        assert_eq!(joined(&[&[1], &[], &[2, 2]]), (vec![], 0));
    }
}

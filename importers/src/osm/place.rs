//! Where the nodes are that ways use: a sorted array of ids with a place beside each.
//!
//! A node costs 16 bytes: 8 for its id and 4 each for longitude and latitude in units of 10⁻⁷ degrees. While the ids are
//! gathered, a node that several ways use may stand in the array more than once; it is sorted and cleared of these
//! whenever it has doubled.

use glam::DVec3;

/// Nodes that are kept at most: 1 GiB of ids and places. A file that needs more has to be cut with a box first.
pub(super) const MAX_NODES: usize = 64 << 20;
/// Ids that are gathered before the array is sorted for the first time.
const FIRST_SORT: usize = 1 << 20;
/// Stands for a node that the file does not hold.
const NOWHERE: [i32; 2] = [i32::MIN, i32::MIN];

/// Ids of wanted nodes, being gathered.
#[derive(Debug)]
pub(super) struct Wanted {
    ids: Vec<i64>,
    sort_at: usize,
    most: usize,
}

impl Wanted {
    pub fn new(most: usize) -> Self {
        Self { ids: Vec::new(), sort_at: FIRST_SORT.min(most), most }
    }

    /// Wants these nodes; the error is the sentence that refuses the file.
    pub fn add(&mut self, refs: &[i64]) -> Result<(), String> {
        self.ids.extend_from_slice(refs);
        if self.ids.len() < self.sort_at {
            return Ok(());
        }
        self.tidy();
        if self.ids.len() > self.most {
            return Err(format!(
                "its buildings, roads and areas have more than {} million nodes, for which 16 bytes of memory each are \
                 needed: cut a smaller piece first (osmium extract --bbox …)",
                self.most >> 20
            ));
        }
        self.sort_at = (self.ids.len() * 2).max(FIRST_SORT).min(self.most + FIRST_SORT);
        Ok(())
    }

    fn tidy(&mut self) {
        self.ids.sort_unstable();
        self.ids.dedup();
    }

    /// All of them, each once.
    pub fn places(mut self) -> Places {
        self.tidy();
        self.ids.shrink_to_fit();
        let at = vec![NOWHERE; self.ids.len()];
        Places { ids: self.ids, at, next: 0 }
    }
}

/// Places of the wanted nodes.
#[derive(Debug)]
pub(super) struct Places {
    ids: Vec<i64>,
    at: Vec<[i32; 2]>,
    /// Where the last one was found: files are sorted by id.
    next: usize,
}

impl Places {
    /// Keeps the place of a node that is wanted.
    pub fn put(&mut self, id: i64, lon: i32, lat: i32) {
        while self.ids.get(self.next).is_some_and(|wanted| *wanted < id) {
            self.next += 1;
        }
        if self.ids.get(self.next) != Some(&id) {
            // Behind the one that comes next, or not wanted.
            let Ok(found) = self.ids.binary_search(&id) else { return };
            self.next = found;
        }
        self.at[self.next] = [lon, lat];
    }

    /// Longitude and latitude of a node, in degrees.
    pub fn get(&self, id: i64) -> Option<DVec3> {
        let index = self.ids.binary_search(&id).ok()?;
        let [lon, lat] = *self.at.get(index)?;
        ([lon, lat] != NOWHERE).then(|| DVec3::new(f64::from(lon) / 1e7, f64::from(lat) / 1e7, 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_nodes_are_kept_in_whatever_order_they_come() {
        let mut wanted = Wanted::new(MAX_NODES);
        wanted.add(&[7, 3, 7, -2, 9]).unwrap();
        let mut places = wanted.places();
        for id in [3, 4, 9, -2, 100] {
            places.put(id, id as i32 * 10_000_000, 5);
        }
        assert_eq!(places.get(3), Some(DVec3::new(3.0, 5e-7, 0.0)));
        assert_eq!(places.get(-2).map(|v| v.x), Some(-2.0));
        assert_eq!((places.get(7), places.get(4)), (None, None));
    }

    #[test]
    fn too_many_nodes_are_refused_with_the_way_out() {
        let mut wanted = Wanted::new(1000);
        let ids: Vec<i64> = (0..500).collect();
        wanted.add(&ids).unwrap();
        for _ in 0..5000 {
            wanted.add(&ids).unwrap();
        }
        let ids: Vec<i64> = (0..2_000_000).collect();
        let refused = wanted.add(&ids).unwrap_err();
        assert!(refused.contains("osmium extract"), "{refused}");
    }
}

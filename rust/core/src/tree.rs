//! Several continuations at once, as a tree of target ids that share what they begin with.
//!
//! It begins with a line. Paths are written into it with what they are thought to be worth; a place is worth the
//! sum of the paths through it, so that paths which spell the same ids count together. The likeliest places
//! beside the line are taken: none is worth more than the one before it, so what is taken is a tree too.

use crate::id::{Id, TargetId};

/// The text so far, from which all paths go out.
const ROOT: usize = 0;

/// A place: a target id after those that lead to it.
struct Place {
    id: TargetId,
    parent: usize,
    depth: usize,
    worth: f64,
    children: Vec<usize>,
}

/// A line, and what stands beside it. Places are numbered: the root, the line, all others as they come.
pub struct Tree {
    places: Vec<Place>,
    line: usize,
    depth: usize,
}

/// Candidates beside a line, each behind the place before it.
#[derive(Debug, Default, PartialEq)]
pub struct Candidates {
    /// The target ids.
    pub ids: Vec<TargetId>,
    /// Of each, which place is before it: 0 is the text so far, then come the line and these.
    pub parents: Vec<usize>,
    /// What they are worth together: by chances, how many of them are expected to hold.
    pub worth: f64,
}

impl Tree {
    /// Only a line; paths may have `depth` places.
    pub fn new(line: &[TargetId], depth: usize) -> Self {
        let root = Place { id: TargetId::new(0), parent: ROOT, depth: 0, worth: 0.0, children: Vec::new() };
        let mut tree = Self { places: vec![root], line: line.len(), depth };
        for (before, &id) in line.iter().enumerate() {
            tree.grow(before, id);
        }
        tree
    }

    /// Writes a path; of one that is too long, what fits.
    pub fn add(&mut self, path: &[TargetId], worth: f64) {
        let mut at = ROOT;
        for &id in path.iter().take(self.depth) {
            let known = self.places[at].children.iter().copied().find(|&child| self.places[child].id == id);
            at = known.unwrap_or_else(|| self.grow(at, id));
            self.places[at].worth += worth;
        }
    }

    fn grow(&mut self, parent: usize, id: TargetId) -> usize {
        let place = self.places.len();
        let depth = self.places[parent].depth + 1;
        self.places.push(Place { id, parent, depth, worth: 0.0, children: Vec::new() });
        self.places[parent].children.push(place);
        place
    }

    /// The `most` places beside the line that are worth most, none less than `least`.
    pub fn best(self, most: usize, least: f64) -> Candidates {
        let mut beside: Vec<usize> = (self.line + 1..self.places.len()).collect();
        // Like sums of like terms: rounding never lifts a place above the one before it. Equal ones go by depth.
        beside.sort_by(|&a, &b| {
            let (a, b) = (&self.places[a], &self.places[b]);
            b.worth.total_cmp(&a.worth).then(a.depth.cmp(&b.depth))
        });
        beside.truncate(most);
        beside.truncate(beside.partition_point(|&place| self.places[place].worth.total_cmp(&least).is_ge()));
        let mut number: Vec<usize> = (0..=self.line).collect();
        number.resize(self.places.len(), ROOT);
        let mut found = Candidates::default();
        for (i, &place) in beside.iter().enumerate() {
            number[place] = self.line + 1 + i;
            found.ids.push(self.places[place].id);
            found.worth += self.places[place].worth;
            found.parents.push(number[self.places[place].parent]);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(ids: &[u32]) -> Vec<TargetId> {
        ids.iter().map(|&id| TargetId::new(id)).collect()
    }

    fn best(line: &[u32], paths: &[(&[u32], f64)], depth: usize, most: usize) -> (Vec<u32>, Vec<usize>) {
        let mut tree = Tree::new(&typed(line), depth);
        for (path, worth) in paths {
            tree.add(&typed(path), *worth);
        }
        let found = tree.best(most, 0.0);
        (found.ids.iter().map(|id| id.raw()).collect(), found.parents)
    }

    #[test]
    fn paths_share_what_they_begin_with() {
        let paths: &[(&[u32], f64)] = &[(&[1, 2], 0.2), (&[1, 3], 0.3), (&[4], 0.4)];
        assert_eq!(best(&[], paths, 9, 9), (vec![1, 4, 3, 2], vec![0, 0, 1, 1]));
    }

    #[test]
    fn what_the_line_has_is_not_taken_again() {
        let paths: &[(&[u32], f64)] = &[(&[1, 2], 0.2), (&[1, 3], 0.3), (&[4], 0.4)];
        assert_eq!(best(&[1, 2, 5], paths, 9, 9), (vec![4, 3], vec![0, 1]));
        assert_eq!(best(&[4], &[(&[4], 1.0)], 9, 9), (vec![], vec![]));
    }

    #[test]
    fn paths_of_the_same_ids_count_together() {
        assert_eq!(best(&[], &[(&[1], 0.2), (&[2], 0.3), (&[1], 0.2)], 9, 1), (vec![1], vec![0]));
    }

    #[test]
    fn what_is_taken_is_a_tree_whatever_the_numbers() {
        for worth in [0.0, 0.1, 1e-300, f64::INFINITY, f64::NAN] {
            let paths: &[(&[u32], f64)] = &[(&[1, 2, 3, 4], worth), (&[1, 2, 5], worth), (&[6, 7], worth)];
            for line in [&[] as &[u32], &[1], &[1, 2]] {
                for most in 0..9 {
                    let (ids, parents) = best(line, paths, 9, most);
                    assert_eq!(ids.len(), most.min(7 - line.len()));
                    for (i, &parent) in parents.iter().enumerate() {
                        assert!(parent <= line.len() + i, "a place is behind the one before it");
                    }
                }
            }
        }
    }

    #[test]
    fn places_that_are_worth_too_little_are_left_out() {
        for (least, kept) in [(0.0, 4), (0.2, 4), (0.25, 3), (0.5, 1), (0.6, 0), (f64::INFINITY, 0)] {
            let mut tree = Tree::new(&[], 9);
            for (path, worth) in [(&[1u32, 2] as &[u32], 0.2), (&[1, 3], 0.3), (&[4], 0.4)] {
                tree.add(&typed(path), worth);
            }
            let found = tree.best(9, least);
            assert_eq!(found.ids.len(), kept, "{least}");
            let worth: f64 = [0.5, 0.4, 0.3, 0.2][..kept].iter().sum();
            assert!((found.worth - worth).abs() < 1e-12);
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_cut() {
        assert_eq!(best(&[], &[(&[1, 2, 3], 1.0)], 2, 9), (vec![1, 2], vec![0, 1]));
        assert_eq!(best(&[], &[(&[1], 1.0)], 0, 9), (vec![], vec![]));
    }
}

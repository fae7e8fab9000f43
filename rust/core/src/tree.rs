//! Several continuations at once, as a tree of target ids that share what they begin with.
//!
//! Paths are written into it with what they are thought to be worth; a place is worth the sum of the paths
//! through it, so that paths which spell the same ids count together. Of the whole, the likeliest places are
//! kept: a place is never worth more than the one before it, so what is kept is a tree too.

use crate::id::TargetId;

/// A target id after those that lead to it.
struct Node {
    id: TargetId,
    parent: usize,
    depth: usize,
    worth: f64,
    children: Vec<usize>,
}

/// Candidates; the text so far is its root.
pub struct Tree {
    nodes: Vec<Node>,
    first: Vec<usize>,
    depth: usize,
}

/// What is kept of a tree, in an order in which the likeliest path comes first and every place behind the one
/// before it.
#[derive(Debug, Default, PartialEq)]
pub struct Candidates {
    /// The target ids.
    pub ids: Vec<TargetId>,
    /// Of each, which place is before it: 0 is the text so far, `i + 1` the candidate `i`.
    pub parents: Vec<usize>,
    /// What each is worth.
    pub worth: Vec<f64>,
}

impl Tree {
    /// An empty tree whose paths have at most `depth` places.
    pub fn new(depth: usize) -> Self {
        Self { nodes: Vec::new(), first: Vec::new(), depth }
    }

    /// Writes a path; of one that is too long, what fits.
    pub fn add(&mut self, path: &[TargetId], worth: f64) {
        let mut at = None;
        for &id in path.iter().take(self.depth) {
            let known = self.children(at).iter().copied().find(|&child| self.nodes[child].id == id);
            let child = known.unwrap_or_else(|| self.grow(at, id));
            self.nodes[child].worth += worth;
            at = Some(child);
        }
    }

    fn children(&self, at: Option<usize>) -> &[usize] {
        at.map_or(&self.first, |at| &self.nodes[at].children)
    }

    fn grow(&mut self, at: Option<usize>, id: TargetId) -> usize {
        let child = self.nodes.len();
        let depth = at.map_or(0, |at| self.nodes[at].depth + 1);
        self.nodes.push(Node { id, parent: at.unwrap_or(child), depth, worth: 0.0, children: Vec::new() });
        match at {
            Some(at) => self.nodes[at].children.push(child),
            None => self.first.push(child),
        }
        child
    }

    /// The `most` places that are worth most.
    pub fn best(mut self, most: usize) -> Candidates {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        // Sums of like terms in like order never round a child above its parent; equal ones go by depth.
        order.sort_by(|&a, &b| {
            let (a, b) = (&self.nodes[a], &self.nodes[b]);
            b.worth.total_cmp(&a.worth).then(a.depth.cmp(&b.depth))
        });
        let mut kept = vec![false; self.nodes.len()];
        for &node in order.iter().take(most) {
            kept[node] = true;
        }
        let mut row = vec![0; self.nodes.len()];
        let mut found = Candidates::default();
        let first = std::mem::take(&mut self.first);
        let mut waiting = self.ordered(first);
        while let Some(node) = waiting.pop() {
            if !kept[node] {
                continue;
            }
            let parent = self.nodes[node].parent;
            found.ids.push(self.nodes[node].id);
            found.parents.push(if parent == node { 0 } else { row[parent] });
            found.worth.push(self.nodes[node].worth);
            row[node] = found.ids.len();
            let children = std::mem::take(&mut self.nodes[node].children);
            waiting.extend(self.ordered(children));
        }
        found
    }

    /// The likeliest last.
    fn ordered(&self, mut nodes: Vec<usize>) -> Vec<usize> {
        nodes.sort_by(|&a, &b| self.nodes[a].worth.total_cmp(&self.nodes[b].worth).then(b.cmp(&a)));
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    fn tree(paths: &[(&[u32], f64)], depth: usize) -> Tree {
        let mut tree = Tree::new(depth);
        for (path, worth) in paths {
            let ids: Vec<TargetId> = path.iter().map(|&id| TargetId::new(id)).collect();
            tree.add(&ids, *worth);
        }
        tree
    }

    fn plain(found: &Candidates) -> (Vec<u32>, Vec<usize>) {
        (found.ids.iter().map(|id| id.raw()).collect(), found.parents.clone())
    }

    #[test]
    fn paths_share_what_they_begin_with() {
        let found = tree(&[(&[1, 2], 0.2), (&[1, 3], 0.3), (&[4], 0.4)], 9).best(9);
        assert_eq!(plain(&found), (vec![1, 3, 2, 4], vec![0, 1, 1, 0]));
        assert_eq!(found.worth, [0.5, 0.3, 0.2, 0.4]);
    }

    #[test]
    fn paths_of_the_same_ids_count_together() {
        let found = tree(&[(&[1], 0.2), (&[2], 0.3), (&[1], 0.2)], 9).best(1);
        assert_eq!(plain(&found), (vec![1], vec![0]));
    }

    #[test]
    fn what_is_kept_is_a_tree_whatever_the_numbers() {
        for worth in [0.0, 0.1, f64::NAN] {
            let paths: &[(&[u32], f64)] = &[(&[1, 2, 3, 4], worth), (&[1, 2, 5], worth), (&[6, 7], worth)];
            for most in 0..9 {
                let found = tree(paths, 9).best(most);
                assert_eq!(found.ids.len(), most.min(7));
                for (i, &parent) in found.parents.iter().enumerate() {
                    assert!(parent <= i, "a place is behind the one before it");
                }
            }
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_cut() {
        assert_eq!(plain(&tree(&[(&[1, 2, 3], 1.0)], 2).best(9)), (vec![1, 2], vec![0, 1]));
        assert_eq!(tree(&[(&[1], 1.0)], 0).best(9), Candidates::default());
    }
}

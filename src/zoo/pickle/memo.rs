//! The machine's memo: values by number.

use super::Id;
use std::collections::HashMap;

/// Values by number. Writers number them 0, 1, 2 and so on: those are in an array. Any other
/// number, however large, costs an entry of a map.
#[derive(Default)]
pub(super) struct Memo {
    dense: Vec<Id>,
    /// Invariant: no number is below the length of `dense`.
    sparse: HashMap<u64, Id>,
}

impl Memo {
    /// How many values there are.
    pub fn len(&self) -> u64 {
        (self.dense.len() + self.sparse.len()) as u64
    }

    /// The value of this number.
    pub fn get(&self, index: u64) -> Option<Id> {
        let dense = usize::try_from(index).ok().and_then(|index| self.dense.get(index));
        dense.or_else(|| self.sparse.get(&index)).copied()
    }

    /// Notes the value of this number, in place of one that was noted before.
    pub fn insert(&mut self, index: u64, id: Id) {
        match usize::try_from(index) {
            Ok(index) if index < self.dense.len() => self.dense[index] = id,
            Ok(place) if place == self.dense.len() => {
                self.dense.push(id);
                if !self.sparse.is_empty() {
                    self.sparse.remove(&index);
                }
            }
            _ => drop(self.sparse.insert(index, id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pickle;

    #[test]
    fn numbers_may_come_in_any_order_and_again() {
        let put_and_get: [(&[u8], i64); 4] = [
            (b"I7\np1\n0I8\np0\n0g1\n.", 7),
            (b"I7\np1\n0I8\np0\n0I9\np1\n0g1\n.", 9),
            (b"I7\np0\n0I8\np0\n0g0\n.", 8),
            (b"I7\np4000000000\n0I8\np0\n0g4000000000\n.", 7),
        ];
        for (program, expected) in put_and_get {
            let pickle = Pickle::read(program, 0).unwrap();
            assert_eq!(pickle.int(pickle.root()), Some(expected), "{program:?}");
        }
        // MEMOIZE takes the number of entries: here 2, of 0 and 5.
        let program = b"\x80\x04I1\nq\x000I2\nq\x050I3\n\x940h\x02.";
        let pickle = Pickle::read(program, 0).unwrap();
        assert_eq!(pickle.int(pickle.root()), Some(3));
    }
}

//! Weighted rendezvous hashing over a tree: one destination for a key, in O(log n).
//!
//! Flat rendezvous hashing draws for each destination an exponential number, scaled by its
//! weight, from the key and the destination's name; the smallest wins. Shares are exactly as the
//! weights, and a change of one destination moves no key between two others; but every
//! destination is drawn for every key. Here the destinations stand in a 16-way tree by the hash
//! of their names, and each level draws among at most 16 children, a child weighing what all
//! under it weigh. Shares stay exact, the product of the levels' shares being weight / total; a
//! change moves a little more than the least, since what moves to or from a child is shared by
//! all under it. A ring of points is fair only with thousands of points for each destination,
//! and jump hashing shifts most keys when a destination other than the last one goes.
//!
//! Everything depends on names and weights alone, never on ids or on the order of binding, so
//! that all nodes agree and a restart changes nothing. For the same reason the functions here are
//! frozen: another hash or another logarithm sends running keys to other queues.

use std::hint::select_unpredictable;
use std::sync::Arc;

use crate::exchange_type::{Binding, Destination};

/// Destinations by weight. Cloning shares.
#[derive(Clone, Default)]
pub(super) struct Tree {
    root: Option<Node>,
}

#[derive(Clone)]
enum Node {
    Leaf(Arc<Leaf>),
    Branch(Arc<Branch>),
}

/// The destinations whose names have the same hash: one, but for a collision.
#[derive(Clone)]
struct Leaf {
    hash: u64,
    /// By name, then queues before exchanges.
    members: Vec<Member>,
}

#[derive(Clone)]
struct Member {
    /// Every binding of the destination, oldest first and never none. The first one's weight
    /// counts; the others wait until it goes (RabbitMQ ignores them, and forgets the destination
    /// with the first).
    bindings: Vec<(Arc<Binding>, u32)>,
}

#[derive(Clone)]
struct Branch {
    /// By slot.
    children: Vec<Child>,
}

#[derive(Clone)]
struct Child {
    slot: u8,
    /// Stands for the place in the tree, not for what is there: it must stay the same when a
    /// second destination makes a leaf a branch.
    seed: u64,
    weight: u64,
    inverse_weight: f64,
    node: Node,
}

/// Bits of a name's hash that one branch looks at.
const BRANCH_BITS: u32 = 4;

impl Tree {
    /// Takes in a binding of that weight.
    pub(super) fn add(&mut self, binding: &Arc<Binding>, weight: u32) {
        let hash = hash_of(binding);
        match &mut self.root {
            Some(root) => root.add(0, hash, binding, weight),
            None => self.root = Some(Node::leaf(hash, binding, weight)),
        }
    }

    /// Takes out a binding.
    pub(super) fn remove(&mut self, binding: &Binding) {
        let Some(root) = &mut self.root else { return };
        if root.remove(0, hash_of(binding), binding) == Left::Nothing {
            self.root = None;
        }
    }

    /// The destination of a key that was hashed by [`stable_hash`].
    pub(super) fn pick(&self, key: u64) -> Option<Destination> {
        let mut node = self.root.as_ref()?;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.pick(key),
                Node::Branch(branch) => node = &branch.pick(key)?.node,
            }
        }
    }
}

/// Whether anything is left of a node after a removal.
#[derive(PartialEq)]
enum Left {
    Something,
    Nothing,
}

impl Node {
    fn leaf(hash: u64, binding: &Arc<Binding>, weight: u32) -> Self {
        let member = Member { bindings: vec![(Arc::clone(binding), weight)] };
        Self::Leaf(Arc::new(Leaf { hash, members: vec![member] }))
    }

    fn weight(&self) -> u64 {
        match self {
            Self::Leaf(leaf) => leaf.members.iter().map(Member::weight).sum(),
            Self::Branch(branch) => branch.children.iter().map(|child| child.weight).sum(),
        }
    }

    fn add(&mut self, depth: u32, hash: u64, binding: &Arc<Binding>, weight: u32) {
        match self {
            Self::Leaf(leaf) if leaf.hash == hash => Arc::make_mut(leaf).add(binding, weight),
            Self::Leaf(leaf) => {
                let child = Child::new(depth, leaf.hash, self.clone());
                *self = Self::Branch(Arc::new(Branch { children: vec![child] }));
                self.add(depth, hash, binding, weight);
            }
            Self::Branch(branch) => {
                let children = &mut Arc::make_mut(branch).children;
                match children.binary_search_by_key(&slot(depth, hash), |child| child.slot) {
                    Ok(index) => {
                        let child = &mut children[index];
                        child.node.add(depth + 1, hash, binding, weight);
                        child.weigh();
                    }
                    Err(index) => {
                        let leaf = Self::leaf(hash, binding, weight);
                        children.insert(index, Child::new(depth, hash, leaf));
                    }
                }
            }
        }
    }

    fn remove(&mut self, depth: u32, hash: u64, binding: &Binding) -> Left {
        match self {
            Self::Leaf(leaf) if leaf.hash == hash => Arc::make_mut(leaf).remove(binding),
            Self::Leaf(_) => Left::Something,
            Self::Branch(branch) => {
                let children = &mut Arc::make_mut(branch).children;
                let slot = slot(depth, hash);
                if let Ok(index) = children.binary_search_by_key(&slot, |child| child.slot) {
                    let child = &mut children[index];
                    match child.node.remove(depth + 1, hash, binding) {
                        Left::Something => child.weigh(),
                        Left::Nothing => drop(children.remove(index)),
                    }
                }
                let only_leaf = match children.as_slice() {
                    [] => return Left::Nothing,
                    [Child { node: Self::Leaf(leaf), .. }] => Some(Arc::clone(leaf)),
                    _ => None,
                };
                if let Some(leaf) = only_leaf {
                    *self = Self::Leaf(leaf);
                }
                Left::Something
            }
        }
    }
}

impl Child {
    fn new(depth: u32, hash: u64, node: Node) -> Self {
        // The path down to here, and a one after it, which tells 0 from 00.
        let bits = (depth + 1) * BRANCH_BITS;
        let path = if bits == u64::BITS { hash } else { hash & ((1 << bits) - 1) | 1 << bits };
        let seed = scramble(path);
        let mut child =
            Self { slot: slot(depth, hash), seed, weight: 0, inverse_weight: 0.0, node };
        child.weigh();
        child
    }

    fn weigh(&mut self) {
        self.weight = self.node.weight();
        self.inverse_weight = 1.0 / self.weight as f64;
    }
}

impl Branch {
    fn pick(&self, key: u64) -> Option<&Child> {
        let (first, rest) = self.children.split_first()?;
        if rest.is_empty() {
            return Some(first);
        }
        self.pick_by_bounds(key).or_else(|| self.draw(key))
    }

    /// Draws for every child; the smallest wins.
    fn draw(&self, key: u64) -> Option<&Child> {
        let (mut best, mut smallest) = (0, f64::INFINITY);
        for (index, child) in self.children.iter().enumerate() {
            let drawn = exponential(scramble(key ^ child.seed)) * child.inverse_weight;
            // Which one wins can't be predicted, so that a branch would cost more than all else.
            let wins = drawn < smallest;
            best = select_unpredictable(wins, index, best);
            smallest = select_unpredictable(wins, drawn, smallest);
        }
        self.children.get(best)
    }

    /// As [`Branch::draw`], by bounds of the logarithms out of a table: the child with the least
    /// lower bound wins if its upper bound is below all other lower bounds. `None` where it isn't:
    /// for one key in eighty with 8 children, in forty with 16.
    fn pick_by_bounds(&self, key: u64) -> Option<&Child> {
        let (mut best, mut best_bounds) = (0, 0);
        let (mut lowest, mut second) = (f64::INFINITY, f64::INFINITY);
        for (index, child) in self.children.iter().enumerate() {
            let bounds = (scramble(key ^ child.seed) >> (u64::BITS - BOUNDS_BITS)) as usize;
            let lower = BOUNDS[bounds + 1] * child.inverse_weight;
            let wins = lower < lowest;
            best = select_unpredictable(wins, index, best);
            best_bounds = select_unpredictable(wins, bounds, best_bounds);
            let loser = select_unpredictable(wins, lowest, lower);
            second = select_unpredictable(loser < second, loser, second);
            lowest = select_unpredictable(wins, lower, lowest);
        }
        let best = self.children.get(best)?;
        let upper = BOUNDS[best_bounds] * best.inverse_weight;
        (upper * BOUNDS_MARGIN < second).then_some(best)
    }
}

impl Leaf {
    fn position(&self, binding: &Binding) -> Result<usize, usize> {
        self.members.binary_search_by(|member| {
            let (first, _) = &member.bindings[0];
            name_of(first).cmp(&name_of(binding))
        })
    }

    fn add(&mut self, binding: &Arc<Binding>, weight: u32) {
        let added = (Arc::clone(binding), weight);
        match self.position(binding) {
            Ok(index) => self.members[index].bindings.push(added),
            Err(index) => self.members.insert(index, Member { bindings: vec![added] }),
        }
    }

    fn remove(&mut self, binding: &Binding) -> Left {
        if let Ok(index) = self.position(binding) {
            let bindings = &mut self.members[index].bindings;
            // Bindings that differ in arguments alone weigh the same: either may go. Comparing
            // arguments would also never find one that holds a NaN.
            let same = |bound: &Binding| {
                bound.destination == binding.destination && bound.key == binding.key
            };
            if let Some(old) = bindings.iter().position(|(bound, _)| same(bound)) {
                bindings.remove(old);
            }
            if bindings.is_empty() {
                self.members.remove(index);
            }
        }
        if self.members.is_empty() { Left::Nothing } else { Left::Something }
    }

    fn pick(&self, key: u64) -> Option<Destination> {
        if let [only] = self.members.as_slice() {
            return Some(only.destination());
        }
        let total: u64 = self.members.iter().map(Member::weight).sum();
        let mut left = scramble(key).checked_rem(total)?;
        for member in &self.members {
            if left < member.weight() {
                return Some(member.destination());
            }
            left -= member.weight();
        }
        None
    }
}

impl Member {
    fn weight(&self) -> u64 {
        self.bindings[0].1.into()
    }

    fn destination(&self) -> Destination {
        self.bindings[0].0.destination
    }
}

/// A destination's name, told apart from that of an exchange or queue of the same name.
fn name_of(binding: &Binding) -> (&str, bool) {
    (&binding.destination_name, matches!(binding.destination, Destination::Exchange(_)))
}

fn hash_of(binding: &Binding) -> u64 {
    let (name, is_exchange) = name_of(binding);
    let hash = stable_hash(name.as_bytes());
    if is_exchange { scramble(hash) } else { hash }
}

fn slot(depth: u32, hash: u64) -> u8 {
    (hash >> (depth * BRANCH_BITS)) as u8 % (1 << BRANCH_BITS)
}

/// A hash of bytes that is the same on every machine and in every version.
pub(super) fn stable_hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = scramble(bytes.len() as u64);
    for word in words {
        hash = scramble(hash ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    scramble(hash ^ u64::from_le_bytes(last))
}

/// Spreads every bit over all others (the finalizer of SplitMix64).
pub(crate) fn scramble(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// The bits of which an evenly distributed number between 0 and 1 is made.
const fn even_bits(bits: u64) -> u64 {
    bits >> 12
}

/// First bits of a number by which the table of its logarithm's bounds is asked.
const BOUNDS_BITS: u32 = 10;

/// [`exponential`] of the least number with the first bits that are the index: above it for all
/// numbers with these bits, and below it for all with those before. The last entry is that of 1.
static BOUNDS: [f64; (1 << BOUNDS_BITS) + 1] = {
    let mut bounds = [0.0; (1 << BOUNDS_BITS) + 1];
    let mut first = 0;
    while first < 1 << BOUNDS_BITS {
        bounds[first] = exponential((first as u64) << (u64::BITS - BOUNDS_BITS));
        first += 1;
    }
    bounds
};

/// How much a logarithm may be beyond its bounds: a hundred times the error of [`exponential`].
const BOUNDS_MARGIN: f64 = 1.0 + 1e-6;

/// An exponentially distributed number from evenly distributed bits: -ln of a number between 0
/// and 1.
///
/// The library's logarithm may differ in its last digit from one platform to the next; this one
/// is made of operations that IEEE 754 fixes to the bit. It is exact to 2^-28, and exact in
/// proportion near 0, where heavy destinations are decided.
const fn exponential(bits: u64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    const ROOT_OF_2: u64 = std::f64::consts::SQRT_2.to_bits() & MANTISSA;
    let even = (even_bits(bits) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64);
    let raw = even.to_bits();
    // A mantissa above the root of 2 is halved, by arithmetic: nobody can predict a branch.
    let halved = (raw & MANTISSA > ROOT_OF_2) as u64;
    let exponent = (raw >> 52) as i32 - 1023 + halved as i32;
    let mantissa = f64::from_bits(raw & MANTISSA | (1023 - halved) << 52);
    // ln m = 2 artanh((m - 1) / (m + 1)), as a series.
    let x = (mantissa - 1.0) / (mantissa + 1.0);
    let square = x * x;
    let series = 1.0 + square * (1.0 / 3.0 + square * (0.2 + square * (1.0 / 7.0 + square / 9.0)));
    -(exponent as f64 * std::f64::consts::LN_2 + 2.0 * x * series)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;

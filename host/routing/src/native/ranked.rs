//! Destinations in an order that depends on their names alone, each as often as it is bound: the
//! n-th is found in O(log n), and a change copies O(log n) nodes.
//!
//! A weight-balanced tree: no sequence of names, however chosen, makes it deep.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::exchange_type::{Binding, Destination};

/// The destinations of an exchange, bound once or more. Cloning shares.
#[derive(Clone, Default)]
pub(super) struct Ranked {
    root: Link,
}

type Link = Option<Arc<Node>>;

#[derive(Clone)]
struct Node {
    left: Link,
    right: Link,
    name: Arc<str>,
    destination: Destination,
    /// How many bindings lead there; never 0.
    bindings: u64,
    /// Bindings of this node and those under it.
    total: u64,
    /// Nodes from here down, by which the tree is balanced.
    size: u32,
}

/// How much heavier one side may be than the other, and when a single rotation is enough
/// (Hirai and Yamamoto, "Balancing weight-balanced trees").
const HEAVIER_MAX: u32 = 3;
const SINGLE_BELOW: u32 = 2;

impl Ranked {
    /// How many bindings there are.
    pub(super) fn len(&self) -> u64 {
        total(&self.root)
    }

    pub(super) fn add(&mut self, binding: &Binding) {
        add(&mut self.root, binding);
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        remove(&mut self.root, binding);
    }

    /// The destination of the binding at `index` of [`Ranked::len`].
    pub(super) fn nth(&self, mut index: u64) -> Option<Destination> {
        let mut link = &self.root;
        while let Some(node) = link {
            let before = total(&node.left);
            if index < before {
                link = &node.left;
            } else if index < before + node.bindings {
                return Some(node.destination);
            } else {
                index -= before + node.bindings;
                link = &node.right;
            }
        }
        None
    }

    /// The binding that evenly spread bits choose.
    pub(super) fn choose(&self, bits: u64) -> Option<Destination> {
        self.nth(((u128::from(bits) * u128::from(self.len())) >> 64) as u64)
    }
}

impl Node {
    /// Exchanges come before queues, either by name (RabbitMQ's order of resources).
    fn order(&self, binding: &Binding) -> Ordering {
        let is_queue = |destination| matches!(destination, Destination::Queue(_));
        let here = (is_queue(self.destination), &*self.name);
        (is_queue(binding.destination), &*binding.destination_name).cmp(&here)
    }

    fn count(&mut self) {
        self.total = self.bindings + total(&self.left) + total(&self.right);
        self.size = 1 + size(&self.left) + size(&self.right);
    }
}

fn total(link: &Link) -> u64 {
    link.as_ref().map_or(0, |node| node.total)
}

fn size(link: &Link) -> u32 {
    link.as_ref().map_or(0, |node| node.size)
}

fn weight(link: &Link) -> u32 {
    size(link) + 1
}

fn add(link: &mut Link, binding: &Binding) {
    let Some(node) = link else {
        *link = Some(Arc::new(Node {
            left: None,
            right: None,
            name: binding.destination_name.clone(),
            destination: binding.destination,
            bindings: 1,
            total: 1,
            size: 1,
        }));
        return;
    };
    let node = Arc::make_mut(node);
    match node.order(binding) {
        Ordering::Less => add(&mut node.left, binding),
        Ordering::Greater => add(&mut node.right, binding),
        Ordering::Equal => node.bindings += 1,
    }
    node.count();
    balance(link);
}

fn remove(link: &mut Link, binding: &Binding) {
    let Some(node) = link else { return };
    let node = Arc::make_mut(node);
    match node.order(binding) {
        Ordering::Less => remove(&mut node.left, binding),
        Ordering::Greater => remove(&mut node.right, binding),
        Ordering::Equal if node.bindings > 1 => node.bindings -= 1,
        Ordering::Equal => {
            let (left, mut right) = (node.left.take(), node.right.take());
            *link = match take_first(&mut right) {
                None => left,
                Some(mut next) => {
                    let top = Arc::make_mut(&mut next);
                    (top.left, top.right) = (left, right);
                    top.count();
                    Some(next)
                }
            };
            return balance(link);
        }
    }
    node.count();
    balance(link);
}

/// Takes the leftmost node out, without anything under it.
fn take_first(link: &mut Link) -> Link {
    let node = Arc::make_mut(link.as_mut()?);
    if node.left.is_some() {
        let first = take_first(&mut node.left);
        node.count();
        balance(link);
        return first;
    }
    let rest = node.right.take();
    std::mem::replace(link, rest)
}

fn balance(link: &mut Link) {
    let Some(node) = link else { return };
    let (left, right) = (weight(&node.left), weight(&node.right));
    if right > HEAVIER_MAX * left {
        let node = Arc::make_mut(node);
        let inner_is_heavy = node
            .right
            .as_ref()
            .is_some_and(|right| weight(&right.left) >= SINGLE_BELOW * weight(&right.right));
        if inner_is_heavy {
            rotate_right(&mut node.right);
        }
        rotate_left(link);
    } else if left > HEAVIER_MAX * right {
        let node = Arc::make_mut(node);
        let inner_is_heavy = node
            .left
            .as_ref()
            .is_some_and(|left| weight(&left.right) >= SINGLE_BELOW * weight(&left.left));
        if inner_is_heavy {
            rotate_left(&mut node.left);
        }
        rotate_right(link);
    }
}

/// Puts the right child in the place of its parent.
fn rotate_left(link: &mut Link) {
    let Some(mut parent) = link.take() else { return };
    let below = Arc::make_mut(&mut parent);
    let Some(mut child) = below.right.take() else { return *link = Some(parent) };
    let above = Arc::make_mut(&mut child);
    below.right = above.left.take();
    below.count();
    above.left = Some(parent);
    above.count();
    *link = Some(child);
}

/// Puts the left child in the place of its parent.
fn rotate_right(link: &mut Link) {
    let Some(mut parent) = link.take() else { return };
    let below = Arc::make_mut(&mut parent);
    let Some(mut child) = below.left.take() else { return *link = Some(parent) };
    let above = Arc::make_mut(&mut child);
    below.left = above.right.take();
    below.count();
    above.right = Some(parent);
    above.count();
    *link = Some(child);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shunt_types::ExchangeId;

    use super::*;
    use crate::fixture::{binding, queue};

    /// Destination number `n` of a few names that exchanges and queues share.
    fn bound(n: u32) -> Arc<Binding> {
        let destination = match n % 2 {
            0 => queue(n),
            _ => Destination::Exchange(ExchangeId(n.into())),
        };
        let name = format!("d{}", n / 2);
        Arc::new(Binding { destination_name: name.into(), ..(*binding(destination, "")).clone() })
    }

    #[track_caller]
    fn check_balance(link: &Link) {
        let Some(node) = link else { return };
        let (left, right) = (weight(&node.left), weight(&node.right));
        assert!(left <= HEAVIER_MAX * right && right <= HEAVIER_MAX * left);
        assert_eq!(node.size, left + right - 1);
        check_balance(&node.left);
        check_balance(&node.right);
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_names_whatever_happened_before(
            steps in prop::collection::vec((any::<bool>(), 0..40u32), 0..300),
        ) {
            let mut ranked = Ranked::default();
            let mut model: Vec<Arc<Binding>> = Vec::new();
            for (add, n) in steps {
                let snapshot = ranked.clone();
                let was: Vec<_> = (0..ranked.len()).map(|index| ranked.nth(index)).collect();
                let binding = bound(n);
                if add {
                    ranked.add(&binding);
                    model.push(binding);
                } else {
                    ranked.remove(&binding);
                    if let Some(index) = model.iter().position(|other| *other == binding) {
                        model.remove(index);
                    }
                }
                check_balance(&ranked.root);
                let still: Vec<_> = (0..snapshot.len()).map(|index| snapshot.nth(index)).collect();
                prop_assert_eq!(was, still, "a snapshot doesn't change");
            }
            model.sort_by_key(|binding| {
                let is_queue = matches!(binding.destination, Destination::Queue(_));
                (is_queue, binding.destination_name.clone())
            });
            let expected: Vec<_> = model.iter().map(|b| Some(b.destination)).collect();
            let found: Vec<_> = (0..ranked.len()).map(|index| ranked.nth(index)).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(ranked.nth(ranked.len()), None);
        }
    }

    #[test]
    fn names_in_order_make_no_list_of_the_tree() {
        let mut ranked = Ranked::default();
        for n in 0..10_000 {
            let name = format!("{n:05}");
            let added =
                Binding { destination_name: name.into(), ..(*binding(queue(n), "")).clone() };
            ranked.add(&added);
        }
        check_balance(&ranked.root);
        assert_eq!(ranked.choose(0), Some(queue(0)));
        assert_eq!(ranked.choose(u64::MAX), Some(queue(9_999)));
        assert_eq!(ranked.choose(1 << 63), Some(queue(5_000)));
    }
}

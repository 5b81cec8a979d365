//! Which messages a consumer has seen: what `shunt perf verify` counts by.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use crate::stamp::Number;

/// Messages that a finding names.
const NAMED_MAX: usize = 5;

/// What one consumer has seen.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Queues that each message goes to.
    copies: u64,
    /// By queue and publisher: which of its numbers came, a bit each. Where a message goes to one
    /// queue, all queues are one here: a map of bits each would be large and nearly empty.
    seen: HashMap<(u32, u16), Vec<u64>>,
    /// By queue and publisher: the highest number so far.
    last: HashMap<(u32, u16), u64>,
    doubled: Named,
    out_of_order: Named,
    foreign: Named,
    redelivered: u64,
}

/// How many, and some of them.
#[derive(Clone, Debug, Default)]
struct Named {
    count: u64,
    numbers: Vec<Number>,
}

impl Named {
    fn push(&mut self, number: Number) {
        self.count += 1;
        if self.numbers.len() < NAMED_MAX {
            self.numbers.push(number);
        }
    }

    fn json(&self) -> Json {
        let name = |number: &Number| format!("{}.{}", number.producer, number.sequence);
        json!({ "count": self.count, "such_as": self.numbers.iter().map(name).collect::<Vec<_>>() })
    }
}

impl Ledger {
    /// Nothing seen of messages that each go to so many queues.
    pub(crate) fn new(copies: u64) -> Self {
        let (doubled, out_of_order, foreign) = Default::default();
        let (seen, last) = Default::default();
        Self { copies, seen, last, doubled, out_of_order, foreign, redelivered: 0 }
    }

    /// A message came from a queue, when this run had published so many.
    pub(crate) fn record(&mut self, queue: u32, number: Number, redelivered: bool, published: u64) {
        if number.sequence >= published {
            self.foreign.push(number);
            return;
        }
        let seen_in = if self.copies > 1 { queue } else { 0 };
        let bits = self.seen.entry((seen_in, number.producer)).or_default();
        let (word, bit) = (number.sequence as usize / 64, 1 << (number.sequence % 64));
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        if redelivered {
            self.redelivered += 1;
        }
        // The same message may come once from each queue that it was routed to.
        let first_from_queue = match self.last.get_mut(&(queue, number.producer)) {
            None => {
                self.last.insert((queue, number.producer), number.sequence);
                true
            }
            Some(last) if *last < number.sequence => {
                *last = number.sequence;
                true
            }
            Some(last) => {
                if *last != number.sequence && !redelivered && bits[word] & bit == 0 {
                    self.out_of_order.push(number);
                }
                bits[word] & bit == 0
            }
        };
        if !first_from_queue && !redelivered {
            self.doubled.push(number);
        }
        bits[word] |= bit;
    }
}

/// What all consumers together have seen, against what was published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// Numbered messages that were published.
    published: u64,
    missing: Named,
    doubled: Named,
    out_of_order: Named,
    /// Not of this run.
    foreign: Named,
    redelivered: u64,
}

impl Findings {
    /// `published` is how many messages each publisher wrote.
    pub(crate) fn of(ledgers: &[Ledger], published: &[u64]) -> Self {
        let mut findings = Self { published: published.iter().sum(), ..Self::default() };
        for ledger in ledgers {
            findings.redelivered += ledger.redelivered;
            for (all, own) in [
                (&mut findings.doubled, &ledger.doubled),
                (&mut findings.out_of_order, &ledger.out_of_order),
                (&mut findings.foreign, &ledger.foreign),
            ] {
                all.count += own.count;
                all.numbers.extend(&own.numbers);
                all.numbers.truncate(NAMED_MAX);
            }
        }
        let copies = ledgers.iter().map(|ledger| ledger.copies.max(1)).max().unwrap_or(1);
        for (producer, &count) in (0..).zip(published) {
            let queues = by_queue(ledgers, producer);
            for word in 0..count.div_ceil(64) {
                let words = || queues.iter().map(|bits| bits.get(word as usize).unwrap_or(&0));
                if queues.len() as u64 == copies && words().all(|bits| *bits == u64::MAX) {
                    continue;
                }
                for sequence in word * 64..count.min(word * 64 + 64) {
                    let queues = words().filter(|bits| **bits & 1 << (sequence % 64) != 0).count();
                    if (queues as u64) < copies {
                        findings.missing.push(Number { producer, sequence });
                    }
                }
            }
        }
        findings
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_clean(&self) -> bool {
        let faults = [&self.missing, &self.doubled, &self.out_of_order, &self.foreign];
        faults.into_iter().all(|named| named.count == 0)
    }

    pub(crate) fn json(&self) -> Json {
        json!({
            "published": self.published,
            "missing": self.missing.json(),
            "doubled": self.doubled.json(),
            "out_of_order": self.out_of_order.json(),
            "foreign": self.foreign.json(),
            "redelivered": self.redelivered,
        })
    }

    /// In a line for people; messages are named by publisher and number.
    pub(crate) fn sentence(&self) -> String {
        if self.is_clean() {
            let redelivered = match self.redelivered {
                0 => String::new(),
                count => format!("; {count} redelivered"),
            };
            return format!(
                "{} messages, none missing, none doubled, order held{redelivered}",
                self.published
            );
        }
        let part = |noun: &str, named: &Named| {
            let names = named.numbers.iter().map(|n| format!("{}.{}", n.producer, n.sequence));
            let names = names.collect::<Vec<_>>().join(", ");
            (named.count > 0).then(|| format!("{} {noun} (such as {names})", named.count))
        };
        let parts = [
            part("MISSING", &self.missing),
            part("DOUBLED", &self.doubled),
            part("OUT OF ORDER", &self.out_of_order),
            part("FOREIGN", &self.foreign),
        ];
        let parts = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        format!("{} messages: {parts}", self.published)
    }
}

/// What all consumers together saw of a publisher's messages, for each queue.
fn by_queue(ledgers: &[Ledger], producer: u16) -> Vec<Vec<u64>> {
    let mut queues: HashMap<u32, Vec<u64>> = HashMap::new();
    for ledger in ledgers {
        for ((queue, _), bits) in ledger.seen.iter().filter(|((_, of), _)| *of == producer) {
            let all = queues.entry(*queue).or_default();
            all.resize(all.len().max(bits.len()), 0);
            for (all, bits) in all.iter_mut().zip(bits) {
                *all |= bits;
            }
        }
    }
    queues.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(copies: u64, seen: &[(u32, u64)], published: u64) -> Findings {
        let mut ledger = Ledger::new(copies);
        for &(queue, sequence) in seen {
            ledger.record(queue, Number { producer: 0, sequence }, false, published);
        }
        Findings::of(&[ledger], &[published])
    }

    #[track_caller]
    fn check(seen: &[(u32, u64)], missing: u64, doubled: u64, out_of_order: u64) {
        check_copies(1, seen, missing, doubled, out_of_order);
    }

    #[track_caller]
    fn check_copies(
        copies: u64,
        seen: &[(u32, u64)],
        missing: u64,
        doubled: u64,
        out_of_order: u64,
    ) {
        let found = findings(copies, seen, 4);
        let counts = (found.missing.count, found.doubled.count, found.out_of_order.count);
        assert_eq!(counts, (missing, doubled, out_of_order), "{}", found.sentence());
    }

    #[test]
    fn each_fault_is_found() {
        check(&[(0, 0), (0, 1), (0, 2), (0, 3)], 0, 0, 0);
        check(&[(0, 0), (0, 1), (0, 3)], 1, 0, 0);
        check(&[(0, 0), (0, 1), (0, 1), (0, 2), (0, 3)], 0, 1, 0);
        check(&[(0, 0), (0, 2), (0, 1), (0, 3)], 0, 0, 1);
        check(&[(0, 0), (0, 1), (0, 2), (0, 3), (0, 0)], 0, 1, 0);
    }

    #[test]
    fn each_queue_has_its_own_order() {
        check(&[(0, 0), (1, 1), (1, 3), (0, 2)], 0, 0, 0);
    }

    #[test]
    fn each_queue_of_a_fanout_holds_every_message() {
        let all = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)];
        check_copies(2, &all, 0, 0, 0);
        check_copies(2, &all[..7], 1, 0, 0);
        check_copies(2, &all[..1], 4, 0, 0);
        let late = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 2), (1, 1), (1, 3)];
        check_copies(2, &late, 0, 0, 1);
        check_copies(2, &[&all[..], &[(1, 3)]].concat(), 0, 1, 0);
    }

    #[test]
    fn what_was_never_published_is_foreign_however_large_its_number() {
        let found = findings(1, &[(0, 0), (0, u64::MAX >> 16), (0, 1)], 2);
        assert_eq!((found.foreign.count, found.missing.count), (1, 0), "{found:?}");
        assert!(!found.is_clean());
    }

    #[test]
    fn consumers_share_a_publishers_messages() {
        let mut ledgers = [Ledger::new(1), Ledger::new(1)];
        for sequence in 0..200 {
            let number = Number { producer: 0, sequence };
            ledgers[sequence as usize % 2].record(0, number, false, 200);
        }
        assert!(Findings::of(&ledgers, &[200]).is_clean());
        let found = Findings::of(&ledgers, &[201, 1]);
        assert_eq!(found.missing.count, 2);
        assert!(found.sentence().contains("0.200, 1.0"), "{}", found.sentence());
    }

    #[test]
    fn a_redelivery_is_no_fault() {
        let mut ledger = Ledger::new(1);
        for (sequence, redelivered) in [(0, false), (1, false), (0, true), (1, true)] {
            ledger.record(0, Number { producer: 0, sequence }, redelivered, 2);
        }
        let found = Findings::of(&[ledger], &[2]);
        assert!(found.is_clean() && found.redelivered == 2, "{found:?}");
    }
}

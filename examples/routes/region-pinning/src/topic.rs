//! Binding keys as topic patterns.

use alloc::string::String;
use alloc::vec::Vec;

/// Words between dots, where `*` is any one word and `#` any number of words.
pub(crate) struct Pattern(Vec<Part>);

enum Part {
    Word(String),
    AnyWord,
    AnyWords,
}

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Self {
        let part = |word: &str| match word {
            "*" => Part::AnyWord,
            "#" => Part::AnyWords,
            word => Part::Word(word.into()),
        };
        Self(Words::new(pattern).map(part).collect())
    }

    /// Whether `key` has this form. Only the last `#` is ever tried again, with one word more:
    /// what an earlier one could take, the last one can take too.
    pub(crate) fn matches(&self, key: &str) -> bool {
        let mut parts = self.0.iter();
        let mut words = Words::new(key);
        let mut retry = None;
        loop {
            let part = parts.next();
            if let Some(Part::AnyWords) = part {
                retry = Some((parts.clone(), words.clone()));
                continue;
            }
            match (part, words.next()) {
                (None, None) => return true,
                (Some(Part::AnyWord), Some(_)) => continue,
                (Some(Part::Word(expected)), Some(word)) if expected == word => continue,
                _ => {}
            }
            let Some((after_hash, taken)) = &mut retry else {
                return false;
            };
            if taken.next().is_none() {
                return false;
            }
            parts = after_hash.clone();
            words = taken.clone();
        }
    }
}

/// The words of a key, from left to right. An empty key has none, as in AMQP. `str::split` does
/// the same, slower: it is made for longer texts.
#[derive(Clone)]
struct Words<'a> {
    rest: Option<&'a str>,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        let rest = (!text.is_empty()).then_some(text);
        Self { rest }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let dot = rest.bytes().position(|byte| byte == b'.');
        let (word, after) = match dot.and_then(|dot| rest.split_at_checked(dot)) {
            Some((word, after)) => (word, after.get(1..)),
            None => (rest, None),
        };
        self.rest = after;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[track_caller]
    fn check(pattern: &str, key: &str, expected: bool) {
        let matched = Pattern::new(pattern).matches(key);
        assert_eq!(matched, expected, "{pattern} on {key}");
    }

    #[test]
    fn star_is_one_word() {
        check("orders.*.created", "orders.eu.created", true);
        check("orders.*", "orders", false);
        check("orders.*", "orders.eu.created", false);
        check("*", "", false);
    }

    #[test]
    fn hash_is_any_number_of_words() {
        check("#", "", true);
        check("#", "a.b", true);
        check("orders.#", "orders", true);
        check("#.created", "orders.eu.created", true);
        check("a.#.b.#.c", "a.b.b.x.c", true);
        check("a.#.b.#.c", "a.x.c", false);
        check("#.*", "", false);
        check("#.#", "", true);
        check("#.a.*", "a.a.a.b", true);
    }

    #[test]
    fn words_are_compared_whole() {
        check("orders", "orders", true);
        check("orders", "order", false);
        check("", "", true);
        check("a..b", "a..b", true);
    }

    /// The rule itself, one word at a time.
    fn obviously(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], key) => key.is_empty(),
            (["#", rest @ ..], key) => (0..=key.len()).any(|taken| obviously(rest, &key[taken..])),
            (["*", rest @ ..], [_, key @ ..]) => obviously(rest, key),
            ([word, rest @ ..], [first, key @ ..]) => word == first && obviously(rest, key),
            (_, []) => false,
        }
    }

    /// All texts of up to `length` of these words.
    fn texts<'a>(words: &[&'a str], length: usize) -> Vec<Vec<&'a str>> {
        let mut texts = vec![vec![]];
        let mut longest = texts.clone();
        for _ in 0..length {
            let longer = |text: &Vec<&'a str>| {
                let text = text.clone();
                words.iter().map(move |word| [text.as_slice(), &[*word]].concat())
            };
            longest = longest.iter().flat_map(longer).collect();
            texts.extend(longest.clone());
        }
        texts
    }

    #[test]
    fn it_is_the_rule() {
        let keys = texts(&["a", "b"], 5);
        for pattern in texts(&["a", "b", "*", "#"], 5) {
            let prepared = Pattern::new(&pattern.join("."));
            for key in &keys {
                let matched = prepared.matches(&key.join("."));
                assert_eq!(matched, obviously(&pattern, key), "{pattern:?} on {key:?}");
            }
        }
    }
}

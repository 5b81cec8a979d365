//! Binding keys as topic patterns.

use alloc::string::String;

/// Words between dots, where `*` is any one word and `#` any number of words.
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Whether `key` has this form. Only the last `#` is ever tried again, with one word more:
    /// what an earlier one could take, the last one can take too.
    pub(crate) fn matches(&self, key: &str) -> bool {
        let mut pattern = words(&self.0);
        let mut key = words(key);
        let mut retry = None;
        loop {
            let here = key.clone();
            match (pattern.next(), key.next()) {
                (Some("#"), _) => {
                    key = here.clone();
                    retry = Some((pattern.clone(), here));
                    continue;
                }
                (None, None) => return true,
                (Some("*"), Some(_)) => continue,
                (Some(expected), Some(word)) if expected == word => continue,
                _ => {}
            }
            let Some((after_hash, taken)) = &mut retry else {
                return false;
            };
            if taken.next().is_none() {
                return false;
            }
            pattern = after_hash.clone();
            key = taken.clone();
        }
    }
}

/// An empty key has no words, as in AMQP.
fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split('.').filter(move |_| !text.is_empty())
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
}

//! What a user may do in a virtual host: three patterns, RabbitMQ's way.

use regex::{Regex, RegexBuilder};

/// Most bytes that one compiled pattern may take; one that needs more denies, as one that is
/// wrong does.
const PATTERN_SIZE_MAX: usize = 1024 * 1024;

/// A pattern that can't be a permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{pattern}' is not a regular expression: {reason}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it, on one line.
    pub reason: String,
}

/// A pattern over names, found anywhere in a name unless it anchors itself; the empty pattern
/// matches the empty name only.
#[derive(Clone, Debug)]
pub struct NamePattern(Regex);

impl NamePattern {
    /// Compiles the pattern, for who refuses a wrong one.
    ///
    /// # Errors
    /// Which pattern is wrong, and in what.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        compile(text).map(Self).map_err(|error| PatternError {
            pattern: text.to_owned(),
            // The crate draws the place over several lines; the last one says what is wrong.
            reason: error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        })
    }

    /// Whether the pattern is found in the name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// A user's permissions in one virtual host: regular expressions over names of queues and
/// exchanges, found anywhere in the name unless they anchor themselves. The empty pattern
/// matches the empty name only, and one that doesn't compile matches nothing.
#[derive(Debug)]
pub struct Permissions {
    configure: Pattern,
    write: Pattern,
    read: Pattern,
}

impl Permissions {
    /// Compiles the patterns. A wrong one denies; who wants to refuse it asks
    /// [`Permissions::check_pattern`] first.
    pub fn new(configure: &str, write: &str, read: &str) -> Self {
        let [configure, write, read] = [configure, write, read].map(Pattern::new);
        Self { configure, write, read }
    }

    /// Whether the text may be a permission, for the front doors that take permissions.
    pub fn check_pattern(pattern: &str) -> Result<(), PatternError> {
        NamePattern::new(pattern).map(drop)
    }

    /// May declare and delete the resource.
    pub fn may_configure(&self, resource: &str) -> bool {
        self.configure.matches(resource)
    }

    /// May publish to the exchange, or bind to the destination. The default exchange is asked
    /// for as `amq.default`.
    pub fn may_write(&self, resource: &str) -> bool {
        self.write.matches(resource)
    }

    /// May consume from the queue, or bind from the source.
    pub fn may_read(&self, resource: &str) -> bool {
        self.read.matches(resource)
    }

    /// The pattern for configure, as it was given.
    pub fn configure(&self) -> &str {
        &self.configure.text
    }

    /// The pattern for write, as it was given.
    pub fn write(&self) -> &str {
        &self.write.text
    }

    /// The pattern for read, as it was given.
    pub fn read(&self) -> &str {
        &self.read.text
    }
}

#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    /// What the text compiled to.
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    /// `.*` is in nearly every permission and needs no automaton.
    All,
    Search(Regex),
    Nothing,
}

impl Pattern {
    fn new(text: &str) -> Self {
        Self::expanded(text, text)
    }

    /// A pattern that is told as `text` and means `expanded`.
    pub(crate) fn expanded(text: &str, expanded: &str) -> Self {
        let matcher = match compile(expanded) {
            _ if expanded == ".*" => Matcher::All,
            Ok(regex) => Matcher::Search(regex),
            Err(_) => Matcher::Nothing,
        };
        Self { text: text.to_owned(), matcher }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, resource: &str) -> bool {
        match &self.matcher {
            Matcher::All => true,
            Matcher::Search(regex) => regex.is_match(resource),
            Matcher::Nothing => false,
        }
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    let text = if text.is_empty() { "^$" } else { text };
    RegexBuilder::new(text).size_limit(PATTERN_SIZE_MAX).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, allowed: &[&str], denied: &[&str]) {
        let permissions = Permissions::new(pattern, "", "");
        for name in allowed {
            assert!(permissions.may_configure(name), "{pattern:?} should allow {name:?}");
        }
        for name in denied {
            assert!(!permissions.may_configure(name), "{pattern:?} should deny {name:?}");
        }
        assert!(!permissions.may_write("q") && !permissions.may_read("q"));
    }

    #[test]
    fn patterns_match_as_in_rabbitmq() {
        check(".*", &["", "q", "amq.default"], &[]);
        check("", &[""], &["q"]);
        check("orders", &["orders", "my-orders-2"], &["order"]);
        check("^(amq\\.gen.*|amq\\.default)$", &["amq.gen-x", "amq.default"], &["amq.direct"]);
        check("*invalid(", &[], &["", "q", "*invalid("]);
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        assert_eq!(Permissions::check_pattern("^orders"), Ok(()));
        let error = Permissions::check_pattern("(").unwrap_err();
        assert_eq!(error.to_string(), "'(' is not a regular expression: error: unclosed group");
    }
}

//! Rules from names to names, and the layouts that are made of them.

use regex_lite::Regex;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The names that another library gives to the tensors of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Whose names they are.
    pub name: &'static str,
    /// Whatever in a name matches the regular expression on the left becomes what is on the right,
    /// in which `$1` is the first group; one rule after the other.
    pub rules: &'static [(&'static str, &'static str)],
}

/// A [`Layout`] that can be applied.
#[derive(Debug)]
pub(super) struct Translation {
    pub name: &'static str,
    pub rules: Vec<Rule>,
}

/// Whatever matches `from` becomes `to`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    from: Pattern,
    to: String,
}

/// Most rules are plain text: they are applied to thousands of names, and text is found in a
/// twentieth of the time.
#[derive(Clone, Debug)]
enum Pattern {
    /// `^text`
    Start(String),
    /// `text`
    Anywhere(String),
    Expression(Regex),
}

impl Translation {
    /// The translation of that layout, made at the first call; none if a rule is no regular
    /// expression.
    pub fn of(layout: &Layout) -> Option<Arc<Self>> {
        type Made = HashMap<Layout, Option<Arc<Translation>>>;
        static MADE: Mutex<Option<Made>> = Mutex::new(None);
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.get_or_insert_default();
        made.entry(*layout).or_insert_with(|| Self::new(layout).map(Arc::new)).clone()
    }

    fn new(layout: &Layout) -> Option<Self> {
        let rules = layout.rules.iter().map(|(from, to)| Rule::new(from, to).ok());
        Some(Self { name: layout.name, rules: rules.collect::<Option<_>>()? })
    }
}

impl Rule {
    pub fn new(from: &str, to: &str) -> Result<Self, regex_lite::Error> {
        let (start, text) = match from.strip_prefix('^') {
            Some(text) => (true, text),
            None => (false, from),
        };
        let from = match literal(text) {
            Some(text) if start && !to.contains('$') => Pattern::Start(text),
            Some(text) if !to.contains('$') => Pattern::Anywhere(text),
            _ => Pattern::Expression(Regex::new(from)?),
        };
        Ok(Self { from, to: to.to_owned() })
    }

    fn apply(&self, name: &mut String) {
        match &self.from {
            Pattern::Start(text) if name.starts_with(text) => {
                name.replace_range(..text.len(), &self.to);
            }
            Pattern::Anywhere(text) if name.contains(text) => {
                *name = name.replace(text, &self.to);
            }
            Pattern::Expression(regex) if regex.is_match(name) => {
                *name = regex.replace_all(name, self.to.as_str()).into_owned();
            }
            _ => {}
        }
    }
}

/// The text that a regular expression stands for, if it stands for one text.
fn literal(expression: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = expression.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => text.push(characters.next().filter(|c| *c == '.')?),
            '_' | '-' | '/' | ':' => text.push(c),
            c if c.is_alphanumeric() => text.push(c),
            _ => return None,
        }
    }
    Some(text)
}

/// Applies the rules one after the other.
pub(super) fn apply(rules: &[Rule], name: &mut String) {
    rules.iter().for_each(|rule| rule.apply(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_replaced_as_its_regular_expression_would() {
        let names = ["conv1.norm.weight", "a.conv1.norm.conv1.norm.b", "conv1_norm", "", "^a.b"];
        for (from, to) in [
            (r"^conv1\.norm\.", "bn."),
            (r"conv1\.norm\.", "bn."),
            ("^", "module."),
            ("", "-"),
            ("a", ""),
            (r"^conv(\d)", "bn$1"),
            (r"conv1.norm", "x"),
            (r"norm$", "y"),
        ] {
            let rule = Rule::new(from, to).unwrap();
            for name in names {
                let (mut found, regex) = (name.to_owned(), Regex::new(from).unwrap());
                rule.apply(&mut found);
                assert_eq!(found, regex.replace_all(name, to), "{from} in {name}");
            }
        }
        assert!(Rule::new("(", "").is_err());
    }
}

//! Lines on their way out: the one place that keeps them single, clean and bounded.
//!
//! Every renderer writes through [`Lines`], so none of them has to remember what must not be in a
//! line.

use std::fmt::{self, Display, Write};

/// Longest line the server sends, bytes with its end: a chat text of 256 four-byte characters
/// behind two names. Lists are broken into several lines well before that.
pub const LINE_OUT_MAX: usize = 2_048;
/// Where a list goes on in a next line, bytes.
const LIST_LINE: usize = 960;

/// Lines for one client, in order.
#[derive(Debug, Default)]
pub(super) struct Lines(String);

impl Lines {
    /// Adds one line. Control characters and line separators in it become spaces, and what is too
    /// long is cut off.
    pub(super) fn push(&mut self, line: fmt::Arguments<'_>) {
        let start = self.0.len();
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(line);
        self.end_line(start);
    }

    /// Adds `head item item …`, as many lines as it takes, each beginning with `head` and the
    /// number of items in this line if `counted`.
    pub(super) fn push_list(
        &mut self,
        head: &str,
        counted: bool,
        items: impl Iterator<Item = String>,
    ) {
        let mut line = String::new();
        let mut count = 0;
        for item in items {
            if count > 0 && head.len() + line.len() + item.len() > LIST_LINE {
                self.push_list_line(head, counted, count, &line);
                line.clear();
                count = 0;
            }
            line.push(' ');
            line.push_str(&item);
            count += 1;
        }
        self.push_list_line(head, counted, count, &line);
    }

    fn push_list_line(&mut self, head: &str, counted: bool, count: usize, items: &str) {
        if counted {
            self.push(format_args!("{head} {count}{items}"));
        } else {
            self.push(format_args!("{head}{items}"));
        }
    }

    fn end_line(&mut self, start: usize) {
        if self.0[start..].contains(breaks_a_line) {
            let clean = self.0[start..].replace(breaks_a_line, " ");
            self.0.truncate(start);
            self.0.push_str(&clean);
        }
        if self.0.len() - start >= LINE_OUT_MAX {
            let end = self.0.floor_char_boundary(start + LINE_OUT_MAX - 1);
            self.0.truncate(end);
        }
        self.0.push('\n');
    }

    /// All of them, each ended by `\n`.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Shows a text as one word of a line and one field between colons.
pub(super) struct Word<'a>(pub &'a str);

impl Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_char('-');
        }
        for c in self.0.chars() {
            let breaks = c.is_whitespace() || c == ':' || breaks_a_line(c);
            f.write_char(if breaks { '_' } else { c })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn one_line_stays_one_line(text in "\\PC*|[\\x00-\\x20\u{85}\u{2028}é]{0,900}|.{0,4000}") {
            let mut lines = Lines::default();
            lines.push(format_args!("ERROR {text}"));
            let out = lines.finish();
            prop_assert!(out.len() <= LINE_OUT_MAX);
            let line = out.strip_suffix('\n').unwrap();
            prop_assert!(!line.contains(breaks_a_line));
        }
    }

    #[test]
    fn a_long_list_goes_on_in_the_next_line() {
        let mut lines = Lines::default();
        lines.push_list("WHO", true, (0..500).map(|i| format!("player_{i}")));
        let out = lines.finish();
        let mut seen = 0;
        for line in out.lines() {
            let mut words = line.split(' ');
            assert_eq!(words.next(), Some("WHO"));
            let count: usize = words.next().unwrap().parse().unwrap();
            assert_eq!(words.count(), count);
            assert!(line.len() < 1_024);
            seen += count;
        }
        assert_eq!(seen, 500);
    }

    #[test]
    fn an_empty_list_is_a_line_too() {
        let mut lines = Lines::default();
        lines.push_list("WHO", true, std::iter::empty());
        assert_eq!(lines.finish(), "WHO 0\n");
    }
}

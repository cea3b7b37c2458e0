//! Bytes to lines.

use std::ops::Range;

use boathouse_spec::{Error, Result};
use bytes::Bytes;

/// Finds the lines of bytes that come in blocks.
pub(super) struct LineSplitter {
    /// `None` for any newline: `\n`, `\r\n`, `\r`.
    separator: Option<Vec<u8>>,
    /// What came and is no whole line yet.
    rest: Vec<u8>,
    /// How far into `rest` no separator was found.
    searched: usize,
    /// The place of `rest` in the file.
    position: u64,
    /// Lines that begin here or later belong to another slice.
    end: u64,
    /// Everything up to the first separator is another slice's.
    skip_first: bool,
    done: bool,
}

/// Some lines, in the bytes they are part of.
#[derive(Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Lines {
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges.iter().map(|r| &self.bytes[r.clone()])
    }
}

/// A line longer than this is taken for a mistake: memory is bounded.
const LONGEST_LINE: usize = 1 << 30;

impl LineSplitter {
    /// Lines of a file that begin in `start..end`. The bytes must come from [`LineSplitter::first_byte`] on.
    pub(super) fn new(separator: Option<&str>, start: u64, end: u64) -> Self {
        let separator = separator.map(|s| s.as_bytes().to_vec());
        let position = Self::first_byte(separator.as_deref(), start);
        Self { separator, rest: Vec::new(), searched: 0, position, end, skip_first: start > 0, done: false }
    }

    /// Where reading begins: a separator that ends right before the slice must be seen.
    pub(super) fn first_byte(separator: Option<&[u8]>, start: u64) -> u64 {
        start.saturating_sub(separator.map_or(1, |s| s.len() as u64))
    }

    /// Whether all lines of the slice were given.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Adds a block; gives the lines that it completes.
    pub(super) fn push(&mut self, block: &Bytes) -> Result<Lines> {
        self.rest.extend_from_slice(block);
        let mut lines = Lines::default();
        let mut line_start = 0;
        while let Some((at, length)) = self.find(self.searched.max(line_start)) {
            let behind = at + length;
            self.take(&mut lines, line_start..at);
            line_start = behind;
            self.searched = behind;
            if self.done {
                break;
            }
        }
        if self.done {
            lines.bytes = std::mem::take(&mut self.rest);
            return Ok(lines);
        }
        // A separator may begin at the end and go on in the next block.
        let overlap = self.separator.as_ref().map_or(1, |s| s.len() - 1);
        self.searched = self.rest.len().saturating_sub(overlap).max(line_start);
        let tail = self.rest.split_off(line_start);
        self.searched -= line_start;
        self.position += line_start as u64;
        lines.bytes = std::mem::replace(&mut self.rest, tail);
        if self.rest.len() > LONGEST_LINE {
            return Err(Error::unsupported("reading lines of more than 1 GiB"));
        }
        Ok(lines)
    }

    /// The last line, where the file does not end with a separator.
    pub(super) fn finish(&mut self) -> Lines {
        let mut lines = Lines::default();
        if self.done {
            return lines;
        }
        // A carriage return at the very end was kept back, because a line feed might have followed.
        let mut length = self.rest.len();
        let ended = self.separator.is_none() && self.rest.ends_with(b"\r");
        if ended {
            length -= 1;
        }
        if length > 0 || ended {
            self.take(&mut lines, 0..length);
        }
        self.done = true;
        lines.bytes = std::mem::take(&mut self.rest);
        lines
    }

    fn take(&mut self, lines: &mut Lines, range: Range<usize>) {
        if self.skip_first {
            self.skip_first = false;
            return;
        }
        if self.position + range.start as u64 >= self.end {
            self.done = true;
            return;
        }
        lines.ranges.push(range);
    }

    /// The next separator from a place on, and its length.
    fn find(&self, from: usize) -> Option<(usize, usize)> {
        let bytes = &self.rest[from..];
        match &self.separator {
            Some(separator) => memchr::memmem::find(bytes, separator).map(|at| (from + at, separator.len())),
            None => {
                let at = memchr::memchr2(b'\n', b'\r', bytes)?;
                if bytes[at] == b'\n' {
                    return Some((from + at, 1));
                }
                match bytes.get(at + 1) {
                    // Not known yet.
                    None => None,
                    Some(b'\n') => Some((from + at, 2)),
                    Some(_) => Some((from + at, 1)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, separator: Option<&str>, start: u64, end: u64, block: usize) -> Vec<String> {
        let first = LineSplitter::first_byte(separator.map(str::as_bytes), start) as usize;
        let mut splitter = LineSplitter::new(separator, start, end);
        let mut out = Vec::new();
        for chunk in text.as_bytes()[first.min(text.len())..].chunks(block) {
            let lines = splitter.push(&Bytes::copy_from_slice(chunk)).unwrap();
            out.extend(lines.iter().map(|l| String::from_utf8(l.to_vec()).unwrap()));
            if splitter.is_done() {
                return out;
            }
        }
        out.extend(splitter.finish().iter().map(|l| String::from_utf8(l.to_vec()).unwrap()));
        out
    }

    #[test]
    fn newlines_of_all_kinds() {
        for block in 1..12 {
            assert_eq!(split("a\nb\r\nc\rd\n\ne", None, 0, 99, block), ["a", "b", "c", "d", "", "e"]);
            assert_eq!(split("a\r\n", None, 0, 99, block), ["a"]);
            assert_eq!(split("a\r", None, 0, 99, block), ["a"]);
            assert_eq!(split("", None, 0, 99, block), Vec::<String>::new());
            assert_eq!(split("a;;b;;", Some(";;"), 0, 99, block), ["a", "b"]);
            assert_eq!(split("a;b", Some(";"), 0, 99, block), ["a", "b"]);
        }
    }

    /// However a file is cut, each line is read once.
    #[test]
    fn slices_share_the_lines() {
        for (text, separator) in [("one\ntwo\r\nthree\rfour\n\nsix", None), ("a;bb;;c;", Some(";"))] {
            let all = split(text, separator, 0, 999, 4);
            for cut in 0..=text.len() as u64 {
                for second in cut..=text.len() as u64 {
                    for block in [1, 3, 64] {
                        let mut got = Vec::new();
                        let end = text.len() as u64;
                        for (a, b) in [(0, cut), (cut, second), (second, end)] {
                            if a < b {
                                got.extend(split(text, separator, a, b, block));
                            }
                        }
                        assert_eq!(got, all, "cut at {cut} and {second}, blocks of {block}");
                    }
                }
            }
        }
    }
}

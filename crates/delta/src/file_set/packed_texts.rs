//! Many texts that are alike and rarely read, such as the statistics of files as JSON: compressed in blocks.

/// Texts in a block: what is decompressed to read one of them.
const BLOCK: usize = 128;
/// The length of a text that is not there.
const NONE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct PackedTexts {
    lengths: Vec<u32>,
    blocks: Vec<Box<[u8]>>,
    /// The texts of the block that is not full yet, one after the other.
    open: String,
}

impl PackedTexts {
    pub fn push(&mut self, text: Option<&str>) {
        // A text that long is no statistics; without them a file is read.
        let text = text.filter(|t| t.len() < NONE as usize / BLOCK);
        self.lengths.push(text.map_or(NONE, |t| t.len() as u32));
        self.open.push_str(text.unwrap_or_default());
        if self.lengths.len().is_multiple_of(BLOCK) {
            self.close();
        }
    }

    fn close(&mut self) {
        self.blocks.push(lz4_flex::block::compress_prepend_size(self.open.as_bytes()).into());
        self.open.clear();
    }

    /// Nothing comes after this.
    pub fn finish(&mut self) {
        if !self.open.is_empty() || self.lengths.len() > self.blocks.len() * BLOCK {
            self.close();
        }
        self.open = String::new();
        self.lengths.shrink_to_fit();
        self.blocks.shrink_to_fit();
    }

    pub fn reader(&self) -> TextReader<'_> {
        TextReader { texts: self, block: usize::MAX, content: Vec::new() }
    }
}

/// Reads texts; neighbours cost one decompression.
pub(super) struct TextReader<'a> {
    texts: &'a PackedTexts,
    block: usize,
    content: Vec<u8>,
}

impl TextReader<'_> {
    pub fn get(&mut self, index: usize) -> Option<&str> {
        let length = *self.texts.lengths.get(index)?;
        if length == NONE {
            return None;
        }
        let block = index / BLOCK;
        if block != self.block {
            self.content = lz4_flex::block::decompress_size_prepended(self.texts.blocks.get(block)?).ok()?;
            self.block = block;
        }
        let before = &self.texts.lengths[block * BLOCK..index];
        let start: usize = before.iter().filter(|l| **l != NONE).map(|l| *l as usize).sum();
        let bytes = self.content.get(start..start + length as usize)?;
        std::str::from_utf8(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for count in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            let text = |i: usize| (i % 5 != 3).then(|| format!("{{\"numRecords\":{i}}}").repeat(i % 4));
            let mut packed = PackedTexts::default();
            (0..count).for_each(|i| packed.push(text(i).as_deref()));
            packed.finish();
            let mut reader = packed.reader();
            for i in (0..count).chain((0..count).rev()) {
                assert_eq!(reader.get(i), text(i).as_deref(), "{i} of {count}");
            }
            assert_eq!(reader.get(count), None);
        }
    }
}

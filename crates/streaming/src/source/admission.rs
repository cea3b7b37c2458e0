//! How much of a Delta table a batch takes (delta-spark's `DeltaSourceAdmissionBase`).

/// What a batch may still take. The file that goes beyond the bytes is taken, too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admission {
    files: i64,
    bytes: i64,
    has_taken: bool,
}

impl Admission {
    pub fn new((files, bytes): (i64, i64)) -> Self {
        Self { files, bytes, has_taken: false }
    }

    pub fn has_room(&self) -> bool {
        self.files > 0 && self.bytes > 0
    }

    /// Whether a file is taken.
    pub fn admits(&mut self, size: i64) -> bool {
        let is_taken = self.has_room();
        self.take(1, size);
        is_taken
    }

    /// Whether files are taken that belong together: the first ones always, however many. The marks of their version count as
    /// files here, and here alone.
    pub fn admits_all(&mut self, sizes: &[i64], marks: i64) -> bool {
        let count = i64::try_from(sizes.len()).unwrap_or(i64::MAX).saturating_add(marks);
        if count == 0 {
            return true;
        }
        let bytes = sizes.iter().fold(0_i64, |sum, size| sum.saturating_add(*size));
        let is_taken = !self.has_taken || (self.files >= count && self.bytes >= bytes);
        self.take(count, bytes);
        is_taken
    }

    /// A mark of where a version begins or ends, which takes no room: but what comes then is not the first.
    pub fn passes_mark(&mut self) {
        self.has_taken = true;
    }

    fn take(&mut self, files: i64, bytes: i64) {
        self.has_taken = true;
        self.files = self.files.saturating_sub(files);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_one_by_one() {
        let mut two = Admission::new((2, i64::MAX));
        assert_eq!([two.admits(1), two.admits(1), two.admits(1)], [true, true, false]);
        let mut bytes = Admission::new((i64::MAX, 15));
        assert_eq!([bytes.admits(10), bytes.admits(10), bytes.admits(10)], [true, true, false]);
    }

    #[test]
    fn files_that_belong_together() {
        let mut one = Admission::new((1, 1));
        assert_eq!(
            [one.admits_all(&[5, 5], 0), one.admits_all(&[], 0), one.admits_all(&[1], 0)],
            [true, true, false]
        );
        let mut three = Admission::new((3, i64::MAX));
        assert_eq!([three.admits(1), three.admits_all(&[1, 1], 0), three.has_room()], [true, true, false]);
        let mut after_one = Admission::new((2, i64::MAX));
        assert_eq!([after_one.admits(1), after_one.admits_all(&[1, 1], 0)], [true, false]);
    }

    #[test]
    fn marks_of_versions() {
        let mut three = Admission::new((3, i64::MAX));
        three.passes_mark();
        assert_eq!([three.admits_all(&[1, 1], 2), three.has_room()], [false, false]);
        let mut first = Admission::new((1, i64::MAX));
        assert_eq!([first.admits_all(&[1, 1], 1), first.has_room()], [true, false]);
    }
}

//! Words that stand for a day or a moment where a date or a timestamp is wanted of a constant text (Spark's
//! `SpecialDatetimeValues`).

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialTime {
    /// The beginning of 1970 in Greenwich.
    Epoch,
    /// The start of the query.
    Now,
    /// So many days after today.
    Day(i32),
}

impl SpecialTime {
    /// The word's meaning: blanks around it and its case do not matter. A time zone may follow all but `now`, and changes nothing.
    pub fn of(text: &str, is_zone: impl Fn(&str) -> bool) -> Option<Self> {
        let text = text.trim();
        let (word, rest) = text.split_at(text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len()));
        let zone = rest.trim_start_matches([' ', '\t']);
        let word = match word.to_ascii_lowercase().as_str() {
            "epoch" => Self::Epoch,
            "now" => Self::Now,
            "today" => Self::Day(0),
            "tomorrow" => Self::Day(1),
            "yesterday" => Self::Day(-1),
            _ => return None,
        };
        (zone.is_empty() || (word != Self::Now && is_zone(zone))).then_some(word)
    }
}

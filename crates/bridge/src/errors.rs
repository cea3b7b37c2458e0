//! Our errors through DataFusion and Arrow, and theirs as ours.
//!
//! An [`Error`] travels inside `DataFusionError::External` / `ArrowError::ExternalError` and comes out whole. Errors
//! that DataFusion or Arrow make themselves are told apart by their variant, never by their text.

use arrow::error::ArrowError;
use boathouse_spec::Error;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;

pub fn to_datafusion(e: Error) -> DataFusionError {
    DataFusionError::External(Box::new(e))
}

pub fn to_arrow(e: Error) -> ArrowError {
    ArrowError::ExternalError(Box::new(e))
}

/// The error a query failed with.
pub fn from_datafusion(e: DataFusionError) -> Error {
    from_datafusion_ref(&e)
}

/// The same, of an error that goes on to someone else.
pub fn from_datafusion_ref(e: &DataFusionError) -> Error {
    if let Some(ours) = find_ours(e) {
        return ours;
    }
    match e.find_root() {
        DataFusionError::ResourcesExhausted(text) => {
            Error::new("UNABLE_TO_ACQUIRE_MEMORY").message(text.clone())
        }
        DataFusionError::NotImplemented(text) => Error::unsupported(text),
        DataFusionError::ArrowError(inner, _) => arrow_error(inner),
        DataFusionError::ObjectStore(inner) => Error::io("reading or writing an object", inner),
        DataFusionError::IoError(inner) => Error::io("reading or writing a file", inner),
        DataFusionError::ParquetError(inner) if is_overflow(inner) => Error::batch_too_large(),
        DataFusionError::ParquetError(inner) => Error::new("FAILED_READ_FILE.NO_HINT")
            .param("path", "")
            .message(format!("A Parquet file could not be read: {inner}")),
        other => Error::internal(other.to_string()),
    }
}

pub fn from_arrow(e: ArrowError) -> Error {
    find_ours(&e).unwrap_or_else(|| arrow_error(&e))
}

fn arrow_error(e: &ArrowError) -> Error {
    match e {
        ArrowError::DivideByZero => Error::new("DIVIDE_BY_ZERO")
            .param("config", "\"spark.sql.ansi.enabled\"")
            .message("Division by zero. Use `try_divide` to get NULL instead."),
        ArrowError::OffsetOverflowError(_) => Error::batch_too_large(),
        ArrowError::ArithmeticOverflow(text) => Error::new("ARITHMETIC_OVERFLOW").message(text.clone()),
        // It is told as Parquet's error shows itself.
        ArrowError::ParquetError(text) if is_overflow_text(text.trim_start_matches("Parquet error: ")) => {
            Error::batch_too_large()
        }
        ArrowError::ParquetError(text) => Error::new("FAILED_READ_FILE.NO_HINT")
            .param("path", "")
            .message(format!("A Parquet file could not be read: {text}")),
        ArrowError::IoError(text, _) => Error::io("reading or writing a file", text),
        other => Error::internal(other.to_string()),
    }
}

/// Whether a column of a batch became larger than its places can tell. Parquet has no kind of error for that.
fn is_overflow(e: &ParquetError) -> bool {
    matches!(e, ParquetError::General(text) if is_overflow_text(text))
}

/// The same, of what a panic says: Arrow's builders have no errors.
pub fn is_overflow_text(text: &str) -> bool {
    const TEXTS: [&str; 3] =
        ["offset overflow", "byte array offset overflow", "index overflow decoding byte array"];
    TEXTS.contains(&text)
}

/// Walks the chain of causes to an error of ours.
fn find_ours(e: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let mut current = Some(e);
    while let Some(error) = current {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(ours.clone());
        }
        // These wrap without naming what they wrap as their source.
        if let Some(d) = error.downcast_ref::<DataFusionError>() {
            match d {
                DataFusionError::External(inner) => return find_ours(inner.as_ref()),
                DataFusionError::ArrowError(inner, _) => return find_ours(inner.as_ref()),
                DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                    return find_ours(inner.as_ref());
                }
                DataFusionError::Shared(inner) => return find_ours(inner.as_ref()),
                DataFusionError::Collection(all) => return all.iter().find_map(|e| find_ours(e)),
                DataFusionError::ParquetError(inner) => return find_ours(inner.as_ref()),
                DataFusionError::ObjectStore(inner) => return find_ours(inner.as_ref()),
                _ => {}
            }
        }
        if let Some(ArrowError::ExternalError(inner)) = error.downcast_ref::<ArrowError>() {
            return find_ours(inner.as_ref());
        }
        current = error.source();
    }
    None
}

/// `?` for results of DataFusion and Arrow.
pub trait ResultExt<T> {
    fn spark(self) -> boathouse_spec::Result<T>;
}

impl<T> ResultExt<T> for Result<T, DataFusionError> {
    fn spark(self) -> boathouse_spec::Result<T> {
        self.map_err(from_datafusion)
    }
}

impl<T> ResultExt<T> for Result<T, ArrowError> {
    fn spark(self) -> boathouse_spec::Result<T> {
        self.map_err(from_arrow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_comes_out_whole() {
        let ours = Error::new("DIVIDE_BY_ZERO").message("x");
        let wrapped =
            DataFusionError::ArrowError(Box::new(to_arrow(ours.clone())), None).context("while planning");
        assert_eq!(from_datafusion(wrapped), ours);
    }

    #[test]
    fn a_column_beyond_its_places_has_an_error_that_says_what_to_do() {
        let e = from_arrow(ArrowError::OffsetOverflowError(1 << 31));
        assert_eq!(e, Error::batch_too_large());
        let text = "index overflow decoding byte array".to_string();
        let e = ParquetError::General(text.clone());
        assert_eq!(from_arrow(ParquetError::General(text).into()), Error::batch_too_large());
        assert_eq!(from_datafusion(DataFusionError::ParquetError(Box::new(e))), Error::batch_too_large());
    }
}

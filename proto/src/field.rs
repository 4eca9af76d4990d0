//! Fields of the wire as domain types.

use tonic::Status;

/// Refuses a field for the reason given: `invalid_argument`, "field: reason".
pub fn invalid(field: &'static str, reason: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {reason}"))
}

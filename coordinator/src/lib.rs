//! Trigger threshold re-encryption, collect, check and combine; hold no secret.

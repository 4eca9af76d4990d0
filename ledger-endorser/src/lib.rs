//! Replicate the golden record by consensus, and issue approval certificates from it.

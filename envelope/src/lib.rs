//! Encrypt an object in chunks, and its key and metadata in a second layer, in constant memory.

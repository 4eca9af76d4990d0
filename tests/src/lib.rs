//! The system whole: honest, faulty and attacked.

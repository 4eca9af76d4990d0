//! What a user and an operator pay, in numbers.

//! Four validators on a simulated machine and network.

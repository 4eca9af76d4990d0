//! The engine with a toy application: on real sockets, and on a simulated machine and network.

mod evidence;
mod loopback;
mod processes;
mod rollback;
mod simulated;
mod toy;

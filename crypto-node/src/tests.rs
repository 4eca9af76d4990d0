//! The node as a whole: the decision with a real journal, and committees over real TLS.

mod authorise;
mod cluster;
mod shares;
pub(crate) mod world;

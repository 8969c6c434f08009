//! Resident bytes per idle connection, over real sockets, with the server in a process of its own.

pub mod client;
pub mod memory;
pub mod servers;

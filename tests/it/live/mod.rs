//! Subscriptions: what is followed, over which transports, and what nobody loses.

mod client;
mod contract;
mod lead;
mod replicas;
mod servers;
mod slow;
mod streams;
mod transport;

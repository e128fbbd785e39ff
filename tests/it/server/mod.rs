//! The program as it runs: what it promises when it is killed, stopped, cut off or fed badly.

mod cli;
mod drain;
mod inputs;
mod kill;
mod killers;
mod load;
mod refusals;
mod repeats;
mod trace;

//! What tests share.

pub mod api;
pub mod db;
pub mod feed;

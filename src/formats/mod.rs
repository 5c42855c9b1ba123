//! The formats that others read and write. Pure: text in, text out.

pub mod event_log;

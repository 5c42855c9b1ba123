//! Every row of the design's failure table, on real servers: the promises that must hold when
//! a process, the server, the network, the disk or an operator does the worst.

mod before_disk;
mod behind;
mod contention;
mod corruption;
mod crash;
mod doctor;
pub(crate) mod fixtures;
mod full_disk;
mod going_back;
mod gone_back;
mod group;
mod lagging;
mod levels;
mod limits;
mod load;
pub(crate) mod looking;
mod lost_reply;
mod missing;
mod neighbours;
mod operator;
mod outage;
mod process;
mod races;
mod readers;
mod reconnect;
pub(crate) mod replicas;
mod stream_settings;
mod timers;
mod unknown;
mod unseen;
mod watching;

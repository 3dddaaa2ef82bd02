//! Whatever dies, breaks or fills up: nobody scans again, no message is lost, and none goes twice.

mod abandoned;
mod backup;
mod broken;
mod copy_failure;
mod crossing;
pub mod damage;
mod descriptors;
mod disk;
mod everything;
mod folders;
mod heal;
mod health_counts;
mod key_files;
mod kill;
mod no_answers;
mod outage;
mod rekey;
mod restore;
mod signals;
mod small_disk;
mod text_flood;
mod unreadable;
mod wrong_clock;

//! The working copy: what it answers, what it holds back, and how it ends.

mod backend;
mod damage;
mod gates;
mod life;
mod messages;
mod pairing;

//! A gateway on a loopback port in front of orchestrators made of `wire`'s own server parts.

mod edge;
mod ends;
mod offers;
mod relay;
mod rig;

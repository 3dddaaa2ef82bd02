//! A WhatsApp network on loopback: the real protocol, for tests and the demo.

//! Give a daemon its configuration, identity, mutual TLS, telemetry, health and shutdown.

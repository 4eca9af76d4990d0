//! Issue and check an endorser's short-lived X.509 approval certificate, without any I/O.

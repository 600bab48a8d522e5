//! Structured concurrency in one process: nurseries, cancel scopes, error groups

//! What to start: the role, the name, and additions to the environment.

use std::ffi::OsString;

use crate::limits::Limits;

/// What child to start: the role that it plays, its name, and what is added to its environment.
///
/// Its standard output and error are those of the parent; its standard input is empty.
#[derive(Clone, Debug)]
#[must_use = "a specification starts nothing; give it to `spawn`"]
pub struct Spec {
    pub(crate) role: &'static str,
    pub(crate) name: String,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) limits: Limits,
}

impl Spec {
    /// A child that plays `role` (the name of a [`Role`](crate::Role)) under `name`, which shows in `ps`, logs and errors.
    pub fn new(role: &'static str, name: impl Into<String>) -> Self {
        Self { role, name: name.into(), env: Vec::new(), limits: Limits::new() }
    }

    /// Sets an environment variable for the child. The variables of triune itself (`TRIUNE_CHILD`, `TRIUNE_NAME`,
    /// `TRIUNE_TREE`) cannot be set.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Sets several environment variables, as [`env`](Self::env) does.
    pub fn envs(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.env.extend(variables);
        self
    }

    /// What the child may not do. See [`Limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

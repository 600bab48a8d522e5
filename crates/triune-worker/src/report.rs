//! Any error of a job as a [`Report`], with as much of it as its type gives away.
//!
//! Owns: the choice among the ways to look at an error type, made at compile time by method lookup ("autoref
//! specialisation"), because a macro cannot ask for traits; and which part of a call a codec error belongs to. Does not
//! own: panics (`serve`).
//!
//! The lookup goes from the outermost reference inwards, so of two ways that both fit the one on more references wins:
//! `triune::Error`, then what gives its error as a reference (`anyhow::Error`, boxed errors), then `std::error::Error`,
//! then `Display`, then `Debug`.

use std::any::type_name;
use std::error::Error;
use std::fmt::{Debug, Display};

use serde::{Deserialize, Serialize};
use triune_wire::{DecodeError, EncodeError, Report, ReportKind};

use crate::shared;

/// What the macros import in one go.
pub mod prelude {
    pub use super::{Probe, ViaAsRef, ViaBox, ViaDebug, ViaDisplay, ViaError, ViaTriune};
}

/// An error whose report is looked for, as `(&&&&&Probe(&error)).report()`.
#[derive(Debug)]
pub struct Probe<'a, E>(pub &'a E);

/// `triune::Error`, with its context and causes.
pub trait ViaTriune {
    /// The report of the error.
    fn report(&self) -> Box<Report>;
}

impl ViaTriune for &&&&Probe<'_, triune_scope::Error> {
    fn report(&self) -> Box<Report> {
        let error = self.0;
        let mut report = Report::new(ReportKind::Error, error.to_string());
        report.type_name = type_name::<triune_scope::Error>().to_owned();
        // With a context, the text of the wrapped error is the first cause.
        let texts = error.chain().map(ToString::to_string);
        report.chain = texts.skip_while(|text| *text == report.message).collect();
        Box::new(report)
    }
}

/// What lends its error: `anyhow::Error`, `eyre::Report`, `Box<dyn Error>`.
pub trait ViaAsRef {
    /// The report of the error.
    fn report(&self) -> Box<Report>;
}

impl<E: AsRef<dyn Error>> ViaAsRef for &&&Probe<'_, E> {
    fn report(&self) -> Box<Report> {
        of_error::<E>(self.0.as_ref())
    }
}

/// `Box<dyn Error + Send + Sync>`, which lends another type than the one above.
pub trait ViaBox {
    /// The report of the error.
    fn report(&self) -> Box<Report>;
}

impl ViaBox for &&&Probe<'_, Box<dyn Error + Send + Sync>> {
    fn report(&self) -> Box<Report> {
        of_error::<Box<dyn Error + Send + Sync>>(self.0.as_ref())
    }
}

/// Every `std::error::Error`, with its causes.
pub trait ViaError {
    /// The report of the error.
    fn report(&self) -> Box<Report>;
}

impl<E: Error> ViaError for &&Probe<'_, E> {
    fn report(&self) -> Box<Report> {
        Box::new(Report::from_error(self.0))
    }
}

/// What can only be shown, such as a `String`.
pub trait ViaDisplay {
    /// The report of the error.
    fn report(&self) -> Box<Report>;
}

impl<E: Display> ViaDisplay for &Probe<'_, E> {
    fn report(&self) -> Box<Report> {
        of_text::<E>(self.0.to_string())
    }
}

/// What can only be debugged, such as `()`.
pub trait ViaDebug {
    /// The report of the error.
    fn report(&self) -> Box<Report>;
}

impl<E: Debug> ViaDebug for Probe<'_, E> {
    fn report(&self) -> Box<Report> {
        of_text::<E>(format!("{:?}", self.0))
    }
}

fn of_error<E>(error: &dyn Error) -> Box<Report> {
    let mut report = Report::from_error(error);
    report.type_name = type_name::<E>().to_owned();
    Box::new(report)
}

fn of_text<E>(text: String) -> Box<Report> {
    let mut report = Report::new(ReportKind::Error, text);
    report.type_name = type_name::<E>().to_owned();
    Box::new(report)
}

/// Which part of a call a codec error belongs to; it travels as the typed part of a `Protocol` report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// The worker could not decode the arguments.
    Arguments,
    /// The worker could not encode the result.
    Result,
    /// The result is larger than a frame may be.
    TooLarge { bytes: u64, limit: u64 },
}

pub(crate) fn undecodable(error: &DecodeError) -> Box<Report> {
    fault(Fault::Arguments, with_reason(Report::from_error(error)))
}

pub(crate) fn unencodable(error: &EncodeError) -> Box<Report> {
    fault(Fault::Result, with_reason(Report::from_error(error)))
}

/// Adds what a `Shared` had to say, which the codec does not keep.
fn with_reason(mut report: Report) -> Report {
    report.chain.extend(shared::reason());
    report
}

pub(crate) fn fault(fault: Fault, mut report: Report) -> Box<Report> {
    report.kind = ReportKind::Protocol;
    report.typed = triune_wire::to_bytes(&fault).ok();
    Box::new(report)
}

/// What [`fault`] wrote.
pub(crate) fn fault_of(report: &Report) -> Option<Fault> {
    triune_wire::decode(report.typed.as_deref()?).ok()
}

#[cfg(test)]
mod tests;

//! The examples on worker jobs as a user runs them: right results, clear messages, and nothing left behind.

mod mails;
mod mandelbrot;
mod primes;
mod program;
mod run;
mod thumbnails;

//! The bar of [`Map::progress`](crate::Map::progress): one of the few things in triune that write to a terminal, because
//! somebody has asked for it.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that vanishes with its stream. Hidden where standard error is no terminal.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar for as many steps as the hint says, or one that only counts.
    pub(crate) fn new((least, most): (usize, Option<usize>)) -> Self {
        let known = most.filter(|most| *most == least);
        Self(match known {
            Some(total) => {
                let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} eta {eta}");
                ProgressBar::new(total as u64).with_style(style.expect("the template is sound"))
            }
            None => {
                let style = ProgressStyle::with_template("{spinner} {pos} {per_sec}");
                ProgressBar::no_length().with_style(style.expect("the template is sound"))
            }
        })
    }

    /// One result was given out, or there are no more.
    pub(crate) fn advance(&self, is_result: bool) {
        if is_result {
            self.0.inc(1);
        } else {
            self.0.finish();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if !self.0.is_finished() {
            self.0.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bar;

    #[test]
    fn a_bar_counts_what_was_given_out_and_ends_with_the_stream() {
        let bar = Bar::new((3, Some(3)));
        bar.advance(true);
        bar.advance(true);
        assert_eq!((bar.0.position(), bar.0.length()), (2, Some(3)));
        bar.advance(false);
        assert!(bar.0.is_finished());
        assert_eq!(Bar::new((0, None)).0.length(), None);
    }
}

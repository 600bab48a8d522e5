//! One connection of triune: link, multiplexer, credits, calls and dialogs

//! Test support for triune: leak guard, orphan detector

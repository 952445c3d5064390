// SPDX-License-Identifier: MPL-2.0
//! The body of a WHEP server's answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gstfailover::fuzzing::answer(bytes));

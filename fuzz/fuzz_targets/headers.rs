// SPDX-License-Identifier: MPL-2.0
//! Status and headers of a WHEP server.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gstfailover::fuzzing::headers(bytes));

// SPDX-License-Identifier: MPL-2.0
//! What an Ant Media server says on its socket.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gstfailover::fuzzing::messages(bytes));

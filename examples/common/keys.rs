// SPDX-License-Identifier: MPL-2.0
//! Single keys, without Enter.
//!
//! Owns the terminal's mode. Knows nothing of what the keys mean.

use std::io::{IsTerminal, stdin, stdout};
use std::time::Duration;

use crossterm::event::{Event, KeyEvent, KeyEventKind, poll, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

/// Single keys from the terminal, which is as it was when this is dropped.
pub(crate) struct Keys;

impl Keys {
    /// `None` where there is no terminal.
    pub(crate) fn listen() -> Option<Self> {
        let terminal = stdin().is_terminal() && stdout().is_terminal();
        (terminal && enable_raw_mode().is_ok()).then_some(Self)
    }

    /// The next key that was pressed, without waiting for one.
    pub(crate) fn pressed(&self) -> Option<KeyEvent> {
        if !poll(Duration::ZERO).unwrap_or(false) {
            return None;
        }
        match read() {
            Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => Some(key),
            _ => None,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
        println!();
    }
}

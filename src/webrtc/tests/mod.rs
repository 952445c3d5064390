// SPDX-License-Identifier: MPL-2.0
//! The pure files of this floor: stories of the WHEP machine, and that no text from outside harms it.

mod certificates;
mod identity;
mod seeds;
mod strangers;
mod whep;

// SPDX-License-Identifier: MPL-2.0
//! What the policy promises: sentences, and properties against a naive model.

mod choice;
mod life;
mod model;
mod model_health;
mod properties;
mod stage;

use super::*;

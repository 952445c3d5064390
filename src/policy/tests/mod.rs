// SPDX-License-Identifier: MPL-2.0
//! What the policy promises: sentences, and properties against a naive model.

mod choice;
mod complete;
mod life;
mod model;
mod model_compare;
mod model_health;
mod properties;
mod stage;

use super::*;

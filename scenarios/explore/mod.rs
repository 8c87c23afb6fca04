//! Exploring: crashes at every place and in every state, instead of drawn ones.

pub mod matrix;

//! Groundline.

//! The page that shows a demo.

//! One family of directives per file: its settings, its rows and what it does. Features never import each other; the
//! order they run in is written in the pipeline.

pub mod autoindex;

//! What the variables of one request are worked out from: the settings in force, what the request gave to variables, what a regex
//! captured. Getters have the exchange to look at only, so what changes while one is worked out stands in cells.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use bytes::Bytes;

use super::Exchange;
use super::error::HttpError;
use super::place::Place;
use super::variables::{Given, Variables};
use crate::conf::source::Sources;
use crate::conf::value::VarId;

/// The captures of the last regex that matched, as bytes of their own.
#[derive(Debug, Clone, Default)]
pub(super) struct Captures {
    /// Group 0 first; `None` for a group that took no part.
    pub groups: Vec<Option<Bytes>>,
}

/// What variables are worked out from.
pub(super) struct Values {
    /// The settings in force.
    scope: Arc<dyn Any + Send + Sync>,
    /// The variables this conf knows.
    pub known: Arc<Variables>,
    /// Values that this request gave to variables (`set`, named captures), and those worked out once (`map`).
    pub assigned: RefCell<Vec<(VarId, Given)>>,
    /// What a regex captured last; a variable that is asked for may match one.
    pub captures: RefCell<Captures>,
    /// Whether what is evaluated becomes a field, which has one line.
    pub makes_field: Cell<bool>,
    /// How many variables are being worked out, each for the one before.
    depth: Cell<u8>,
    /// Why something that was asked about this request has no answer: it fails at the end of the step.
    pub spoiled: Cell<Option<Box<HttpError>>>,
    /// The random id of `$request_id`, made when asked for.
    pub id: OnceCell<Box<str>>,
}

impl Values {
    /// Of a request under these settings that gave no variable a value yet.
    #[inline(always)]
    pub fn new(scope: Arc<dyn Any + Send + Sync>, known: Arc<Variables>) -> Values {
        Values {
            scope,
            known,
            assigned: RefCell::default(),
            captures: RefCell::default(),
            makes_field: Cell::default(),
            depth: Cell::default(),
            spoiled: Cell::default(),
            id: OnceCell::default(),
        }
    }
}

impl Exchange {
    /// Other settings are in force from now on: where files are, and what variables see, change together.
    pub fn enter(&mut self, place: Place, scope: Arc<dyn Any + Send + Sync>) {
        self.place = place;
        self.values.scope = scope;
    }

    /// The settings in force, by the type that composes them.
    pub fn settings<T: 'static>(&self) -> Option<&T> {
        self.values.scope.downcast_ref()
    }

    /// The settings in force, for whoever looks on.
    pub(super) fn scope(&self) -> Arc<dyn Any + Send + Sync> {
        self.values.scope.clone()
    }

    /// The text of the conf.
    pub fn sources(&self) -> &Sources {
        &self.values.known.sources
    }

    /// Whether what is being worked out becomes a field, which has one line.
    pub fn makes_field(&self) -> bool {
        self.values.makes_field.get()
    }

    /// Works out a variable that other variables may hang on; `None` if so many are being worked out already, each for the one
    /// before.
    pub fn nested<T>(&self, most: u8, work_out: impl FnOnce() -> T) -> Option<T> {
        let depth = &self.values.depth;
        if depth.get() >= most {
            return None;
        }
        depth.set(depth.get() + 1);
        let value = work_out();
        depth.set(depth.get() - 1);
        Some(value)
    }

    /// Forgets what the last regex captured.
    pub fn forget_captures(&self) {
        self.values.captures.borrow_mut().groups.clear();
    }

    /// The values that were given to variables are with the other request from now on, until this is called again.
    pub fn swap_values(&mut self, other: &mut Exchange) {
        std::mem::swap(&mut self.values.assigned, &mut other.values.assigned);
    }

    /// Takes over the values that were given to another request's variables, and what a regex captured for it.
    pub fn copy_values(&mut self, other: &Exchange) {
        self.values.assigned = other.values.assigned.clone();
        self.values.captures = other.values.captures.clone();
    }

    /// Takes over the random id of another request that one client's request has led to, unless it has one.
    pub fn share_id(&self, other: &Exchange) {
        if let Some(id) = other.values.id.get() {
            // It may have made its own meanwhile.
            let _ = self.values.id.set(id.clone());
        }
    }
}

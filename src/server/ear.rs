//! From an event to the connection that it wakes: by the slot that its token names, or by a bell. Whoever waits for the kernel's news
//! has one of these.

use std::sync::Arc;

use super::bells::{BELL, Bells};
use super::connection::Carrier;
use super::news::Event;
use super::slot::{OURS, Parked, Slots};

/// What turns events into work.
pub struct Ear {
    slots: Arc<Slots<Carrier>>,
    bells: Arc<Bells>,
}

impl Ear {
    /// Over these connections and bells.
    pub fn new(slots: Arc<Slots<Carrier>>, bells: Arc<Bells>) -> Ear {
        Ear { slots, bells }
    }

    /// Notes what an event says. The connection that it wakes is the caller's from now on; none if there is nothing to do, or somebody
    /// works on it and will see the mark.
    pub fn hear(&self, event: Event) -> Option<Carrier> {
        if event.token & BELL == BELL {
            let woken = self.bells.ring(event.token, event.ended)?;
            return self.slots.find(woken)?.notify();
        }
        let slot = self.slots.find(event.token)?;
        // Room to write is no news to who waits for a request.
        if !event.news && matches!(slot.parked(), Some(Parked::Idle | Parked::Head)) {
            return None;
        }
        if event.news && event.token & OURS == 0 {
            slot.note(event.token, event.ended);
        }
        slot.notify()
    }
}

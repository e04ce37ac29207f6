//! The models, each with the most preemptions that are tried.

mod bells;
mod pool;
mod ready;
mod slot;

/// Name, bound, model.
pub const ALL: &[(&str, usize, fn())] = &[
    ("slot: an edge while its worker parks is seen", 3, slot::edge_against_park),
    ("slot: two edges, one worker", 2, slot::two_edges),
    ("slot: edge, deadline and closing for room race for one connection", 3, slot::one_owner),
    (
        "slot: what was noted before an edge is seen, though the edge finds an old mark",
        2,
        slot::note_behind_an_old_mark,
    ),
    ("slot: a late edge says nothing of the connection that has the slot now", 3, slot::late_edge),
    ("slot: one gives its slot back while another claims", 3, slot::given_back_and_claimed),
    ("slot: a deadline in a new chunk is looked at", 3, slot::a_new_chunk_is_swept),
    ("bells: news of a kept socket reaches the next request", 3, bells::taken_and_rung),
    ("bells: two who ring, one who parks", 2, bells::two_ringers),
    ("bells: a late event says nothing of the bell that has the place now", 3, bells::late_ring),
    ("ready: a stream is woken while its carrier parks", 3, ready::woken_while_the_carrier_parks),
    ("ready: two streams are woken at once", 2, ready::two_are_woken),
    ("ready: a stream is woken twice", 2, ready::woken_twice),
    ("ready: streams are woken while their carrier ends", 2, ready::woken_while_the_carrier_ends),
    ("pool: a job is done though its worker is about to rest", 3, pool::send_against_rest),
    ("pool: two jobs, two watchers", 2, pool::two_watchers),
    ("pool: two jobs of which is told once", 2, pool::told_once),
    ("pool: a watcher that hears of a socket leaves the job to another one", 2, pool::job_beside_news),
    ("pool: a watcher that hears of a socket leaves the job to the reserve", 1, pool::job_of_the_reserve),
    ("pool: the last watcher leaves while the alarm goes off", 3, pool::leave_against_alarm),
    ("pool: the reserve takes the place of the stuck", 1, pool::reserve),
];

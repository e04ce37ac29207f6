//! Who asked for a reload and waits to hear what became of it. Whoever prepares a reload says what is to say about the
//! conf; whoever puts it in force, or does not, ends it. Knows nothing of sockets.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those who may wait at once; one more is told nothing.
const MOST_WAITING: usize = 64;
/// Lines that are told of one conf.
const MOST_LINES: usize = 100;

/// Before a line that is told.
pub const SAID: &str = "said ";
/// The last line where the new conf is in force.
pub const IN_FORCE: &str = "in force";
/// The last line where the old conf stays.
pub const REFUSED: &str = "refused";

/// One who waits: what is written here is told.
pub type Waiting = Box<dyn Write + Send>;

/// The reloads of one server.
#[derive(Default)]
pub struct Verdicts {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// They asked, and no conf was read since.
    waiting: Vec<Waiting>,
    /// They hear of the conf that is being read.
    hearing: Vec<Waiting>,
    lines: Vec<String>,
}

impl Verdicts {
    /// Somebody asks for a reload, which is yet to be begun.
    pub fn ask(&self, one: Waiting) {
        let mut state = self.state();
        if state.waiting.len() < MOST_WAITING {
            state.waiting.push(one);
        }
    }

    /// A conf is about to be read: those who asked until now hear of it. Some may hear of the one before, which did not get to
    /// its end.
    pub fn begin(&self) {
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.waiting);
        state.hearing.extend(waiting);
        state.lines.clear();
    }

    /// There is something to say about the conf.
    pub fn say(&self, text: &str) {
        let mut state = self.state();
        if !state.hearing.is_empty() && state.lines.len() < MOST_LINES {
            state.lines.extend(text.lines().map(str::to_string));
        }
    }

    /// The new conf is in force, or is not going to be.
    pub fn end(&self, in_force: bool) {
        let mut state = self.state();
        let (hearing, lines) = (std::mem::take(&mut state.hearing), std::mem::take(&mut state.lines));
        drop(state);
        let mut text: String = lines.iter().map(|line| format!("{SAID}{line}\n")).collect();
        text.push_str(if in_force { IN_FORCE } else { REFUSED });
        text.push('\n');
        for mut one in hearing {
            // Who has left does not want to know.
            let _ = one.write_all(text.as_bytes());
        }
    }

    /// No conf will be read any more.
    pub fn refuse(&self, why: &str) {
        self.begin();
        self.say(why);
        self.end(false);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);

    impl Write for Heard {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Heard {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn each_hears_of_the_conf_that_was_read_after_it_asked() {
        let verdicts = Verdicts::default();
        let [first, second, third] = [(); 3].map(|()| Heard::default());
        verdicts.say("nobody hears this");
        verdicts.ask(Box::new(first.clone()));
        verdicts.begin();
        verdicts.say("one\ntwo");
        verdicts.ask(Box::new(second.clone()));
        verdicts.end(false);
        assert_eq!((first.text().as_str(), second.text().as_str()), ("said one\nsaid two\nrefused\n", ""));
        verdicts.begin();
        verdicts.say("of the conf that was not finished");
        verdicts.ask(Box::new(third.clone()));
        verdicts.begin();
        verdicts.end(true);
        assert_eq!((second.text().as_str(), third.text().as_str()), ("in force\n", "in force\n"));
        verdicts.ask(Box::new(first.clone()));
        verdicts.refuse("it stops");
        assert!(first.text().ends_with("said it stops\nrefused\n"));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let verdicts = Verdicts::default();
        let heard = Heard::default();
        for _ in 0..MOST_WAITING + 1 {
            verdicts.ask(Box::new(heard.clone()));
        }
        verdicts.begin();
        (0..MOST_LINES + 1).for_each(|_| verdicts.say("x"));
        verdicts.end(true);
        let text = heard.text();
        assert_eq!(text.matches(IN_FORCE).count(), MOST_WAITING);
        assert_eq!(text.matches(SAID).count(), MOST_WAITING * MOST_LINES);
    }
}

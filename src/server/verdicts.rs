//! Who asked for a reload and waits to hear what became of it. Whoever prepares a reload says what is to say about the
//! conf; whoever puts it in force, or does not, ends it. Knows nothing of sockets.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those who may wait at once; one more is told so.
const MOST_WAITING: usize = 64;
/// Bytes that are told of one conf. A socket takes them at once, so nobody waits for a client that does not read.
pub const LONGEST: usize = 32 << 10;
/// What stands in the place of lines that are too much.
const AND_MORE: &str = "... the error log tells the rest";

/// Before a line that is told.
pub const SAID: &str = "said ";
/// The last line where the new conf is in force.
pub const IN_FORCE: &str = "in force";
/// The last line where the old conf stays.
pub const REFUSED: &str = "refused";
/// The only line where too many wait already.
pub const BUSY: &str = "busy";

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
    text: String,
    is_full: bool,
}

impl Verdicts {
    /// Somebody asks for a reload, which is yet to be begun.
    pub fn ask(&self, mut one: Waiting) {
        let mut state = self.state();
        if state.waiting.len() + state.hearing.len() < MOST_WAITING {
            state.waiting.push(one);
        } else {
            drop(state);
            let _ = one.write_all(format!("{BUSY}\n").as_bytes());
        }
    }

    /// A conf is about to be read: those who asked until now hear of it. Some may hear of the one before, which did not get to
    /// its end.
    pub fn begin(&self) {
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.waiting);
        state.hearing.extend(waiting);
        state.text.clear();
        state.is_full = false;
    }

    /// There is something to say about the conf.
    pub fn say(&self, text: &str) {
        let mut state = self.state();
        if state.hearing.is_empty() {
            return;
        }
        // Room for the verdict is kept.
        let most = LONGEST - SAID.len() - AND_MORE.len() - IN_FORCE.len() - 2;
        for line in text.lines() {
            if state.is_full {
                return;
            }
            state.is_full = state.text.len() + SAID.len() + line.len() + 1 > most;
            let line = if state.is_full { AND_MORE } else { line };
            state.text.extend([SAID, line, "\n"]);
        }
    }

    /// The new conf is in force, or is not going to be. Waits for nobody.
    pub fn end(&self, in_force: bool) {
        let mut state = self.state();
        let (hearing, mut text) = (std::mem::take(&mut state.hearing), std::mem::take(&mut state.text));
        drop(state);
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
        for _ in 0..MOST_WAITING - 1 {
            verdicts.ask(Box::new(heard.clone()));
        }
        verdicts.begin();
        verdicts.ask(Box::new(heard.clone()));
        let last = Heard::default();
        verdicts.ask(Box::new(last.clone()));
        assert_eq!(last.text(), "busy\n");
        verdicts.end(true);
        assert_eq!(heard.text().matches(IN_FORCE).count(), MOST_WAITING - 1);
        verdicts.begin();
        verdicts.end(true);
        assert_eq!(heard.text().matches(IN_FORCE).count(), MOST_WAITING);
    }

    #[test]
    fn what_is_told_is_bounded() {
        let room = LONGEST - 2 * SAID.len() - AND_MORE.len() - IN_FORCE.len() - 3;
        for (length, fits) in [(room, true), (room + 1, false), (LONGEST * 2, false)] {
            let (verdicts, heard) = (Verdicts::default(), Heard::default());
            verdicts.ask(Box::new(heard.clone()));
            verdicts.begin();
            let long = "x".repeat(length);
            verdicts.say(&long);
            verdicts.say(&"more\n".repeat(LONGEST));
            verdicts.end(false);
            let text = heard.text();
            assert!(text.len() <= LONGEST, "{length} {}", text.len());
            assert!(text.ends_with(&format!("{SAID}{AND_MORE}\n{REFUSED}\n")), "{length}");
            assert_eq!((text.contains(&long), text.matches(AND_MORE).count()), (fits, 1), "{length}");
        }
    }
}

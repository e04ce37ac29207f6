//! What was found, for people: at most a hundred columns, one thing after the other, each with its line of the conf.

use std::collections::HashMap;
use std::path::Path;

use super::finding::{Decision, End, Finding, Line, Setting};
use super::json::lines;
use crate::exchange::trace::{Act, Peers, Told};
use crate::http::status;

/// Columns of a page.
const WIDTH: usize = 100;

/// The whole page.
pub fn page(found: &Finding) -> String {
    let mut page = Page { text: String::new(), here: here() };
    page.top(found);
    page.addresses(found);
    page.title("What happens, in order");
    page.decisions(&found.decisions);
    page.end(found);
    page.files(found);
    page.settings("Limits", &found.limits);
    page.settings("Settings in force", &found.settings);
    page.text
}

/// How it ends, and the server, the location and the file that it is about.
pub fn short(found: &Finding) -> String {
    let mut page = Page { text: String::new(), here: here() };
    page.top(found);
    let server = found.servers.iter().find(|server| server.is_chosen).and_then(|server| server.line.as_ref());
    for line in [server, found.location.as_ref()].into_iter().flatten() {
        page.put_with_place(&format!("     {}", line.text), Some(line));
    }
    if found.walk.is_empty() {
        return page.text;
    }
    page.put(&format!("     {}", shown(found.file.as_bytes())));
    page.text
}

/// The end in a few words.
pub fn ending(found: &Finding) -> String {
    let reason = found.reason.as_ref().map_or(String::new(), |reason| format!("  ({reason})"));
    match &found.end {
        End::Answer(code) => format!("{code} {}{reason}", status::reason(*code)),
        End::Close => format!("the connection is closed without an answer{reason}"),
        End::Act(Act::Run { .. }) => "a program is run; its answer decides the status".into(),
        End::Act(Act::Pass { by, to, .. }) => {
            format!("passed on by {by} to {}; the answer from there decides the status", shown(to))
        }
        End::Act(Act::Change { what, path }) => format!("{what} {}", shown(path)),
        End::Wait => "it waits for something that only a running server has".into(),
    }
}

fn here() -> String {
    std::env::current_dir().map_or_else(|_| String::new(), |here| here.display().to_string())
}

/// Text as it is, but for what would steer a terminal.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn pair((name, value): &(Vec<u8>, Vec<u8>)) -> String {
    format!("{}={}", shown(name), shown(value))
}

struct Page {
    text: String,
    /// The current folder, which file names are shown without.
    here: String,
}

impl Page {
    fn put(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn top(&mut self, found: &Finding) {
        self.put(&format!("{} {}, asked by {}", found.method, shown(found.url.as_bytes()), found.client));
        self.wrap(&format!("  => {}", ending(found)), "     ");
        found.presumed.iter().for_each(|what| self.wrap(&format!("     if it is let in: {what}"), "     "));
        if let Some(url) = &found.redirect {
            self.put(&format!("     the client is sent to {}", shown(url.as_bytes())));
        }
    }

    fn title(&mut self, title: &str) {
        self.put("");
        self.put(title);
    }

    /// A line with its place at the right edge.
    fn put_with_place(&mut self, left: &str, line: Option<&Line>) {
        let Some(line) = line else { return self.put(left) };
        let file = Path::new(&line.file);
        let file = file.strip_prefix(&self.here).unwrap_or(file).display();
        self.put_at_edge(left, &format!("{file}:{}", line.number));
    }

    fn put_at_edge(&mut self, left: &str, right: &str) {
        let (used, wanted) = (left.chars().count(), right.chars().count());
        match used + 2 + wanted <= WIDTH {
            true => self.put(&format!("{left}{}{right}", " ".repeat(WIDTH - used - wanted))),
            false => {
                self.wrap(left, "      ");
                self.put(&format!("{}{right}", " ".repeat(WIDTH.saturating_sub(wanted))));
            }
        }
    }

    /// A text in as many lines as it needs; those after the first begin with the indent.
    fn wrap(&mut self, text: &str, indent: &str) {
        if text.chars().count() <= WIDTH {
            return self.put(text);
        }
        let lead: String = text.chars().take_while(|c| *c == ' ').collect();
        let mut line = lead;
        let mut is_empty = true;
        for word in text.split_whitespace() {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                let full = std::mem::replace(&mut line, indent.to_string());
                self.put(&full);
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        self.put(&line);
    }

    fn addresses(&mut self, found: &Finding) {
        self.title("Who is asked");
        let tls = if found.is_tls { ", with TLS" } else { "" };
        let line = found.listen_line.as_ref().map_or(String::new(), |line| format!(": {}", line.text));
        self.put_with_place(&format!("  the address {}{tls}{line}", found.listener), found.listen_line.as_ref());
        // The one that takes the request comes first.
        let (chosen, others): (Vec<_>, Vec<_>) = found.servers.iter().partition(|server| server.is_chosen);
        for server in chosen.into_iter().chain(others) {
            let names = if server.names.is_empty() { "without a name".into() } else { server.names.join(" ") };
            let mark = if server.is_chosen { "takes it" } else { "does not" };
            self.put_with_place(&format!("  {mark}: server {names}"), server.line.as_ref());
            self.wrap(&format!("      {}", server.verdict), "      ");
        }
    }

    fn decisions(&mut self, decisions: &[Decision]) {
        let mut before: Option<(&str, Option<&Line>)> = None;
        for decision in decisions {
            let now = (decision.about, decision.line.as_ref());
            match &decision.line {
                Some(line) => {
                    if before != Some(now) {
                        self.put_with_place(&format!("  {}", line.text), Some(line));
                    }
                    self.wrap(&format!("      {}", decision.text), "      ");
                }
                None => self.wrap(&format!("  {}", decision.text), "      "),
            }
            before = Some(now);
        }
        if decisions.is_empty() {
            self.put("  nothing: the request is refused before a server looks at it");
        }
    }

    fn end(&mut self, found: &Finding) {
        match &found.end {
            End::Act(Act::Run { command, folder, variables }) => {
                self.title("The program that would be run");
                let words: Vec<String> = command.iter().map(|word| shown(word)).collect();
                self.put(&format!("  {}", words.join(" ")));
                self.put(&format!("  in {}", folder.display()));
                self.title("Its environment");
                variables.iter().for_each(|variable| self.put(&format!("  {}", pair(variable))));
            }
            End::Answer(_) => {
                let what = match found.step {
                    "file" => "a file",
                    "autoindex" => "a listing of the folder",
                    "status" => "the server's counters",
                    "empty_gif" => "an empty picture",
                    _ => "",
                };
                if found.reason.is_none() && found.redirect.is_none() && !what.is_empty() {
                    self.put(&format!("  the answer is {what}"));
                }
                self.answer(found);
            }
            End::Act(Act::Pass { by, to, peers, told }) => {
                self.title("Where it would be passed on");
                self.wrap(&format!("  by {by} to {}", shown(to)), "      ");
                match peers {
                    Some(peers) => self.peers(peers),
                    None => self.put("  the name is looked up when a request comes: `resolver` says by whom"),
                }
                let (title, lines): (_, Vec<String>) = match told {
                    Told::Head(head) => ("What would be sent", lines(head).map(shown).collect()),
                    Told::Values(values) => ("What the program would be told", values.iter().map(pair).collect()),
                };
                self.title(title);
                lines.iter().for_each(|line| self.put(&format!("  {line}")));
            }
            _ => {}
        }
    }

    fn peers(&mut self, peers: &Peers) {
        if !peers.how.is_empty() {
            self.wrap(&format!("  one of these is chosen {}", peers.how), "      ");
        }
        for peer in &peers.list {
            let name = match peer.address.starts_with(&peer.server) {
                true => peer.address.clone(),
                false => format!("{} ({})", peer.address, peer.server),
            };
            let first = if peer.is_first && !peers.how.is_empty() { "asked first" } else { "" };
            let words = [name.as_str(), &peer.note, first];
            let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
            self.put(&format!("    {}", words.join("  ")));
        }
    }

    fn answer(&mut self, found: &Finding) {
        if !found.answer.is_empty() {
            self.title("Fields of the answer");
        }
        for (name, value) in &found.answer {
            self.wrap(&format!("  {}: {}", shown(name), shown(value)), "      ");
        }
        self.title("Filters that a response passes here, in order");
        self.wrap(&format!("  {}", found.filters.join(", ")), "  ");
    }

    fn files(&mut self, found: &Finding) {
        if found.walk.is_empty() {
            return;
        }
        self.title(&format!("The way to {}, as user {}", shown(found.file.as_bytes()), found.user));
        let width = |texts: Vec<&str>| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
        let owners = width(found.walk.iter().map(|stage| stage.owner.as_str()).collect());
        let groups = width(found.walk.iter().map(|stage| stage.group.as_str()).collect());
        for stage in &found.walk {
            let name = shown(std::os::unix::ffi::OsStrExt::as_bytes(stage.path.as_os_str()));
            let verdict = match (stage.is_open, stage.mode.is_empty(), stage.kind.as_str()) {
                (true, ..) if stage.is_target => "may be written in".to_string(),
                (false, false, "folder") if stage.is_target => "MAY NOT BE WRITTEN IN".to_string(),
                (true, _, "folder") => "may be entered".to_string(),
                (true, _, "file") => "may be read".to_string(),
                (true, ..) => format!("{}, and open", stage.kind),
                (false, true, words) => words.to_lowercase(),
                (false, _, "folder") => "MAY NOT BE ENTERED".to_string(),
                (false, _, kind) => format!("MAY NOT BE READ ({kind})"),
            };
            let (mode, owner, group) = (&stage.mode, &stage.owner, &stage.group);
            self.put(&format!("  {mode:10} {owner:owners$} {group:groups$}  {name}  {verdict}"));
        }
    }

    fn settings(&mut self, title: &str, settings: &[Setting]) {
        if settings.is_empty() {
            return;
        }
        self.title(title);
        // Of a long list of one name the first lines are enough for people.
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for setting in settings {
            let count = seen.entry(setting.name).or_default();
            *count += 1;
            match (*count, &setting.line) {
                (MOST.., _) if *count > MOST => {}
                (MOST, _) => self.put(&format!("  ... and more lines of {}", setting.name)),
                (_, Some(line)) => self.put_with_place(&format!("  {}", setting.text), Some(line)),
                (_, None) => self.put_at_edge(&format!("  {}", setting.text), "default"),
            }
        }
    }
}

/// Lines of one directive that are shown.
const MOST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stand_at_the_right_edge() {
        let mut page = Page { text: String::new(), here: "/srv".into() };
        let line = Line { file: "/srv/a.conf".into(), number: 7, text: String::new() };
        page.put_with_place("  root /x;", Some(&line));
        assert_eq!(page.text.len(), WIDTH + 1);
        assert!(page.text.ends_with(" a.conf:7\n"), "{}", page.text);
        page.text.clear();
        page.put_with_place(&"word ".repeat(30), Some(&line));
        assert!(page.text.lines().all(|line| line.len() <= WIDTH) && page.text.lines().count() == 3, "{}", page.text);
    }
}

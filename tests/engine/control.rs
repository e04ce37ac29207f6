//! The control socket against those who may connect to it and mean harm, and against what stands in its place: a reload is
//! done and its verdict told all the same, and the server's other work goes on.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::client::get;
use crate::site::{Site, mains, said, wait_for};

const OLD: &str = "server { listen 127.0.0.1:%PORT1%; return 200 old; }";
const NEW: &str = "server { listen 127.0.0.1:%PORT1%; return 200 new; }";

/// Reloads with this conf and hears that it is in force.
fn reloads(site: &Site, main: &str, http: &str, want: &str) {
    site.write_conf(main, http);
    let asked = site.asked(&["-s", "reload"]);
    assert_eq!(asked.status.code(), Some(0), "{main}: {}", said(&asked));
    assert!(said(&asked).contains("the new configuration is in force"), "{main}: {}", said(&asked));
    assert_eq!(get(site.port(), "/").text(), want);
}

#[test]
fn a_thousand_clients_that_say_nothing_hold_nobody_up() {
    for main in mains() {
        let site = Site::start(main, OLD);
        let socket = site.path("pid.control");
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        // Some say a part, some half-close: those are done with at once.
        let held: Vec<UnixStream> = (0..1000)
            .map(|number| {
                let mut client = UnixStream::connect(&socket).unwrap();
                match number % 4 {
                    0 => client.write_all(b"rel").unwrap(),
                    1 => client.shutdown(std::net::Shutdown::Write).unwrap(),
                    2 => drop(client.write_all(&[b'x'; 100])),
                    _ => {}
                }
                client
            })
            .collect();
        reloads(&site, main, NEW, "new");
        // They are not kept for ever either.
        wait_for("the server has closed them all", || {
            held.iter().all(|client| {
                client.set_nonblocking(true).unwrap();
                !matches!((&*client).read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
            })
        });
        drop(held);
        site.stop();
    }
}

#[test]
fn who_asks_and_does_not_listen_holds_nobody_up() {
    for main in mains() {
        let site = Site::start(main, OLD);
        let socket = site.path("pid.control");
        // Each warning is long: there is more to say than is told.
        let long = "x".repeat(1000);
        let noisy: String = (0..40)
            .map(|n| format!("server {{ server_name {n}{long} {n}{long}; listen 127.0.0.1:%PORT1%; }}"))
            .collect();
        site.write_conf(main, &format!("{NEW} {noisy}"));
        let deaf: Vec<UnixStream> = (0..200)
            .map(|_| {
                let mut client = UnixStream::connect(&socket).unwrap();
                client.write_all(b"reload\n").unwrap();
                client
            })
            .collect();
        wait_for("the conf is in force", || get(site.port(), "/").text() == "new");
        reloads(&site, main, OLD, "old");
        drop(deaf);
        site.stop();
    }
}

#[test]
fn a_slow_client_is_not_waited_for() {
    for main in mains() {
        let site = Site::start(main, OLD);
        let socket = site.path("pid.control");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let Ok(mut client) = UnixStream::connect(&socket) else { return };
                        for byte in b"reload\n" {
                            // It is closed before it gets to its end.
                            if client.write_all(&[*byte]).is_err() {
                                break;
                            }
                            std::thread::sleep(Duration::from_millis(700));
                        }
                    }
                });
            }
            reloads(&site, main, NEW, "new");
            reloads(&site, main, OLD, "old");
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let asked = site.said().matches("a reload is asked for over the control socket").count();
        assert_eq!(asked, 2, "a client has three seconds for its word");
        site.stop();
    }
}

#[test]
fn a_server_that_stops_says_so() {
    for main in mains() {
        let mut site =
            Site::start(main, "server { listen 127.0.0.1:%PORT1%; return 200 old; client_header_timeout 60s; }");
        // A request that is under way keeps it from ending.
        let mut held = std::net::TcpStream::connect(("127.0.0.1", site.port())).unwrap();
        held.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
        // A later request is answered: the earlier one's bytes were read by then.
        wait_for("it is heard", || get(site.port(), "/").text() == "old");
        site.signal(Signal::SIGQUIT);
        wait_for("it stops", || std::net::TcpStream::connect(("127.0.0.1", site.port())).is_err());
        let asked = site.asked(&["-s", "reload"]);
        assert_eq!(asked.status.code(), Some(1), "{main}: {}", said(&asked));
        assert!(said(&asked).contains("while the server stops: not done"), "{main}: {}", said(&asked));
        held.write_all(b"\r\n").unwrap();
        assert_eq!(site.ended(), Some(0));
    }
}

#[test]
fn what_a_killed_server_left_is_replaced_and_believed_by_nobody() {
    for main in mains() {
        let mut site = Site::start(main, OLD);
        let socket = site.path("pid.control");
        site.signal(Signal::SIGKILL);
        assert_eq!(site.ended(), None);
        assert!(socket.exists());
        let asked = site.asked(&["-s", "reload"]);
        assert_eq!(asked.status.code(), Some(1), "{main}: {}", said(&asked));
        for name in ["pid", "error.log"] {
            fs::remove_file(site.path(name)).unwrap();
        }
        let site = Site::start_in(site.into_folder(), main, OLD);
        assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
        reloads(&site, main, NEW, "new");
        site.stop();
        assert!(!socket.exists());
    }
}

#[test]
fn what_stands_in_the_sockets_place_stays_and_the_server_takes_signals() {
    for main in mains() {
        for kind in ["file", "link", "open link", "folder", "pipe", "loop"] {
            let folder = Site::folder();
            let [path, elsewhere, trap] = ["pid.control", "elsewhere", "trap"].map(|name| folder.path().join(name));
            match kind {
                "file" => fs::write(&path, "text").unwrap(),
                "link" => symlink(&elsewhere, &path).unwrap(),
                // Whoever owns the folder would have root connect to a socket of their choice.
                "open link" => symlink(&trap, &path).unwrap(),
                "folder" => fs::create_dir(&path).unwrap(),
                "pipe" => nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
                _ => symlink(&path, &path).unwrap(),
            }
            let before = fs::symlink_metadata(&path).unwrap();
            let set = UnixListener::bind(&trap).unwrap();
            set.set_nonblocking(true).unwrap();
            let mut site = Site::start_in(folder, main, OLD);
            wait_for("it is said", || site.said().contains("no control socket beside"));
            site.write_conf(main, NEW);
            let asked = site.asked(&["-s", "reload"]);
            assert_eq!(asked.status.code(), Some(0), "{kind}: {}", said(&asked));
            assert!(
                said(&asked).contains("it gets a signal, and its error log tells the rest"),
                "{kind}: {}",
                said(&asked)
            );
            wait_for("the conf is in force", || get(site.port(), "/").text() == "new");
            let after = fs::symlink_metadata(&path).unwrap();
            assert_eq!((before.ino(), before.mode(), before.len()), (after.ino(), after.mode(), after.len()), "{kind}");
            assert!(!elsewhere.exists());
            assert!(set.accept().is_err(), "{kind}: nobody connects elsewhere");
            site.signal(Signal::SIGQUIT);
            assert_eq!(site.ended(), Some(0));
            let folder = site.into_folder();
            assert!(fs::symlink_metadata(folder.path().join("pid.control")).is_ok(), "{kind}");
        }
    }
}

#[test]
fn an_empty_pid_file_is_waited_for() {
    let main = mains()[0];
    let site = Site::start(main, OLD);
    let text = site.read("pid");
    fs::write(site.path("pid"), "").unwrap();
    site.write_conf(main, NEW);
    let asked = site.asked(&["-s", "reload"]);
    assert_eq!(asked.status.code(), Some(1), "{}", said(&asked));
    assert!(said(&asked).contains("it holds no process id"), "{}", said(&asked));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| site.asked(&["-s", "reload"]));
        // As a server does that has just gone to the background. If the client is slower, that shows nothing and is as well.
        std::thread::sleep(Duration::from_millis(300));
        fs::write(site.path("pid"), text).unwrap();
        assert_eq!(asked.join().unwrap().status.code(), Some(0));
    });
    assert_eq!(get(site.port(), "/").text(), "new");
    site.stop();
}

#[test]
fn two_servers_with_one_pid_file() {
    for main in mains() {
        let mut first = Site::start(main, OLD);
        let pid_file = first.path("pid");
        let conf = first.path("second.conf");
        let text = first.read("server.conf").replace(&first.port().to_string(), &first.ports[1].to_string());
        fs::write(&conf, &text).unwrap();
        let mut second = Command::new(env!("CARGO_BIN_EXE_longshore"));
        let mut second = second.arg("-c").arg(&conf).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the second serves", || first.read("pid").trim() == second.id().to_string());
        // The pid file names the second, so that one is meant; it has no socket, and the first does not answer for it.
        fs::write(&conf, text.replace("return 200 old", "return 200 new")).unwrap();
        let asked =
            Command::new(env!("CARGO_BIN_EXE_longshore")).args(["-s", "reload", "-c"]).arg(&conf).output().unwrap();
        assert_eq!(asked.status.code(), Some(0), "{}", said(&asked));
        assert!(said(&asked).contains("another process listens there"), "{}", said(&asked));
        wait_for("the second has the conf", || get(first.ports[1], "/").text() == "new");
        assert_eq!(get(first.port(), "/").text(), "old");
        kill(Pid::from_raw(second.id().cast_signed()), Signal::SIGQUIT).unwrap();
        assert!(second.wait().unwrap().success());
        assert!(
            first.path("pid.control").symlink_metadata().unwrap().file_type().is_socket(),
            "it is not the second's"
        );
        assert!(!pid_file.exists());
        first.signal(Signal::SIGQUIT);
        assert_eq!(first.ended(), Some(0));
        assert!(!first.path("pid.control").exists());
    }
}

#[test]
fn others_may_not_connect() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: only root can be somebody else");
    }
    for main in mains() {
        let site = Site::start(main, OLD);
        site.write_conf(main, NEW);
        let ask = || {
            let mut ask = Command::new(env!("CARGO_BIN_EXE_longshore"));
            ask.args(["-s", "reload", "-c"]).arg(site.path("server.conf")).uid(65534).gid(65534).stdin(Stdio::null());
            ask.output().unwrap()
        };
        let denied = ask();
        assert_eq!(denied.status.code(), Some(1), "{}", said(&denied));
        // Where the rights of files are not kept, the server itself looks who it is.
        fs::set_permissions(site.path("pid.control"), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        let denied = ask();
        assert_eq!(denied.status.code(), Some(1), "{}", said(&denied));
        wait_for("it is said", || site.said().contains("user 65534 may not use the control socket"));
        assert_eq!(get(site.port(), "/").text(), "old");
        site.stop();
    }
}

#[test]
fn a_socket_of_somebody_elses_is_not_believed_and_not_waited_for() {
    let main = mains()[0];
    let site = Site::start(main, OLD);
    let path = site.path("pid.control");
    fs::remove_file(&path).unwrap();
    let impostor = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    impostor.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    impostor.listen(1).unwrap();
    if nix::unistd::geteuid().is_root() {
        chown(&path, Some(65534), None).unwrap();
    }
    let lies = impostor.try_clone().unwrap();
    let lies = std::thread::spawn(move || {
        let (client, _) = lies.accept().unwrap();
        // Nobody may be listening any more.
        let _ = client.send(b"refused\n");
    });
    site.write_conf(main, NEW);
    // The signal goes to the process of the pid file all the same.
    assert_eq!(site.asked(&["-s", "reload"]).status.code(), Some(0));
    wait_for("the conf is in force", || get(site.port(), "/").text() == "new");
    lies.join().unwrap();
    // One whose queue is full has who connects wait, but not for ever.
    let mut queue = Vec::new();
    loop {
        let next = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
        if next.connect(&SockAddr::unix(&path).unwrap()).is_err() {
            break;
        }
        queue.push(next);
    }
    site.write_conf(main, OLD);
    assert_eq!(site.asked(&["-s", "reload"]).status.code(), Some(0));
    wait_for("the conf is in force", || get(site.port(), "/").text() == "old");
    fs::remove_file(path).unwrap();
    site.stop();
}

//! The pair of sockets between the parent and its worker process: packets of one word, with descriptors beside
//! it. Knows what a packet looks like, not what a word leads to.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Descriptors in one packet; the kernel takes 253.
const IN_ONE: usize = 200;
/// Descriptors behind one word.
const IN_ALL: usize = 100_000;

/// What the two say to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The parent hands over a conf: its parcel, its listeners, its logs.
    Conf,
    /// The parent hands over log files that it has opened again.
    Logs,
    /// The parent has closed the listeners that go: the new conf may come into force.
    Go,
    /// The parent asks for an end at once.
    Stop,
    /// The parent asks for an end once all is answered.
    Quit,
    /// The worker serves.
    Ready,
    /// The worker has read the new conf and waits for [`Word::Go`].
    Taken,
    /// The worker keeps its old conf.
    Refused,
    /// The new conf is in force in the worker, and the listeners that go are closed there too.
    InForce,
}

impl Word {
    const ALL: [Word; 9] = [
        Word::Conf,
        Word::Logs,
        Word::Go,
        Word::Stop,
        Word::Quit,
        Word::Ready,
        Word::Taken,
        Word::Refused,
        Word::InForce,
    ];
}

/// A word and what came beside it.
#[derive(Debug)]
pub struct Message {
    /// The word.
    pub word: Word,
    /// The descriptors.
    pub descriptors: Vec<OwnedFd>,
    /// Whether all descriptors came: they do not when this process may have no more.
    pub whole: bool,
}

/// A message or a part of one.
struct Packet {
    message: Message,
    /// Whether another with the same word follows.
    more: bool,
}

/// One end.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
}

impl Wire {
    /// Both ends.
    pub fn pair() -> io::Result<(Wire, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Wire { socket: ours }, theirs))
    }

    /// The end that this process was given.
    pub fn over(socket: OwnedFd) -> Wire {
        Wire { socket }
    }

    /// The same end once more, for another thread.
    pub fn again(&self) -> io::Result<Wire> {
        Ok(Wire { socket: self.socket.try_clone()? })
    }

    /// Sends a word with descriptors. It never waits: an end that reads nothing for hundreds of packets is stuck.
    pub fn send(&self, word: Word, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if descriptors.is_empty() {
            return self.send_packet(word, false, &[]);
        }
        let packets = descriptors.len().div_ceil(IN_ONE);
        for (number, some) in descriptors.chunks(IN_ONE).enumerate() {
            self.send_packet(word, number + 1 < packets, some)?;
        }
        Ok(())
    }

    fn send_packet(&self, word: Word, more: bool, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(IN_ONE))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bytes = [word as u8, u8::from(more)];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::io::retry_on_intr(|| rustix::net::sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut beside, flags))?;
        Ok(())
    }

    /// Waits for a message; none when the other end has gone.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(IN_ONE))];
        let mut all: Option<Message> = None;
        loop {
            let Some(packet) = self.receive_packet(&mut space)? else { return Ok(None) };
            let Packet { message: part, more } = packet;
            let message = all.get_or_insert(Message { word: part.word, descriptors: Vec::new(), whole: true });
            message.descriptors.extend(part.descriptors);
            message.whole &= part.whole;
            if message.word != part.word || message.descriptors.len() > IN_ALL {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if !more {
                return Ok(all);
            }
        }
    }

    /// Waits for a word of an end that is not trusted: descriptors beside it are never let in.
    pub fn hear(&self) -> io::Result<Option<Word>> {
        Ok(self.receive_packet(&mut [])?.map(|packet| packet.message.word))
    }

    fn receive_packet(&self, space: &mut [MaybeUninit<u8>]) -> io::Result<Option<Packet>> {
        let mut bytes = [0; 2];
        let mut beside = RecvAncillaryBuffer::new(space);
        let got = rustix::io::retry_on_intr(|| {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            rustix::net::recvmsg(&self.socket, &mut parts, &mut beside, RecvFlags::CMSG_CLOEXEC)
        });
        let got = match got {
            // The other end went without having read everything.
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            got => got?,
        };
        let mut descriptors = Vec::new();
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if got.bytes == 0 {
            return Ok(None);
        }
        let word = Word::ALL.into_iter().find(|word| *word as u8 == bytes[0]);
        match word {
            Some(word) if got.bytes == 2 && !got.flags.contains(ReturnFlags::TRUNC) => {
                let message = Message { word, descriptors, whole: !got.flags.contains(ReturnFlags::CTRUNC) };
                Ok(Some(Packet { message, more: bytes[1] != 0 }))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn words_and_any_number_of_descriptors_arrive_in_order() {
        let (ours, theirs) = Wire::pair().unwrap();
        let theirs = Wire::over(theirs);
        let null = std::fs::File::open("/dev/null").unwrap();
        for count in [0, 1, IN_ONE, IN_ONE + 1] {
            ours.send(Word::Conf, &vec![null.as_fd(); count]).unwrap();
            ours.send(Word::Go, &[]).unwrap();
            let message = theirs.receive().unwrap().unwrap();
            assert_eq!((message.word, message.descriptors.len(), message.whole), (Word::Conf, count, true));
            assert_eq!(theirs.receive().unwrap().unwrap().word, Word::Go);
        }
        drop(theirs);
        assert!(ours.hear().unwrap().is_none());
    }

    #[test]
    fn an_end_that_goes_without_having_read_is_gone() {
        let (ours, theirs) = Wire::pair().unwrap();
        ours.send(Word::Conf, &[]).unwrap();
        drop(theirs);
        assert!(ours.hear().unwrap().is_none());
    }

    #[test]
    fn who_only_hears_takes_no_descriptors() {
        let (ours, theirs) = Wire::pair().unwrap();
        let theirs = Wire::over(theirs);
        let (reader, writer) = std::io::pipe().unwrap();
        theirs.send(Word::Ready, &[writer.as_fd()]).unwrap();
        assert_eq!(ours.hear().unwrap(), Some(Word::Ready));
        drop(writer);
        // Had the descriptor been let in, the pipe would still have a writer.
        assert_eq!(std::io::copy(&mut &reader, &mut std::io::sink()).unwrap(), 0);
    }

    #[test]
    fn odd_packets_are_errors_and_a_full_socket_does_not_hold_the_sender() {
        let (ours, theirs) = Wire::pair().unwrap();
        for bytes in [&[200, 0][..], &[0], &[0, 0, 0]] {
            rustix::net::send(&theirs, bytes, SendFlags::empty()).unwrap();
            assert!(ours.hear().is_err(), "{bytes:?}");
        }
        let error = (0..1_000_000).find_map(|_| ours.send(Word::Go, &[]).err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}

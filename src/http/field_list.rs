//! The fields of a head that another server sent, as they came. The head lies in one piece of memory, and whoever keeps a part
//! of it shares that. Judges nothing.

use bytes::Bytes;

use super::fields::Place;

/// The fields of one head, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldList {
    head: Bytes,
    places: Vec<Place>,
}

impl FieldList {
    /// No fields yet, of this head, which is shorter than 4 GiB; there is room for so many.
    pub fn of(head: &[u8], room: usize) -> FieldList {
        FieldList { head: Bytes::copy_from_slice(head), places: Vec::with_capacity(room) }
    }

    /// Adds a field whose name and value are parts of `head`, which is the one that the list was made of.
    pub fn push(&mut self, head: &[u8], name: &[u8], value: &[u8]) {
        self.places.push(Place::within(head, name, value));
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.iter().map(|place| (place.name(&self.head), place.value(&self.head)))
    }

    /// A name or value as bytes of their own.
    pub fn share(&self, part: &[u8]) -> Bytes {
        self.head.slice_ref(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_head() {
        let head = b"A: b\r\nEmpty:\r\n\r\n".to_vec();
        let mut list = FieldList::of(&head, 2);
        list.push(&head, &head[..1], &head[3..4]);
        list.push(&head, &head[6..11], b"");
        drop(head);
        assert_eq!(list.iter().collect::<Vec<_>>(), [(&b"A"[..], &b"b"[..]), (b"Empty", b"")]);
        let kept: Vec<_> = list.iter().map(|(name, value)| (list.share(name), list.share(value))).collect();
        drop(list);
        assert_eq!(kept, [("A".into(), "b".into()), ("Empty".into(), Bytes::new())]);
    }
}

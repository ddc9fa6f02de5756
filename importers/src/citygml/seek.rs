//! Where the content of an element ends, by nothing but its tags: a small part of the work of reading it.

use memchr::{memchr, memchr3};

/// Looks for the tag that closes an element whose opening tag was read.
#[derive(Default)]
pub(super) struct Seeker {
    state: State,
    /// Elements that are open within it.
    depth: usize,
    /// The last two bytes of a tag, comment and the like that began in an earlier piece.
    tail: [u8; 2],
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Text,
    /// An opening tag; the quote of the value that is open.
    Tag(Option<u8>),
    End,
    Comment,
    Data,
    Instruction,
}

/// How far a piece went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sought {
    /// So many bytes are content; what stands behind them must be seen together with what follows.
    More(usize),
    /// So many bytes are content, then the element is closed.
    End(usize),
    /// Behind so many bytes stands markup that no content has.
    Strange(usize),
}

const DATA: &[u8] = b"<![CDATA[";

impl Seeker {
    /// Takes the next piece of the text. What of it was not counted as content must begin the next piece.
    pub fn feed(&mut self, piece: &[u8]) -> Sought {
        let mut at = 0;
        // Where the markup that is open begins in this piece.
        let mut from = 0;
        loop {
            let rest = piece.get(at..).unwrap_or(&[]);
            match self.state {
                State::Text => {
                    let Some(found) = memchr(b'<', rest) else { return Sought::More(piece.len()) };
                    let open = at + found;
                    let markup = piece.get(open..).unwrap_or(&[]);
                    let (state, length) = match markup.get(1) {
                        None => return Sought::More(open),
                        Some(b'/') => {
                            let Some(depth) = self.depth.checked_sub(1) else { return Sought::End(open) };
                            self.depth = depth;
                            (State::End, 2)
                        }
                        Some(b'?') => (State::Instruction, 2),
                        Some(b'!') if markup.starts_with(b"<!--") => (State::Comment, 4),
                        Some(b'!') if markup.starts_with(DATA) => (State::Data, DATA.len()),
                        Some(b'!') if DATA.starts_with(markup) || b"<!--".starts_with(markup) => {
                            return Sought::More(open);
                        }
                        Some(b'!') => return Sought::Strange(open),
                        Some(_) => {
                            self.depth += 1;
                            (State::Tag(None), 1)
                        }
                    };
                    (self.state, self.tail) = (state, [0; 2]);
                    at = open + length;
                    from = at;
                }
                State::Tag(Some(quote)) => {
                    let Some(found) = memchr(quote, rest) else { return self.suspend(piece, from) };
                    at += found + 1;
                    self.state = State::Tag(None);
                }
                State::Tag(None) => {
                    let Some(found) = memchr3(b'>', b'"', b'\'', rest) else { return self.suspend(piece, from) };
                    let end = at + found;
                    at = end + 1;
                    match rest.get(found) {
                        Some(b'>') => {
                            if self.before(piece, from, end)[1] == b'/' {
                                self.depth = self.depth.saturating_sub(1);
                            }
                            self.state = State::Text;
                        }
                        quote => self.state = State::Tag(quote.copied()),
                    }
                }
                State::End | State::Comment | State::Data | State::Instruction => {
                    let Some(found) = memchr(b'>', rest) else { return self.suspend(piece, from) };
                    let before = self.before(piece, from, at + found);
                    at += found + 1;
                    let is_closed = match self.state {
                        State::Comment => before == *b"--",
                        State::Data => before == *b"]]",
                        State::Instruction => before[1] == b'?',
                        _ => true,
                    };
                    if is_closed {
                        self.state = State::Text;
                    }
                }
            }
        }
    }

    /// The two bytes of the open markup before a place in the piece.
    fn before(&self, piece: &[u8], from: usize, at: usize) -> [u8; 2] {
        match piece.get(from..at).unwrap_or(&[]) {
            [.., a, b] => [*a, *b],
            [b] => [self.tail[1], *b],
            _ => self.tail,
        }
    }

    fn suspend(&mut self, piece: &[u8], from: usize) -> Sought {
        self.tail = self.before(piece, from, piece.len());
        Sought::More(piece.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the content ends, told in pieces of this many bytes.
    fn end(text: &str, size: usize) -> Option<usize> {
        let (mut seeker, mut at, mut to) = (Seeker::default(), 0, 0);
        loop {
            to = (to + size).min(text.len());
            match seeker.feed(&text.as_bytes()[at..to]) {
                Sought::More(count) => at += count,
                Sought::End(count) => return Some(at + count),
                Sought::Strange(_) => return None,
            }
            if to == text.len() {
                return None;
            }
        }
    }

    #[test]
    fn the_closing_tag_is_found_wherever_the_text_is_parted() {
        for content in [
            "",
            "a &lt; b",
            "<a></a>",
            "<a/><b x='/'/>",
            "<a b='</x>' c=\"<d/>'\"><b/></a >",
            "<!-- </m> <a> -- > --><a/>",
            "<!--->--><!-- - --><![CDATA[</m> ]> ]]]]><a></a>",
            "<?x </m> > ?>?><a>1 2<b>3</b>\n</a>",
        ] {
            let text = format!("{content}</m><m></m>");
            for size in 1..text.len() {
                assert_eq!(end(&text, size), Some(content.len()), "{text} in pieces of {size}");
            }
        }
        for text in ["<a>", "<a></m>", "<!-- </m>", "<a b='></m>", "<!DOCTYPE x></m>", ""] {
            assert_eq!(end(text, 3), None, "{text}");
        }
    }
}

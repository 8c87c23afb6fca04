//! A connection to a server: HTTP/1.1 over a blocking socket, kept open from request to request.
//!
//! **Invariant:** an answer is whole, or there is none.

use crate::http::{Answer, Request};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that says nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, with small letters in their names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header, whose name is given in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// The platform's answer.
    ///
    /// # Errors
    /// What [`Answer::read`] says.
    pub fn answer(&self) -> Result<Answer, String> {
        Answer::read(self.status, self.header("etag"), &self.body)
    }
}

/// An open connection.
pub struct Connection {
    stream: TcpStream,
    /// What has come and was not read yet.
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { stream, buffer: Vec::new() })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// The connection is over; whether the request was received is not known.
    pub fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        self.stream.write_all(&bytes(request))?;
        self.reply(request.method == "HEAD")
    }

    /// Sends these bytes, whatever they are, and waits for an answer.
    ///
    /// # Errors
    /// The connection is over.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<Reply> {
        self.stream.write_all(bytes)?;
        self.reply(false)
    }

    fn reply(&mut self, is_head: bool) -> io::Result<Reply> {
        let head = self.head()?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or_else(|| odd("a first line without a status"))?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_string()))
        };
        let headers: Vec<(String, String)> = lines.filter_map(header).collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        let size = match reply.header("content-length") {
            Some(size) => size.parse().map_err(|_| odd("a length that is no number"))?,
            None if reply.header("transfer-encoding").is_some() => {
                return Err(odd("a body in chunks"));
            }
            None => 0,
        };
        if !is_head {
            while self.buffer.len() < size {
                self.more()?;
            }
            let rest = self.buffer.split_off(size);
            reply.body = std::mem::replace(&mut self.buffer, rest);
        }
        Ok(reply)
    }

    /// Everything up to the empty line.
    fn head(&mut self) -> io::Result<String> {
        loop {
            let end = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            let Some(end) = end else {
                self.more()?;
                continue;
            };
            let rest = self.buffer.split_off(end + 4);
            let head = std::mem::replace(&mut self.buffer, rest);
            return String::from_utf8(head[..end].to_vec()).map_err(|_| odd("a head not of UTF-8"));
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut bytes = [0; 65_536];
        match self.stream.read(&mut bytes)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.buffer.extend_from_slice(&bytes[..count]);
                Ok(())
            }
        }
    }
}

/// A request as it goes over the socket.
fn bytes(request: &Request) -> Vec<u8> {
    let mut head =
        format!("{} {} HTTP/1.1\r\nHost: stormglass\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", request.body.len());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    bytes
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

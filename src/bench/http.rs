//! A client that costs little: HTTP/1.1 over a kept connection, with requests written as bytes. What it costs, it costs
//! for both sides of a comparison.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::scene::Failure;

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(8_192) })
    }

    /// Sends a request and reads the whole answer; the body must hold `expected`.
    ///
    /// # Errors
    /// If the connection breaks or the answer is another.
    pub async fn call(&mut self, request: &[u8], expected: &[u8]) -> Result<(), Failure> {
        let body = self.ask(request).await?;
        if find(body, expected).is_none() {
            return Err(format!("another answer: {}", String::from_utf8_lossy(body)).into());
        }
        Ok(())
    }

    /// Sends a request and reads the whole answer; its body.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn ask(&mut self, request: &[u8]) -> Result<&[u8], Failure> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            let Some(head) = find(&self.buffer, b"\r\n\r\n") else { continue };
            let length = content_length(&self.buffer[..head])?;
            if self.buffer.len() >= head + 4 + length {
                return Ok(&self.buffer[head + 4..]);
            }
        }
    }
}

/// Where a part stands in a text.
#[must_use]
pub fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn content_length(head: &[u8]) -> Result<usize, Failure> {
    let head = std::str::from_utf8(head)?;
    let line = head.lines().find(|line| line.len() > 15 && line[..15].eq_ignore_ascii_case("content-length:"));
    Ok(line.ok_or("an answer without content-length")?[15..].trim().parse()?)
}

//! As much of HTTP/1.1 as a reader of tiles needs.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// An answer, its body as it came.
pub struct Answer {
    pub status: u16,
    head: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// One connection that is kept.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub async fn connect(at: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// One request on a connection of its own.
    pub async fn get(at: SocketAddr, path: &str) -> Result<Answer> {
        Self::connect(at).await?.ask(path, "").await
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.get_mut().write_all(bytes).await?)
    }

    /// Asks and reads the whole answer. `headers` are lines that end with CR LF.
    pub async fn ask(&mut self, path: &str, headers: &str) -> Result<Answer> {
        self.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes()).await?;
        let line = self.line().await?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).context("a status")?;
        let mut answer = Answer { status, head: Vec::new(), body: Vec::new() };
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').context("a header")?;
            answer.head.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if status == 304 {
            return Ok(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line().await?, 16).context("a chunk's size")?;
                let begin = answer.body.len();
                answer.body.resize(begin + size, 0);
                self.stream.read_exact(&mut answer.body[begin..]).await?;
                ensure!(self.line().await?.is_empty(), "a chunk's end");
                if size == 0 {
                    return Ok(answer);
                }
            }
        }
        let Some(length) = answer.header("content-length").and_then(|word| word.parse::<usize>().ok()) else {
            bail!("an answer without a length");
        };
        answer.body.resize(length, 0);
        self.stream.read_exact(&mut answer.body).await?;
        Ok(answer)
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await?;
        ensure!(read > 0 && line.len() < 16 << 10, "the connection ended");
        Ok(line.trim_end().to_owned())
    }
}

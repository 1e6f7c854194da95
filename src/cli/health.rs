//! `tissuecast health`: asks a running service whether it is ready, for a container's health check.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use clap::Args;
use serde::Deserialize;

/// How long the service may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// A service whose database is away answers on from memory: that is no reason to put another container in its place.
const WITHOUT_STORE: &str = "/readyz?exclude=store";
/// More than an answer has.
const LONGEST_ANSWER: u64 = 1 << 20;

/// Asks a running service whether it is ready; exits with 1 where it is not
#[derive(Debug, Args)]
pub struct Health {
    /// The address that is asked, by plain HTTP; where it is left out, /readyz?exclude=store of --internal-listen, else of
    /// --listen
    #[arg(long, env = "TISSUECAST_HEALTH_URL", value_name = "URL")]
    url: Option<Uri>,
    /// Where the service answers health checks, if anywhere
    #[arg(long, env = "TISSUECAST_INTERNAL_LISTEN", value_name = "HOST:PORT")]
    internal_listen: Option<SocketAddr>,
    /// Where the service listens
    #[arg(long, env = "TISSUECAST_LISTEN", default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    listen: SocketAddr,
}

/// The part of readiness that is read.
#[derive(Debug, Deserialize)]
struct Readiness {
    checks: std::collections::BTreeMap<String, Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    ok: bool,
    detail: String,
}

impl Health {
    /// Asks and says which checks fail.
    ///
    /// # Errors
    /// The service does not answer in time, or is not ready.
    pub fn run(self) -> anyhow::Result<()> {
        let (host, path) = self.place()?;
        let answer = get(&host, &path).with_context(|| format!("{host} does not answer"))?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status == "200" {
            println!("ready");
            return Ok(());
        }
        if let Ok(readiness) = serde_json::from_str::<Readiness>(body) {
            for (name, check) in readiness.checks.iter().filter(|(_, check)| !check.ok) {
                println!("{name}: {}", check.detail);
            }
        }
        bail!("{host}{path} answers {status}");
    }

    /// Where to ask: host and port, and the path.
    fn place(&self) -> anyhow::Result<(String, String)> {
        let Some(url) = &self.url else {
            let mut address = self.internal_listen.unwrap_or(self.listen);
            // An address that stands for all of the machine's is one to listen on and none to ask.
            match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
                IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
                _ => {}
            }
            return Ok((address.to_string(), WITHOUT_STORE.to_owned()));
        };
        let Some(authority) = url.authority().filter(|_| url.scheme_str() == Some("http")) else {
            bail!("--url is '{url}': it has to be an address by plain HTTP, such as http://127.0.0.1:8080/readyz");
        };
        let host = match authority.port() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:80"),
        };
        Ok((host, url.path_and_query().map_or("/", PathAndQuery::as_str).to_owned()))
    }
}

/// Asks and returns all that comes back, within the time that there is.
fn get(host: &str, path: &str) -> anyhow::Result<String> {
    let until = Instant::now() + PATIENCE;
    let left =
        || until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()).context("it took too long");
    let address = host.to_socket_addrs()?.next().context("the host has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    // The older version, in which an answer has no chunks and ends with the connection.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {host}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 8 << 10];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut piece)? {
            0 => break,
            count => answer.extend_from_slice(&piece[..count]),
        }
        if answer.len() as u64 > LONGEST_ANSWER {
            bail!("the answer is too long");
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        health: Health,
    }

    fn place(flags: &[&str]) -> anyhow::Result<(String, String)> {
        Line::parse_from(std::iter::once("health").chain(flags.iter().copied())).health.place()
    }

    #[test]
    fn the_address_is_the_internal_one_then_the_public_one() {
        let cases: [(&[&str], &str, &str); 6] = [
            (&[], "127.0.0.1:8080", WITHOUT_STORE),
            (&["--listen", "0.0.0.0:80"], "127.0.0.1:80", WITHOUT_STORE),
            (&["--listen", "10.0.0.1:80", "--internal-listen", "[::]:9090"], "[::1]:9090", WITHOUT_STORE),
            (&["--url", "http://host/livez"], "host:80", "/livez"),
            (&["--url", "http://host:81/readyz?exclude=a"], "host:81", "/readyz?exclude=a"),
            (&["--url", "http://[::1]:81/readyz", "--internal-listen", "1.2.3.4:5"], "[::1]:81", "/readyz"),
        ];
        for (flags, host, path) in cases {
            assert_eq!(place(flags).unwrap(), (host.to_owned(), path.to_owned()), "{flags:?}");
        }
        assert!(place(&["--url", "https://host/readyz"]).unwrap_err().to_string().contains("plain HTTP"));
    }
}

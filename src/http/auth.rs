//! Who asks: the key of a request, what it may do, and how often.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;

use super::audit::Audit;
use super::client::{self, Peer};
use super::origin::Origin;
use super::problem::{Kind, Problem};
use super::state::AppState;
use crate::access::Seconds;
use crate::access::quota::{Charge, QuotaExceeded, RateStanding};
use crate::access::record::Scope;
use crate::access::ring::{Holder, KeyRing};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");

/// Addresses whose rate is remembered before those that are idle are forgotten.
const REMEMBERED_ADDRESSES: usize = 10_000;

type AddressRates = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>;

/// Who may come in.
#[derive(Debug)]
pub struct Access {
    ring: RwLock<Arc<KeyRing>>,
    /// The rate of every address that asks without a key.
    addresses: Option<AddressRates>,
    proxies: Vec<IpNet>,
    origins: Vec<Origin>,
    clock: fn() -> Seconds,
}

impl Access {
    /// Takes what the service was told; `clock` gives the time by which keys expire.
    #[must_use]
    pub fn new(
        per_minute: Option<NonZeroU32>,
        proxies: Vec<IpNet>,
        origins: Vec<Origin>,
        clock: fn() -> Seconds,
    ) -> Self {
        let addresses = per_minute.map(|rate| RateLimiter::hashmap(Quota::per_minute(rate)));
        Self { ring: RwLock::default(), addresses, proxies, origins, clock }
    }

    /// Lets everybody in, as a service does that only this machine reaches.
    #[must_use]
    pub fn open() -> Self {
        Self::new(None, Vec::new(), Vec::new(), || 0)
    }

    /// Returns the keys of this moment.
    #[must_use]
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other keys in the place of those in force.
    pub fn replace(&self, ring: KeyRing) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    /// Returns the time by which keys expire.
    #[must_use]
    pub fn now(&self) -> Seconds {
        (self.clock)()
    }

    /// Returns whether an address is one of a trusted proxy.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|net| net.contains(&client::canonical(address)))
    }

    /// Returns the origins whose pages may read answers.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Finds out who asks, and counts the request.
    fn admit(&self, request: &Request, scope: Scope) -> Result<Admitted, Problem> {
        let ring = self.ring();
        if !ring.is_enforced() {
            return self.admit_anonymous(request);
        }
        let Some(presented) = presented(request.headers()) else {
            let detail = "this service asks for a key: send it as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'";
            return Err(Problem::new(Kind::Unauthorized, detail));
        };
        if let Some((audit, known)) = request.extensions().get::<Audit>().zip(ring.find(&presented)) {
            // Also where it opens nothing: an audit is for those above all.
            audit.who(known.record.name.as_str());
        }
        let holder = ring.verify(&presented, self.now()).map_err(|refusal| {
            Problem::new(Kind::Unauthorized, format!("{refusal}: ask the service's administrator for one"))
        })?;
        if !holder.record.scopes.contains(scope) {
            let detail = format!("this needs the scope '{scope}', which the key does not have");
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        let standing = holder.rate.as_ref().map(|rate| rate.count());
        match standing.and_then(|standing| standing.retry_after.map(|wait| (standing.limit, wait))) {
            Some((limit, wait)) => Err(too_many("the key", limit, wait)),
            None => Ok(Admitted { caller: Caller(Some(Arc::clone(holder))), standing }),
        }
    }

    fn admit_anonymous(&self, request: &Request) -> Result<Admitted, Problem> {
        let admitted = Admitted { caller: Caller(None), standing: None };
        let Some(rates) = &self.addresses else { return Ok(admitted) };
        let Some(peer) = request.extensions().get::<Peer>().map(|peer| peer.address.ip()) else { return Ok(admitted) };
        // Who sits at this machine is its owner; a proxy that does speaks for others.
        if client::canonical(peer).is_loopback() && !self.trusts(peer) {
            return Ok(admitted);
        }
        let address = client::address(request.extensions(), request.headers(), &self.proxies).unwrap_or(peer);
        if rates.len() > REMEMBERED_ADDRESSES {
            rates.retain_recent();
        }
        match rates.check_key(&client::network(address)) {
            Ok(()) => Ok(admitted),
            Err(refused) => {
                let wait = refused.wait_time_from(DefaultClock::default().now());
                Err(too_many("your address", refused.quota().burst_size().get(), wait))
            }
        }
    }
}

fn too_many(whose: &str, limit: u32, wait: Duration) -> Problem {
    let seconds = wait.as_secs() + 1;
    let detail = format!("{whose} may send {limit} requests a minute: send the request again in {seconds} s");
    Problem::new(Kind::RateLimited, detail).with_retry_after(seconds)
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Option<Arc<Holder>>);

/// Somebody who may ask, and how many requests they have left.
struct Admitted {
    caller: Caller,
    standing: Option<RateStanding>,
}

impl Caller {
    /// Returns who sent the request; anonymous where no guard has looked at it.
    pub(crate) fn of(request: &Request) -> Self {
        request.extensions().get().cloned().unwrap_or(Self(None))
    }

    /// Counts people whose expression is to be predicted against the key's quota, until it is clear whether they are.
    pub(crate) fn charge(&self, samples: usize, access: &Arc<Access>) -> Result<Charged, QuotaExceeded> {
        let Some(holder) = &self.0 else { return Ok(Charged(None)) };
        let charge = holder.charge(samples as u64, access.now())?;
        Ok(Charged(charge.map(|charge| (charge, Arc::clone(holder), Arc::clone(access)))))
    }
}

/// People that a key was charged; given back when it is dropped, by an error or a panic, unless it was kept.
#[must_use = "what is dropped is given back"]
pub(crate) struct Charged(Option<(Charge, Arc<Holder>, Arc<Access>)>);

impl Charged {
    /// Keeps the charge: somebody got an answer.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        if let Some((charge, holder, access)) = self.0.take() {
            holder.samples.refund(charge, access.now());
        }
    }
}

impl From<QuotaExceeded> for Problem {
    fn from(exceeded: QuotaExceeded) -> Self {
        let seconds = u64::try_from(exceeded.ends_in_seconds).unwrap_or(1);
        Self::new(Kind::QuotaExceeded, format!("the key's quota of people: {exceeded}")).with_retry_after(seconds)
    }
}

/// What a layer of [`require`] needs.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) state: Arc<AppState>,
    pub(crate) scope: Scope,
}

/// Lets a request through whose key has the scope; says in the answer how many may follow.
pub(crate) async fn require(guard: State<Guard>, mut request: Request, next: Next) -> Response {
    match guard.state.access.admit(&request, guard.scope) {
        Err(problem) => {
            super::upload::refuse(request);
            let mut response = problem.into_response();
            let status = response.status();
            if status == axum::http::StatusCode::UNAUTHORIZED {
                // The second is what makes a browser ask for the key; a page's own requests then carry it.
                for scheme in
                    [r#"Bearer realm="tissuecast""#, r#"Basic realm="tissuecast: any name, the key as password""#]
                {
                    response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
                }
            }
            response
        }
        Ok(Admitted { caller, standing }) => {
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            if let Some(standing) = standing {
                let headers = response.headers_mut();
                headers.insert(RATE_LIMIT, HeaderValue::from(standing.limit));
                headers.insert(RATE_REMAINING, HeaderValue::from(standing.remaining));
            }
            response
        }
    }
}

/// The key of a request: as a bearer token, as the password of a basic login (browsers), or in a header of its own.
fn presented(headers: &HeaderMap) -> Option<String> {
    let own = || headers.get(&API_KEY).and_then(|key| key.to_str().ok()).map(|key| key.trim().to_owned());
    let Some(sent) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return own() };
    let (scheme, rest) = sent.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let login = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        return login.split_once(':').map(|(_, password)| password.to_owned());
    }
    own()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_as_a_bearer_a_password_or_a_header() {
        let of = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            presented(&headers)
        };
        assert_eq!(of("authorization", "Bearer tissuecast_1").as_deref(), Some("tissuecast_1"));
        assert_eq!(of("authorization", "bearer  tissuecast_1 ").as_deref(), Some("tissuecast_1"));
        let login = STANDARD.encode("ada:tissuecast_1");
        assert_eq!(of("authorization", &format!("Basic {login}")).as_deref(), Some("tissuecast_1"));
        assert_eq!(of("x-api-key", "tissuecast_1").as_deref(), Some("tissuecast_1"));
        for wrong in ["Basic ???", "Basic", "Digest x"] {
            assert_eq!(of("authorization", wrong), None, "{wrong}");
        }
        assert_eq!(presented(&HeaderMap::new()), None);
    }
}

//! Requests to a bucket, made from threads that wait for them.

use std::{
    fs::File,
    future::Future,
    io::{Read, Write},
    path::Path,
    sync::{Arc, OnceLock, mpsc},
    time::Duration,
};

use object_store::{
    BackoffConfig, ClientOptions, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, RetryConfig, UpdateVersion, aws::AmazonS3Builder, http::HttpBuilder,
    path::Path as Key,
};
use tokio::runtime::Runtime;

use crate::store::StoreError;

/// Bytes of one request: what a slow line moves before it counts as broken.
const PIECE_BYTES: u64 = 8 << 20;
/// Longest that a request may take, of which there are a few tries.
const REQUEST_TIME: Duration = Duration::from_secs(30);
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// No further try after this long.
const RETRY_TIME: Duration = Duration::from_secs(20);
const MOST_RETRIES: usize = 3;
/// Files of a bucket that are listed at most: 50 million of some 100 bytes.
const MOST_LISTED: usize = 50_000_000;

/// What the bucket holds under a name.
pub(super) enum Got {
    /// Nothing.
    Missing,
    /// What it held when it was asked before.
    Same,
    /// This, with the tag that tells it from any other content.
    New(Vec<u8>, Option<String>),
}

/// When a put may happen.
pub(super) enum When {
    /// Always.
    Always,
    /// Only where nothing has the name.
    Missing,
    /// Only where what has the name still has this tag.
    Is(String),
}

/// A file as it is listed.
pub(super) struct Listed {
    pub relative: String,
    pub bytes: u64,
    pub changed_s: i64,
}

/// The files below one prefix of a bucket, or of the city that a Groundline server serves.
#[derive(Debug)]
pub(super) struct Remote {
    url: String,
    prefix: String,
    store: Arc<dyn ObjectStore>,
    is_server: bool,
}

/// Where a server has the files of its city.
const SERVED: &str = "files";

/// How often and how long a request is tried.
fn retry() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 3.0 };
    RetryConfig { backoff, max_retries: MOST_RETRIES, retry_timeout: RETRY_TIME }
}

impl Remote {
    /// Prepares requests to `s3://bucket/prefix`, or to the Groundline server at `http://host:port`; makes none. Endpoint and credentials of
    /// a bucket are those of the environment.
    pub fn connect(url: &str) -> Result<Self, StoreError> {
        // Fails where the program has set one already, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if url.starts_with("http://") || url.starts_with("https://") {
            return Self::of_server(url);
        }
        let refused = |reason: &str| StoreError::Bucket { url: url.into(), reason: reason.into() };
        let known = "only buckets (s3://) and Groundline servers (http://, https://) are known";
        let rest = url.strip_prefix("s3://").ok_or_else(|| refused(known))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if bucket.is_empty() || !bucket.chars().all(is_name) || prefix.is_empty() || Key::parse(prefix).is_err() {
            return Err(refused("a city in a bucket is named as s3://bucket/folder/name.city"));
        }
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let is_set =
            |name: &str| given(name).is_some_and(|value| matches!(value.to_lowercase().as_str(), "true" | "1"));
        let options = ClientOptions::new().with_timeout(REQUEST_TIME).with_connect_timeout(CONNECT_TIME);
        let mut builder =
            AmazonS3Builder::new().with_client_options(options).with_bucket_name(bucket).with_retry(retry());
        if let Some(region) = given("AWS_REGION").or_else(|| given("AWS_DEFAULT_REGION")) {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = given("AWS_ENDPOINT_URL_S3").or_else(|| given("AWS_ENDPOINT_URL")) {
            let allow_http = is_set("AWS_ALLOW_HTTP");
            if endpoint.starts_with("http://") && !allow_http {
                return Err(refused("AWS_ENDPOINT_URL is not encrypted (http://); AWS_ALLOW_HTTP=true allows that"));
            }
            builder = builder.with_endpoint(endpoint).with_allow_http(allow_http);
        }
        // Several requests that remove one file each run side by side; not every server knows the one that removes many.
        builder = builder
            .with_disable_bulk_delete(true)
            .with_virtual_hosted_style_request(is_set("AWS_VIRTUAL_HOSTED_STYLE_REQUEST"));
        builder = match (given("AWS_ACCESS_KEY_ID"), given("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
                match given("AWS_SESSION_TOKEN") {
                    Some(token) => builder.with_token(token),
                    None => builder,
                }
            }
            _ if is_set("AWS_SKIP_SIGNATURE") => builder.with_skip_signature(true),
            // Without them the library would ask this machine's network for an identity, which nobody asked for.
            _ => {
                return Err(refused(
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set; for a public bucket set AWS_SKIP_SIGNATURE=true",
                ));
            }
        };
        let store = builder.build().map_err(|error| refused(&reason_of(&error)))?;
        Ok(Self { url: url.into(), prefix: prefix.into(), store: Arc::new(store), is_server: false })
    }

    fn of_server(url: &str) -> Result<Self, StoreError> {
        let options = ClientOptions::new()
            .with_timeout(REQUEST_TIME)
            .with_connect_timeout(CONNECT_TIME)
            .with_allow_http(url.starts_with("http://"));
        let builder = HttpBuilder::new().with_url(url.trim_end_matches('/')).with_client_options(options);
        let store = builder.with_retry(retry()).build();
        let store = store.map_err(|error| StoreError::Bucket { url: url.into(), reason: reason_of(&error) })?;
        Ok(Self { url: url.into(), prefix: SERVED.into(), store: Arc::new(store), is_server: true })
    }

    /// Fails where nothing can be written.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        match self.is_server {
            true => {
                let reason =
                    "a server only shows its city; what changes it goes to the folder or bucket that it serves";
                Err(StoreError::Bucket { url: self.url.clone(), reason: reason.into() })
            }
            false => Ok(()),
        }
    }

    /// The URL of a file.
    pub fn url_of(&self, relative: &str) -> String {
        let url = self.url.trim_end_matches('/');
        if self.is_server { format!("{url}/{SERVED}/{relative}") } else { format!("{url}/{relative}") }
    }

    fn key(&self, relative: &str) -> Result<Key, StoreError> {
        Key::parse(format!("{}/{relative}", self.prefix))
            .map_err(|error| self.failed(relative, "named", &error.to_string()))
    }

    fn failed(&self, relative: &str, what: &str, reason: &str) -> StoreError {
        StoreError::Bucket { url: self.url_of(relative), reason: format!("it cannot be {what}: {reason}") }
    }

    /// A small file, unless it is still the one with this tag.
    pub fn get(&self, relative: &str, most: u64, tag: Option<&str>) -> Result<Got, StoreError> {
        let (store, key) = (self.store.clone(), self.key(relative)?);
        let options = GetOptions { if_none_match: tag.map(str::to_owned), ..GetOptions::default() };
        let got = wait(async move {
            let found = store.get_opts(&key, options).await?;
            let (size, tag) = (found.meta.size, found.meta.e_tag.clone());
            Ok(if size > most { Err(size) } else { Ok((found.bytes().await?, tag)) })
        });
        match got {
            Ok(Ok((bytes, tag))) => Ok(Got::New(bytes.to_vec(), tag)),
            Ok(Err(size)) => Err(self.failed(relative, "read", &format!("{size} bytes are more than it may have"))),
            Err(Error::NotModified { .. }) => Ok(Got::Same),
            Err(error) if is_missing(&error) => Ok(Got::Missing),
            Err(error) => Err(self.failed(relative, "read", &reason_of(&error))),
        }
    }

    /// Writes the file into `out`, piece by piece; its size and BLAKE3, or `None` where there is no such file. One larger than `most` is
    /// refused before it is read.
    pub fn download(
        &self,
        relative: &str,
        most: u64,
        out: &mut dyn Write,
    ) -> Result<Option<(u64, String)>, StoreError> {
        let mut hasher = blake3::Hasher::new();
        let (mut at, mut size, mut tag) = (0, u64::MAX, None);
        while at < size {
            let (store, key) = (self.store.clone(), self.key(relative)?);
            let range = (most > 0).then_some(GetRange::Bounded(at..at + PIECE_BYTES));
            let options = GetOptions { range, if_match: tag.clone(), ..GetOptions::default() };
            let got = wait(async move {
                let found = store.get_opts(&key, options).await?;
                let (size, tag) = (found.meta.size, found.meta.e_tag.clone());
                Ok(if size > most { (size, tag, None) } else { (size, tag, Some(found.bytes().await?)) })
            });
            match got {
                Ok((whole, found, Some(piece))) => {
                    if piece.is_empty() && whole > at {
                        return Err(self.failed(relative, "read", "it ends too early"));
                    }
                    out.write_all(&piece).map_err(StoreError::at(Path::new(relative)))?;
                    hasher.update(&piece);
                    at += piece.len() as u64;
                    (size, tag) = (whole, found);
                }
                Ok((whole, _, None)) => {
                    let reason = format!("it has {whole} bytes, of at most {most}");
                    return Err(StoreError::Damaged { path: self.url_of(relative).into(), reason });
                }
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(self.failed(relative, "read", &reason_of(&error))),
            }
        }
        Ok(Some((at, hasher.finalize().to_hex().to_string())))
    }

    /// Puts bytes under a name; `None` when the condition did not hold, else the tag of what is there now.
    pub fn put(&self, relative: &str, bytes: Vec<u8>, when: When) -> Result<Option<Option<String>>, StoreError> {
        let (store, key) = (self.store.clone(), self.key(relative)?);
        let mode = match when {
            When::Always => PutMode::Overwrite,
            When::Missing => PutMode::Create,
            When::Is(tag) => PutMode::Update(UpdateVersion { e_tag: Some(tag), version: None }),
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match wait(async move { store.put_opts(&key, PutPayload::from(bytes), options).await }) {
            Ok(put) => Ok(Some(put.e_tag)),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(None),
            Err(error) => Err(self.failed(relative, "written", &reason_of(&error))),
        }
    }

    /// Puts the file that lies at `path`; a large one in pieces.
    pub fn put_file(&self, relative: &str, mut file: File, path: &Path) -> Result<(), StoreError> {
        let size = file.metadata().map_err(StoreError::at(path))?.len();
        let mut piece = |most: u64| -> Result<Vec<u8>, StoreError> {
            let mut bytes = Vec::new();
            (&mut file).take(most).read_to_end(&mut bytes).map_err(StoreError::at(path))?;
            Ok(bytes)
        };
        if size <= PIECE_BYTES {
            return self.put(relative, piece(PIECE_BYTES)?, When::Always).map(|_| ());
        }
        let failed = |error: Error| self.failed(relative, "written", &reason_of(&error));
        let (store, key) = (self.store.clone(), self.key(relative)?);
        let begun = wait(async move { store.put_multipart_opts(&key, PutMultipartOptions::default()).await });
        let mut upload = begun.map_err(failed)?;
        loop {
            let bytes = match piece(PIECE_BYTES) {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => bytes,
                Err(error) => {
                    let _ = wait(async move { upload.abort().await });
                    return Err(error);
                }
            };
            let part = upload.put_part(PutPayload::from(bytes));
            if let Err(error) = wait(part) {
                let _ = wait(async move { upload.abort().await });
                return Err(failed(error));
            }
        }
        wait(async move { upload.complete().await }).map(|_| ()).map_err(failed)
    }

    /// All files below the folder `inner`.
    pub fn list(&self, inner: &str) -> Result<Vec<Listed>, StoreError> {
        let key = self.key(inner)?;
        let mut stream = self.store.list(Some(&key));
        let listed = wait(async move {
            let mut all = Vec::new();
            while let Some(meta) = std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
                all.push(meta?);
                if all.len() > MOST_LISTED {
                    break;
                }
            }
            Ok(all)
        });
        let listed = listed.map_err(|error| self.failed(inner, "listed", &reason_of(&error)))?;
        let start = format!("{}/", self.prefix);
        let relative = listed.into_iter().filter_map(|meta| {
            let relative = meta.location.as_ref().strip_prefix(&start)?.to_owned();
            Some(Listed { relative, bytes: meta.size, changed_s: meta.last_modified.timestamp() })
        });
        Ok(relative.collect())
    }

    /// Whether there is such a file.
    pub fn has(&self, relative: &str) -> Result<bool, StoreError> {
        let (store, key) = (self.store.clone(), self.key(relative)?);
        match wait(async move { store.head(&key).await }) {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(self.failed(relative, "read", &reason_of(&error))),
        }
    }

    /// Removes a file; that it is not there is as good.
    pub fn delete(&self, relative: &str) -> Result<(), StoreError> {
        let (store, key) = (self.store.clone(), self.key(relative)?);
        match wait(async move { store.delete(&key).await }) {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(self.failed(relative, "removed", &reason_of(&error))),
        }
    }
}

/// Runs a request of the object store.
fn wait<T: Send + 'static>(request: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
    let failed = |text: String| Error::Generic { store: "S3", source: text.into() };
    run(request).unwrap_or_else(|text| Err(failed(text)))
}

/// Runs a request on threads of its own: whoever waits may be a thread of another runtime.
pub(in crate::store) fn run<T: Send + 'static>(request: impl Future<Output = T> + Send + 'static) -> Result<T, String> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let make = || {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("bucket").enable_all().build().ok()
    };
    let runtime = RUNTIME.get_or_init(make).as_ref().ok_or("no thread can be started")?;
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // Who asked is waiting, so there is room and somebody to take it.
        let _ = sender.send(request.await);
    });
    receiver.recv().map_err(|_| "the request broke off".into())
}

/// Whether the file is not there. A bucket that is not there is something else.
fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. })
        && code_of(&error.to_string()).is_none_or(|(code, _)| code != "NoSuchBucket")
}

/// Code and message of the server's answer.
fn code_of(text: &str) -> Option<(&str, &str)> {
    let within = |tag: &str| {
        let rest = text.split_once(&format!("<{tag}>"))?.1;
        rest.split_once(&format!("</{tag}>")).map(|(inner, _)| inner)
    };
    Some((within("Code")?, within("Message").unwrap_or_default()))
}

/// What is wrong, in one line. Answers of servers may repeat what was signed, so only their code and message are told.
fn reason_of(error: &Error) -> String {
    let text = error.to_string();
    let code = code_of(&text);
    let said = match code {
        Some((code, message)) => format!("{code}: {}", message.trim_end_matches('.')),
        None => {
            let mut inner: &dyn std::error::Error = error;
            while let Some(source) = inner.source() {
                inner = source;
            }
            inner.to_string()
        }
    };
    let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(240).collect();
    match error {
        _ if code.is_some_and(|(code, _)| code == "NoSuchBucket") => "there is no such bucket".into(),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } if code.is_some() => {
            format!("access is refused ({said}); AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY decide who asks")
        }
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_servers_become_one_line_without_what_was_signed() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>It does not match.</Message>\
                    <StringToSign>AWS4-HMAC-SHA256 secret</StringToSign></Error>";
        let error = Error::PermissionDenied { path: "x".into(), source: body.into() };
        let said = reason_of(&error);
        assert!(said.contains("SignatureDoesNotMatch: It does not match") && !said.contains("secret"), "{said}");
        let error = Error::NotFound { path: "x".into(), source: "<Code>NoSuchBucket</Code>".into() };
        assert!(!is_missing(&error) && reason_of(&error) == "there is no such bucket");
    }
}

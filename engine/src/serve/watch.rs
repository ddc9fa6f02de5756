//! New versions of a city in a bucket.

use std::{
    sync::{Arc, PoisonError, Weak},
    thread,
    time::Duration,
};

use super::Hall;
use crate::store::{BucketCity, City, StoreError};

/// How often the bucket is asked.
const EVERY: Duration = Duration::from_secs(2);

/// Looks for new versions as long as there is somebody to show them to. While the bucket does not answer, the version there was stays.
pub(super) fn begin(hall: &Arc<Hall>) {
    let Some(bucket) = hall.bucket.clone() else { return };
    let hall = Arc::downgrade(hall);
    let started = thread::Builder::new().name("versions".into()).spawn(move || look(&bucket, &hall));
    if let Err(error) = started {
        tracing::error!("new versions will not be seen: {error}");
    }
}

fn look(bucket: &BucketCity, hall: &Weak<Hall>) {
    let mut is_away = false;
    loop {
        thread::sleep(EVERY);
        let Some(hall) = hall.upgrade() else { return };
        match renew(bucket, &hall) {
            Ok(()) => is_away = false,
            // Said once, not every two seconds.
            Err(error) if !is_away => {
                tracing::warn!("version {} stays: {error}", version(&hall));
                is_away = true;
            }
            Err(_) => {}
        }
    }
}

fn version(hall: &Hall) -> u64 {
    hall.city.lock().unwrap_or_else(PoisonError::into_inner).0.version()
}

fn renew(bucket: &BucketCity, hall: &Hall) -> Result<(), StoreError> {
    bucket.refresh()?;
    if bucket.newest().is_none_or(|newest| newest == (version(hall), manifest(hall))) {
        return Ok(());
    }
    let city = Arc::new(City::open(&hall.folder)?);
    hall.city.lock().unwrap_or_else(PoisonError::into_inner).0 = city;
    Ok(())
}

fn manifest(hall: &Hall) -> String {
    hall.city.lock().unwrap_or_else(PoisonError::into_inner).0.manifest_hash().to_owned()
}

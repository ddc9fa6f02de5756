//! LZF (Lehmann), the compression of PCD files: literal runs and back references of at most 8 KiB.

/// Unpacks `packed` into exactly `length` bytes.
pub(super) fn unpack(packed: &[u8], length: usize) -> Result<Vec<u8>, String> {
    let mut made: Vec<u8> = Vec::new();
    let mut at = 0;
    let next = |at: &mut usize| {
        let byte = packed.get(*at).copied().ok_or_else(|| format!("packed byte {at}: the data end within a run"));
        *at += 1;
        byte.map(usize::from)
    };
    while at < packed.len() {
        let control = next(&mut at)?;
        if control < 32 {
            let run =
                packed.get(at..at + control + 1).ok_or_else(|| format!("packed byte {at}: a run beyond the end"))?;
            made.extend_from_slice(run);
            at += control + 1;
        } else {
            let mut run = control >> 5;
            if run == 7 {
                run += next(&mut at)?;
            }
            let back = ((control & 31) << 8 | next(&mut at)?) + 1;
            let from = made
                .len()
                .checked_sub(back)
                .ok_or_else(|| format!("packed byte {at}: a reference before the start"))?;
            for k in 0..run + 2 {
                let byte = made.get(from + k).copied().unwrap_or(0);
                made.push(byte);
            }
        }
        if made.len() > length {
            return Err(format!("more than the {length} bytes that are promised"));
        }
    }
    if made.len() < length {
        return Err(format!("{} bytes of {length} that are promised", made.len()));
    }
    Ok(made)
}

//! Sizes as people say them, for pages.

/// A size as people say it: `613 B`, `1.2 KB`, `24 MB`; a kilobyte is 1024 bytes.
pub fn human(size: u64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    if size < 1024 {
        return format!("{size} B");
    }
    // Tenths of the unit, rounded; 999.95 of a unit are one of the next, so that no figure has five places.
    let mut tenths = u128::from(size) * 10;
    let mut unit = 0;
    for at in 0..UNITS.len() {
        unit = at;
        tenths = (u128::from(size) * 10 + (1 << (10 * at + 9))) >> (10 * (at + 1));
        if tenths < 10_000 {
            break;
        }
    }
    match (tenths / 10, tenths % 10) {
        (whole @ 0..10, tenth) if tenth > 0 => format!("{whole}.{tenth} {}", UNITS[unit]),
        (whole, tenth) => format!("{} {}", whole + u128::from(tenth >= 5), UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let table: [(u64, &str); 14] = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KB"),
            (1229, "1.2 KB"),
            (10_189, "10 KB"),
            (10_240, "10 KB"),
            (24_064, "24 KB"),
            (1_023_000, "999 KB"),
            (1_023_999, "1 MB"),
            (1 << 20, "1 MB"),
            (3 << 29, "1.5 GB"),
            (1 << 40, "1 TB"),
            (1 << 60, "1 EB"),
            (u64::MAX, "16 EB"),
        ];
        for (size, expected) in table {
            assert_eq!(human(size), expected, "{size}");
        }
    }
}

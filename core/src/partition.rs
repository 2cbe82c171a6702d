//! Where a key lives: Kafka's default partitioner (`murmur2_random`), bit for bit.
//!
//! Java clients, Connect and Flink place keys the same way, so that anyone's records of a room meet ours in
//! one partition. A record found elsewhere was not placed by this rule and gets no seq.

/// The partition of a key in a topic with this many partitions; a topic without partitions counts as having one.
pub fn partition_of(key: &[u8], partition_count: u32) -> u32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    positive % partition_count.max(1)
}

/// The hash behind it, with the seed the Java client uses.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // Kafka's keys are far below 4 GiB; the cast is part of the algorithm.
    let mut hash = SEED ^ (data.len() as u32);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_the_java_client() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn a_negative_hash_still_names_a_partition() {
        // Java masks the sign bit instead of negating, which differs for every negative hash.
        assert_eq!(
            partition_of(b"21", 12),
            ((-973_932_308_i32 & 0x7fff_ffff) % 12) as u32
        );
        for count in [0, 1, 2, 7, 64] {
            assert!(partition_of(b"foobar", count) < count.max(1));
        }
    }
}

//! How much of what.

/// How much of what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Octets of the longest segment.
    pub segment: u64,
    /// Octets of the largest body that goes into a segment.
    pub small_body: u64,
    /// Records of the largest commit.
    pub commit_records: usize,
    /// Octets from which on a commit takes no further record.
    pub commit_octets: u64,
    /// Octets by which the log has grown, at least, when a checkpoint is taken.
    pub checkpoint: u64,
    /// Seconds after its last record before a segment is emptied: much of what is new ends soon.
    pub rest: i64,
    /// Messages of the longest queue.
    pub messages: usize,
    /// Octets of memory for bodies.
    pub receive_memory: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment: 64 << 20,
            small_body: 1 << 20,
            commit_records: 256,
            commit_octets: 4 << 20,
            checkpoint: 128 << 20,
            rest: 600,
            messages: 4_000_000,
            receive_memory: 256 << 20,
        }
    }
}

//! Where unpredictable bytes come from: an input, like time.

/// A source of unpredictable bytes, for masking keys and handshake keys (RFC 6455 §5.3, §10.3).
///
/// The core draws no randomness of its own. A real client must hand in a strong source, such as
/// the operating system's; a test hands in a fixed one and gets the same bytes on every run.
///
/// ```
/// use stentor_proto::Entropy;
///
/// /// For tests: every byte is the same.
/// struct Constant(u8);
///
/// impl Entropy for Constant {
///     fn fill(&mut self, bytes: &mut [u8]) {
///         bytes.fill(self.0);
///     }
/// }
/// ```
pub trait Entropy: Send {
    /// Overwrites `bytes` with unpredictable ones.
    fn fill(&mut self, bytes: &mut [u8]);
}

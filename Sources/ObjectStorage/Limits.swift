/// The numbers that bound what a store does.
package enum Limits {
    /// The longest key in bytes (what S3 allows).
    package static let keyBytes = 1024
    /// How many bytes of a file a `FileBody` hands over at once.
    package static let bodyChunkBytes = 1 << 20
}

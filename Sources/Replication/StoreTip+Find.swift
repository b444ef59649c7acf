import ObjectStorage
extension StoreTip {
    static func find(in store: any ObjectStore, owner: String, log: ReplicationLog) async throws -> StoreTip? { nil }
}

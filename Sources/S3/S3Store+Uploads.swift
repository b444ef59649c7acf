package import Bytes
import HTTPTransport
package import ObjectStorage

extension S3Store {
    /// As the protocol says: lists uploads under the prefix, and aborts the old ones.
    package func removeStaleUploads(
        prefix: String,
        before time: Timestamp
    ) async throws(StoreError) -> Int {
        var removed = 0
        let full = configuration.keyPrefix + prefix
        for upload in try await unfinishedUploads(full) where upload.began < time {
            var request = S3Request(.abortUpload, .delete, key: upload.key)
            request.query = [(name: "uploadId", value: upload.id)]
            do {
                _ = try await client.perform(request)
                removed += 1
            } catch {
                // Somebody else was faster.
                guard error.code == "NoSuchUpload" else {
                    throw error.storeError(.delete, upload.key, client)
                }
            }
        }
        return removed
    }

    private struct Upload {
        let key: String
        let id: String
        let began: Timestamp
    }

    private func unfinishedUploads(_ prefix: String) async throws(StoreError) -> [Upload] {
        var found: [Upload] = []
        var marker: (key: String, id: String)?
        while true {
            var request = S3Request(.listUploads, .get)
            request.query = [
                (name: "uploads", value: ""), (name: "prefix", value: prefix),
            ]
            if let marker {
                request.query.append((name: "key-marker", value: marker.key))
                request.query.append((name: "upload-id-marker", value: marker.id))
            }
            let response = try await perform(request, .list).response
            let root: XMLElement
            do {
                root = try XMLElement.parse(response.body)
            } catch {
                throw damaged(.list, prefix, "the list of uploads is \(error)")
            }
            for entry in root.all("Upload") {
                guard let key = entry.text("Key"), let id = entry.text("UploadId"),
                    let began = entry.text("Initiated").flatMap({ Timestamp(rfc3339: $0) }),
                    key.utf8.starts(with: prefix.utf8)
                else { continue }
                found.append(Upload(key: key, id: id, began: began))
            }
            guard root.text("IsTruncated") == "true" else { return found }
            let next = (
                key: root.text("NextKeyMarker") ?? "", id: root.text("NextUploadIdMarker") ?? ""
            )
            guard !next.key.isEmpty, marker.map({ $0 != next }) ?? true else {
                throw damaged(.list, prefix, "the list of uploads has no end")
            }
            marker = next
        }
    }
}

import HTTPTransport
package import ObjectStorage
import Synchronization

extension S3Store {
    /// As the protocol says: up to 1000 keys a request, one key a request where the store does not
    /// know better.
    package func delete(_ keys: [ObjectKey]) async throws(StoreError) {
        for key in keys { try check(key, .delete) }
        var rest = keys.map(fullKey)[...]
        while !rest.isEmpty {
            let batch = Array(rest.prefix(Limits.deleteBatchKeys))
            rest = rest.dropFirst(batch.count)
            if batch.count == 1 || !state.withLock({ $0.deletesBatches }) {
                for key in batch { try await deleteOne(key) }
            } else {
                try await deleteBatch(batch)
            }
        }
    }

    private func deleteOne(_ key: String) async throws(StoreError) {
        do {
            _ = try await client.perform(S3Request(.delete, .delete, key: key))
        } catch {
            if error.code == "NoSuchKey" { return }
            throw error.storeError(.delete, key, client)
        }
    }

    private func deleteBatch(_ keys: [String]) async throws(StoreError) {
        var request = S3Request(.deleteBatch, .post)
        request.query = [(name: "delete", value: "")]
        request.headers = [(name: "content-type", value: "application/xml")]
        var text = "<Delete xmlns=\"\(Self.namespace)\"><Quiet>true</Quiet>"
        for key in keys { text += "<Object><Key>\(Self.escaped(key))</Key></Object>" }
        text += "</Delete>"
        // Most stores want the digest here, whatever else is configured.
        request.set(body: [Array(text.utf8)], sendsMD5: true)
        let response: HTTPResponse
        do {
            response = try await client.perform(request).response
        } catch {
            guard Self.knowsNoBatches(error) else {
                throw error.storeError(.delete, keys.first, client)
            }
            state.withLock { $0.deletesBatches = false }
            for key in keys { try await deleteOne(key) }
            return
        }
        try await finish(response, keys)
    }

    private static func knowsNoBatches(_ failure: S3Failure) -> Bool {
        guard let status = failure.status else { return false }
        return [405, 501].contains(status)
            || ["NotImplemented", "MethodNotAllowed"].contains(
                failure.code
            )
    }

    /// Keys that the store names as failed are tried once more, one by one.
    private func finish(_ response: HTTPResponse, _ keys: [String]) async throws(StoreError) {
        if response.body.isEmpty { return }
        let root: XMLElement
        do {
            root = try XMLElement.parse(response.body)
        } catch {
            throw damaged(.delete, keys.first, "the answer is \(error)")
        }
        guard root.name == "DeleteResult" else {
            throw damaged(.delete, keys.first, "the answer begins with <\(root.name.prefix(60))>")
        }
        let known = Set(keys)
        for error in root.all("Error") where error.text("Code") != "NoSuchKey" {
            guard let key = error.text("Key"), known.contains(key) else {
                throw damaged(.delete, keys.first, "the store complains of a key we did not name")
            }
            try await deleteOne(key)
        }
    }

    /// A text as it may stand in XML.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&apos;"
            case "\r": result += "&#13;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

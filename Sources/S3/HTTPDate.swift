package import Bytes

/// The date that servers put into `Date` (RFC 9110 §5.6.7, the preferred form):
/// `Sun, 06 Nov 1994 08:49:37 GMT`.
package enum HTTPDate {
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// The time in `text`, or nil.
    package static func parse(_ text: String) -> Timestamp? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT" || words[5] == "UTC",
            let month = months.firstIndex(of: String(words[2])), words[1].utf8.count <= 2
        else { return nil }
        let day = words[1].utf8.count == 1 ? "0" + words[1] : String(words[1])
        let number = month < 9 ? "0\(month + 1)" : "\(month + 1)"
        return Timestamp(rfc3339: "\(words[3])-\(number)-\(day)T\(words[4])Z")
    }
}

/// What is wrong with a configuration file: where, and what to do about it.
package struct ConfigurationError: Error, CustomStringConvertible, Equatable {
    /// The file's path, as the user named it.
    package let path: String
    /// The line, from 1; 0 when the whole file is meant.
    package let line: Int
    /// What is wrong and what to do. Never holds a value that may be a secret.
    package let message: String

    /// `path:line: message`.
    package var description: String {
        line > 0 ? "\(path):\(line): \(message)" : "\(path): \(message)"
    }

    /// An error at a line.
    package init(path: String, line: Int, _ message: String) {
        self.path = path
        self.line = line
        self.message = message
    }
}

import ArgumentParser
import BackupCatalog
import Configuration
import Glibc
import Hazards
import Maintenance
import ObjectStorage
import Platform
import Replication
import Restore
import SQLiteAccess
import SegmentFormat
import Supervision

/// The one place where errors become words and exit codes (README.md).
enum ErrorReport {
    /// Prints an error and ends the process.
    static func exit(_ error: any Error) -> Never {
        if let code = exitCode(error) {
            let text = error is CancellationError ? "interrupted, nothing was changed" : "\(error)"
            StandardError.write("highwater: \(text)\n")
            Glibc.exit(code)
        }
        // ArgumentParser's own: help is 0, a wrong command line 2.
        let code = Highwater.exitCode(for: error)
        let message = Highwater.fullMessage(for: error)
        // A command that has said everything already, and only wants its exit code.
        if error is ExitCode { Glibc.exit(code.rawValue) }
        if code == .success {
            print(message)
            Glibc.exit(0)
        }
        StandardError.write(message + "\n")
        Glibc.exit(code == .validationFailure ? 2 : code.rawValue)
    }

    /// The exit code of a module's error; nil for ArgumentParser's.
    static func exitCode(_ error: any Error) -> Int32? {
        switch error {
        case let error as ReplicationError: exitCode(error.code)
        case let error as StoreError: exitCode(error.code)
        // A store that answers, and answers wrongly, cannot keep a backup whole.
        case let error as CheckFailed: error.cause.map { exitCode($0) ?? 1 } ?? 7
        case let error as CatalogError:
            switch error.code {
            case .nothingFound, .noBase: 5
            case .damaged, .unsupported: 7
            case .forked: 8
            case .ambiguous: 2
            }
        case let error as RestoreError:
            switch error.code {
            case .outsideWindow, .hole: 6
            case .unsafeOutput, .noSpace: 9
            case .integrity, .vanished: 7
            case .usage: 2
            case .accessDenied: 4
            }
        case is SegmentError: 7
        case is CancellationError: 130
        case is ConfigurationError: 2
        case let error as SupervisionError:
            switch error.code {
            case .invalid: 2
            case .missing: 5
            case .notDurable: 3
            case .ending: 1
            }
        case let error as HazardsError: error.code == .unusablePath ? 2 : 9
        case let error as MaintenanceError:
            switch error.code {
            case .clockDiffers: 9
            case .notConfirmed: 7
            case .notPossible: 1
            }
        case let error as SystemError where [ENOSPC, EDQUOT].contains(error.number): 9
        case let error as SystemError: error.number == EACCES || error.number == EPERM ? 4 : 1
        case let error as SQLiteError: error.isAccessDenied ? 4 : error.isBusy ? 9 : 1
        default: nil
        }
    }

    private static func exitCode(_ code: ReplicationError.Code) -> Int32 {
        switch code {
        case .noFolder, .notADatabase, .notWAL: 2
        case .exclusivelyLocked, .hazard, .databaseChanged, .tooManyDatabases: 9
        case .accessDenied: 4
        case .notDurable, .backlogTooLarge: 3
        case .ownedByAnother, .superseded: 8
        case .backupGone: 7
        }
    }

    private static func exitCode(_ code: StoreError.Code) -> Int32 {
        switch code {
        case .notFound: 5
        case .accessDenied: 4
        case .unreachable, .noSpace, .noBucket: 3
        case .unsupported, .invalid: 2
        case .damaged: 7
        default: 1
        }
    }
}

/// Text to standard error.
enum StandardError {
    static func write(_ text: String) {
        var text = text
        text.withUTF8 { _ = Glibc.write(2, $0.baseAddress, $0.count) }
    }
}

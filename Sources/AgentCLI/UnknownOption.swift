import ArgumentParser

/// Finds an option that a command does not have.
///
/// ArgumentParser takes such a one for part of something else at times, and then says that
/// something is missing.
enum UnknownOption {
    /// The first of `arguments` that looks like an option and is none of its command's.
    static func first(in arguments: [String]) -> (option: String, command: String)? {
        var command: any ParsableCommand.Type = Highwater.self
        var names: [String] = []
        var rest = arguments[...]
        while let name = rest.first,
            let found = command.configuration.subcommands.first(where: {
                $0.configuration.commandName == name
            })
        {
            command = found
            names.append(name)
            rest.removeFirst()
        }
        let help = Highwater.helpMessage(for: command, columns: 1000)
        let known = Set(
            help.split { !($0.isLetter || $0.isNumber || $0 == "-") }.filter { $0.hasPrefix("-") }
        )
        for argument in rest where argument.hasPrefix("-") && argument.count > 1 {
            if argument == "--" { return nil }
            // A value: no option begins with a number.
            if argument.dropFirst().first?.isNumber == true { continue }
            let name = argument.prefix { $0 != "=" }
            if !known.contains(name) {
                return (String(name), names.joined(separator: " "))
            }
        }
        return nil
    }
}

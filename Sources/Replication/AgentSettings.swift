package import Hazards
import Platform

/// What an agent is to do.
package struct AgentSettings: Sendable {
    /// The database's path as the user named it.
    package var databasePath: String
    /// Where the backup goes.
    package var destination: Destination
    /// The least time between two uploads, in nanoseconds.
    package var syncInterval: Int64 = Nanoseconds.second
    /// Ends the agent.
    package var stop: StopRequest
    /// Where log lines go.
    package var log: ReplicationLog
    /// Between two looks for newer claims on the generation, in nanoseconds.
    package var claimLookInterval = Limits.claimLookInterval
    /// What is done for the store beside sending commits.
    package var maintenance = MaintenanceSettings()
    /// What all databases of the process share.
    package var host: ReplicationHost
    /// What may be set about the guards against unsafe set-ups.
    package var hazards = HazardOptions()
    /// What happens when the store takes nothing for very long.
    package var outage = OutagePolicy()
    /// What is known of the agent, for reports.
    package var meter = AgentMeter()

    /// The default cadence.
    package init(
        databasePath: String,
        destination: Destination,
        stop: StopRequest,
        host: ReplicationHost,
        log: @escaping ReplicationLog
    ) {
        self.databasePath = databasePath
        self.destination = destination
        self.stop = stop
        self.host = host
        self.log = log
    }
}

import Platform
import TestSupport
import Testing

@testable import Hazards

@Suite struct LayoutRulesTests {
    /// The row of the catalogue, a mount's fields after ` - `, the magic number, and the verdicts
    /// with one opener and with unknown ones.
    static let rows: [(String, String, UInt32, Verdict, Verdict)] = [
        ("ext4", "ext4 /dev/vda rw", 0xEF53, .ok, .ok),
        ("xfs", "xfs /dev/sda rw,attr2", 0x5846_5342, .ok, .ok),
        ("btrfs", "btrfs /dev/sda rw,subvol=/x", 0x9123_683E, .ok, .ok),
        ("zfs", "zfs tank/data rw", 0x2FC1_2FC1, .ok, .ok),
        ("tmpfs", "tmpfs tmpfs rw", 0x0102_1994, .ok, .ok),
        ("overlay", "overlay overlay rw,lowerdir=l,upperdir=u", 0x794C_7630, .warn, .warn),
        ("Docker Desktop virtiofs", "virtiofs /run/host_mark/Users rw", 0x6573_5546, .warn, .high),
        (
            "Docker Desktop fakeowner", "fakeowner /run/host_mark/Users rw", 0x6573_5546, .warn,
            .high
        ),
        ("Docker Desktop grpcfuse", "fuse.grpcfuse grpcfuse rw", 0x6573_5546, .warn, .high),
        ("Kata", "virtiofs kataShared rw", 0x6573_5546, .warn, .high),
        ("OrbStack 9p", "9p mac rw,trans=virtio", 0x0102_1997, .warn, .high),
        (
            "WSL drive", "9p C:\\134 rw,aname=drvfs;path=C:\\134,trans=fd,rfd=8", 0x0102_1997,
            .warn, .high
        ),
        ("gVisor", "9p none rw,trans=fd,rfdno=4,wfdno=4,aname=/", 0x0102_1997, .warn, .warn),
        ("NFS", "nfs4 10.0.0.1:/export rw,vers=4.2", 0x6969, .warn, .high),
        ("SMB", "cifs //nas/share rw,vers=3.1", 0xFE53_4D42, .warn, .high),
        ("bindfs", "fuse /srv/real rw,user_id=0", 0x6573_5546, .warn, .high),
        ("sshfs", "fuse.sshfs host:/x rw", 0x6573_5546, .warn, .high),
        ("CephFS", "ceph 10.0.0.1:/ rw", 0x00C3_6400, .warn, .high),
        ("VirtualBox", "vboxsf share rw", 0x786F_4256, .warn, .high),
        ("unknown", "somethingfs none rw", 0x1234_5678, .warn, .warn),
    ]

    private let folder = TemporaryFolder()

    /// A layout below `/data`, which is mounted as `fields` say.
    private func layout(_ fields: String, magic: UInt32, more: String = "") throws -> Layout {
        let status = try #require(try FileSystem.status(folder.path))
        let path = folder.file("app.db")
        _ = try FileDescriptor(path: path, flags: 0o101)
        return Layout(
            path: "/data/app.db",
            folderStatus: status,
            database: try FileSystem.status(path),
            mounts: MountTable(
                parsing: "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:40 / /data rw - \(fields)\n"
                    + more
            ),
            magic: magic
        )
    }

    @Test(arguments: rows)
    func `each file system has the catalogue's verdict`(
        _ name: String,
        _ fields: String,
        _ magic: UInt32,
        _ alone: Verdict,
        _ unknown: Verdict
    ) throws {
        let layout = try layout(fields, magic: magic)
        let one = LayoutRules.findings(layout, population: .counted(1))
        #expect(one.verdict == alone, "\(name): \(one)")
        let many = LayoutRules.findings(layout, population: .unknown)
        #expect(many.verdict == unknown, "\(name): \(many)")
        for finding in many where finding.verdict > .ok { #expect(!finding.remedy.isEmpty) }
    }

    @Test(arguments: [
        "nfs nas:/x rw,nolock", "nfs4 nas:/x rw,local_lock=all", "cifs //n/x rw,nobrl",
    ])
    func `locks that stay local are high even with one opener`(_ fields: String) throws {
        let findings = LayoutRules.findings(
            try layout(fields, magic: 0x6969),
            population: .counted(1)
        )
        #expect(findings.contains { $0.code == .mountOptions && $0.verdict == .high })
    }

    @Test func `a second mount of a folder is said where mounts are not coherent`() throws {
        let second = "3 1 0:41 / /other rw - fuse /srv/real rw\n"
        let fuse = try layout("fuse /srv/real rw", magic: 0x6573_5546, more: second)
        let findings = LayoutRules.findings(fuse, population: .counted(1))
        #expect(findings.first { $0.code == .secondMount }?.verdict == .warn)
        // A bind mount of the mount is the same file system.
        let bind = "3 1 0:40 / /other rw - fuse /srv/real rw\n"
        let once = try layout("fuse /srv/real rw", magic: 0x6573_5546, more: bind)
        #expect(
            !LayoutRules.findings(once, population: .counted(1)).contains {
                $0.code == .secondMount
            }
        )
    }

    @Test func `a read-only mount is said`() throws {
        let layout = try layout("ext4 /dev/sdb ro", magic: 0xEF53)
        let findings = LayoutRules.findings(layout, population: .counted(0))
        #expect(findings.contains { $0.code == .mountOptions && $0.verdict == .warn })
    }

    @Test(arguments: ["/data/app.db", "/data/app.db-wal", "/data/app.db-shm"])
    func `a mounted file is fatal whatever it is on`(_ point: String) throws {
        let layout = try layout(
            "ext4 /dev/vdb rw",
            magic: 0xEF53,
            more: "3 2 254:0 /home/me/app.db \(point) rw - ext4 /dev/vda rw\n"
        )
        let findings = LayoutRules.findings(layout, population: .counted(0))
        let finding = try #require(findings.first { $0.code == .fileMount })
        #expect(finding.verdict == .fatal)
        #expect(finding.message.contains(point))
        #expect(finding.message.contains("/home/me/app.db"))
    }

    @Test func `a mounted neighbour is not the database`() throws {
        let layout = try layout(
            "ext4 /dev/vdb rw",
            magic: 0xEF53,
            more: "3 2 254:0 /x /data/other.db rw - ext4 /dev/vda rw\n"
        )
        #expect(LayoutRules.findings(layout, population: .counted(3)).verdict == .ok)
    }

    @Test func `a file on another device than its folder is high, but not on overlay`() throws {
        let elsewhere = try #require(try FileSystem.status("/proc/self/status"))
        for (fields, magic, verdict) in [
            ("ext4 /dev/vdb rw", UInt32(0xEF53), Verdict.high),
            ("overlay overlay rw,lowerdir=l,upperdir=u", 0x794C_7630, nil),
        ] {
            var layout = try layout(fields, magic: magic)
            layout.wal = elsewhere
            let findings = LayoutRules.findings(layout, population: .counted(1))
            #expect(findings.first { $0.code == .deviceMismatch }?.verdict == verdict)
        }
    }

    @Test func `hard links are a warning and links a remark`() throws {
        let folder = TemporaryFolder()
        _ = try FileDescriptor(path: folder.file("app.db"), flags: 0o101)
        try Shell.run("ln", folder.file("app.db"), folder.file("backup.db"))
        try Shell.run("ln", "-s", folder.file("app.db"), folder.file("link.db"))
        let real = LayoutRules.findings(
            try Layout.look(folder.file("app.db")),
            population: .counted(0)
        )
        #expect(real.first { $0.code == .hardLinks }?.verdict == .warn)
        let layout = try Layout.look(folder.file("link.db"))
        #expect(layout.path.hasSuffix("/app.db"))
        let linked = LayoutRules.findings(layout, population: .counted(0))
        #expect(linked.first { $0.code == .symbolicLink }?.verdict == .ok)
    }

    @Test func `dangling links, FIFOs, folders and devices are named`() throws {
        let folder = TemporaryFolder()
        try Shell.run("ln", "-s", folder.file("nothing.db"), folder.file("dangling.db"))
        let dangling = LayoutRules.findings(
            try Layout.look(folder.file("dangling.db")),
            population: .counted(0)
        )
        #expect(dangling.first { $0.code == .missingDatabase }?.verdict == .warn)
        let missing = LayoutRules.findings(
            try Layout.look(folder.file("new.db")),
            population: .counted(0)
        )
        #expect(missing.first { $0.code == .missingDatabase }?.verdict == .ok)
        try Shell.run("mkfifo", folder.file("fifo.db"))
        for (path, word) in [
            (folder.file("fifo.db"), "FIFO"), ("/dev/null", "device"), (folder.path, "folder"),
            (folder.file("none/app.db"), "does not exist"),
        ] {
            let error = #expect(throws: HazardsError.self) { try Layout.look(path) }
            #expect(error?.code == .unusablePath)
            #expect(error?.message.contains(word) == true)
        }
        try Shell.run("ln", "-s", "loop.db", folder.file("loop.db"))
        #expect(throws: (any Error).self) { try Layout.look(folder.file("loop.db")) }
    }
}

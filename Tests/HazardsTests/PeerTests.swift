import Glibc
import Platform
import TestSupport
import Testing

@testable import Hazards

@Suite struct PeerTests {
    private func note(_ id: String, boot: String = "boot-1", device: UInt64 = 1) -> PeerNote {
        var host = HostFacts()
        host.bootID = boot
        host.hostName = "host-\(id)"
        var note = PeerNote(id: id, host: host, device: device, inode: 42, mount: nil)
        note.interval = 5
        note.process = Int32(id.utf8.first ?? 0)
        return note
    }

    private func time(_ seconds: Int64) -> MonotonicTime {
        MonotonicTime(nanoseconds: seconds * Nanoseconds.second)
    }

    @Test func `a note reads back as it was written`() throws {
        var note = note("a")
        note.beat = 7
        note.host = "two\nlines=x"
        note.extra = ["phase": "3", "partner": "b"]
        let read = try #require(PeerNote(text: note.text))
        #expect(read.beat == 7)
        #expect(read.host == "two lines=x")
        #expect(read.extra == note.extra)
        #expect(read.bootID == "boot-1")
    }

    @Test(arguments: [
        "", "x", "highwater-peer=2\nid=a", "highwater-peer=1\nid=a\nbeat=-1", "\0\0=",
    ])
    func `what is no note is none`(_ text: String) { #expect(PeerNote(text: text) == nil) }

    @Test func `only a counter that moves is life`() {
        var observer = PeerObserver()
        var peer = note("a")
        observer.observe([peer], at: time(0))
        #expect(observer.living(at: time(0)).isEmpty)
        #expect(observer.undecided(at: time(7)).count == 1)
        // A heartbeat that a dead process left.
        observer.observe([peer], at: time(8))
        #expect(observer.undecided(at: time(8)).isEmpty)
        #expect(observer.living(at: time(8)).isEmpty)
        peer.beat += 1
        observer.observe([peer], at: time(9))
        #expect(observer.living(at: time(9)).count == 1)
        // Silent for three beats.
        observer.observe([peer], at: time(30))
        #expect(observer.living(at: time(30)).isEmpty)
        observer.observe([peer], at: time(200))
        #expect(observer.forgotten(at: time(200)).count == 1)
        // A counter that goes back, as after a restart under the same name, is life, too.
        peer.beat = 0
        observer.observe([peer], at: time(201))
        #expect(observer.living(at: time(201)).count == 1)
    }

    @Test func `an interval of a hostile note is bounded`() {
        var observer = PeerObserver()
        var peer = note("a")
        peer.interval = .max
        observer.observe([peer], at: time(0))
        #expect(observer.undecided(at: time(91)).isEmpty)
    }

    @Test func `peers mean what the catalogue says`() {
        let own = note("a")
        func verdict(_ peer: PeerNote) -> Finding? {
            PeerRules.findings(own, living: [peer]).first
        }
        #expect(verdict(note("b", boot: "boot-2"))?.code == .otherKernel)
        #expect(verdict(note("b", boot: "boot-2"))?.verdict == .fatal)
        #expect(verdict(note("b", device: 2))?.code == .otherSuperblock)
        #expect(verdict(note("b", device: 2))?.verdict == .fatal)
        #expect(verdict(note("b"))?.verdict == .warn)
        var replaced = note("b")
        replaced.inode = 43
        #expect(verdict(replaced)?.verdict == .high)
        // Where the kernel has no boot id nothing is concluded from it.
        #expect(verdict(note("b", boot: ""))?.verdict == .warn)
    }

    @Test func `a folder holds one file a peer, and strangers' files are left out`() throws {
        let temporary = TemporaryFolder()
        let folder = PeerFolder(path: temporary.path)
        try folder.write(note("a"))
        try folder.write(note("b"))
        try folder.write(note("b"))
        for (name, text) in [("c.peer", "garbage"), ("d.peer", note("e").text), ("f", "x")] {
            let file = try FileDescriptor(path: temporary.file(name), flags: O_WRONLY | O_CREAT)
            try file.write(Array(text.utf8), at: 0)
        }
        #expect(folder.others(than: "a").map(\.id) == ["b"])
        folder.remove("b")
        #expect(folder.others(than: "a").isEmpty)
    }
}

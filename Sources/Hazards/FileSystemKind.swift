/// What a file system is good for, as the home of a WAL database.
package struct FileSystemKind: Sendable, Hashable {
    /// Families that share their hazards.
    package enum Family: String, Sendable, Hashable {
        /// A disk of this kernel.
        case local
        /// Memory of this kernel.
        case memory
        /// A container's layer.
        case overlay
        /// NFS, SMB and their kin: other machines may have it mounted.
        case network
        /// Cluster file systems.
        case cluster
        /// A folder of the host, seen in a virtual machine.
        case hostShare = "host-share"
        /// gVisor's own 9p: one sandbox is one kernel.
        case gvisor
        /// A program serves it.
        case fuse
        case unknown
    }

    /// The type's name, as users know it.
    package let name: String
    /// Its family.
    package let family: Family

    /// True when one kernel shares pages and locks on it, and no other kernel can be there.
    package var isCoherent: Bool { [.local, .memory, .overlay].contains(family) }

    init(_ name: String, _ family: Family) {
        self.name = name
        self.family = family
    }

    /// The kind by the mount's type and options, or by the magic number where there is no mount.
    package init(magic: UInt32, mount: Mount?, isGVisor: Bool = false) {
        self = Self.kind(magic: magic, mount: mount, isGVisor: isGVisor)
    }

    private static func kind(magic: UInt32, mount: Mount?, isGVisor: Bool) -> FileSystemKind {
        guard let mount else {
            return byMagic[magic] ?? FileSystemKind("0x" + String(magic, radix: 16), .unknown)
        }
        if mount.type == "9p" || mount.type == "gofer" { return plan9(mount, isGVisor: isGVisor) }
        let family: Family =
            if let known = byName[mount.type] {
                known
            } else if mount.type.hasPrefix("fuse") || magic == fuseMagic {
                .fuse
            } else {
                byMagic[magic]?.family ?? .unknown
            }
        // Docker Desktop says where a folder of the host comes from.
        let isShare = ["/host_mark/", "/host_mnt/"].contains {
            (mount.source + "/").contains($0) || (mount.root + "/").contains($0)
        }
        let isLocal = [.local, .memory, .overlay].contains(family)
        return FileSystemKind(mount.type, isShare && !isLocal ? .hostShare : family)
    }

    private static func plan9(_ mount: Mount, isGVisor: Bool) -> FileSystemKind {
        if isGVisor || mount.type == "gofer" || mount.value("rfdno") != nil {
            return FileSystemKind("9p (gVisor)", .gvisor)
        }
        if mount.value("aname")?.hasPrefix("drvfs") == true {
            return FileSystemKind("9p (WSL, a Windows drive)", .hostShare)
        }
        return FileSystemKind("9p", .hostShare)
    }

    static let fuseMagic: UInt32 = 0x6573_5546

    private static let byName: [String: Family] = {
        var table: [String: Family] = [:]
        func add(_ family: Family, _ names: String) {
            for name in names.split(separator: " ") { table[String(name)] = family }
        }
        add(.local, "ext2 ext3 ext4 xfs btrfs f2fs bcachefs zfs jfs reiserfs nilfs2 ntfs3 exfat")
        add(.local, "vfat msdos hfsplus ubifs squashfs erofs iso9660 udf ecryptfs")
        add(.memory, "tmpfs ramfs devtmpfs rootfs")
        add(.overlay, "overlay aufs")
        add(.network, "nfs nfs4 cifs smb3 smbfs ncpfs afs kafs coda fuse.sshfs fuse.s3fs")
        add(.network, "fuse.gcsfuse fuse.mountpoint-s3 fuse.rclone fuse.juicefs fuse.blobfuse")
        add(.network, "fuse.blobfuse2 fuse.davfs davfs fuse.goofys")
        add(.cluster, "ceph lustre gpfs beegfs ocfs2 gfs2 panfs glusterfs fuse.glusterfs")
        add(.cluster, "fuse.ceph-fuse fuse.ceph orangefs")
        add(.hostShare, "virtiofs grpcfuse fuse.grpcfuse osxfs fuse.osxfs fakeowner vboxsf prl_fs")
        add(.hostShare, "vmhgfs fuse.vmhgfs-fuse drvfs lxfs wslfs hostfs")
        return table
    }()

    /// linux/magic.h, and coreutils' list for what is not in it.
    private static let byMagic: [UInt32: FileSystemKind] = [
        0xEF53: .init("ext4", .local), 0x5846_5342: .init("xfs", .local),
        0x9123_683E: .init("btrfs", .local), 0xF2F5_2010: .init("f2fs", .local),
        0x2FC1_2FC1: .init("zfs", .local), 0xCA45_1A4E: .init("bcachefs", .local),
        0xF15F: .init("ecryptfs", .local), 0x7371_7368: .init("squashfs", .local),
        0xE0F5_E1E2: .init("erofs", .local), 0x0102_1994: .init("tmpfs", .memory),
        0x8584_58F6: .init("ramfs", .memory), 0x794C_7630: .init("overlay", .overlay),
        0x6175_6673: .init("aufs", .overlay), fuseMagic: .init("fuse", .fuse),
        0x0102_1997: .init("9p", .hostShare), 0x6969: .init("nfs", .network),
        0x517B: .init("smb", .network), 0xFF53_4D42: .init("cifs", .network),
        0xFE53_4D42: .init("smb3", .network), 0x5346_414F: .init("afs", .network),
        0x6B41_4653: .init("kafs", .network), 0x7375_7245: .init("coda", .network),
        0x00C3_6400: .init("ceph", .cluster), 0x7461_636F: .init("ocfs2", .cluster),
        0x0116_1970: .init("gfs2", .cluster), 0x0BD0_0BD0: .init("lustre", .cluster),
        0x4750_4653: .init("gpfs", .cluster), 0x1983_0326: .init("beegfs", .cluster),
        0xAAD7_AAEA: .init("panfs", .cluster), 0x786F_4256: .init("vboxsf", .hostShare),
        0x7C7C_6673: .init("prl_fs", .hostShare), 0xBACB_ACBC: .init("vmhgfs", .hostShare),
        0x5346_4846: .init("wslfs", .hostShare), 0x00C0_FFEE: .init("hostfs", .hostShare),
    ]
}

enum PlatformStub {}

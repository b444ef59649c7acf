enum PageHashingStub {}

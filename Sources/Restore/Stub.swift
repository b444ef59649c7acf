enum RestoreStub {}

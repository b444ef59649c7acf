enum ObjectStorageStub {}

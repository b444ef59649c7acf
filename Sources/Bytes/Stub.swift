enum BytesStub {}

enum ZstandardStub {}

enum WALFormatStub {}

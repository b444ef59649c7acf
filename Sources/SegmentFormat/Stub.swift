enum SegmentFormatStub {}

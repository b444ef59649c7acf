enum SQLiteAccessStub {}

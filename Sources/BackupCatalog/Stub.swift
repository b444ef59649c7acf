enum BackupCatalogStub {}

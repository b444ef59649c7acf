enum AgentCLIStub {}

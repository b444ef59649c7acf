import AgentCLI

await Highwater.run()

// Scenario tests start real servers and tools; on a loaded machine that takes its time.
jest.setTimeout(180_000);

// Many tests run real servers and tools, and CI may share its two cores; a time-out is there to end what hangs.
jest.setTimeout(180_000);

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import type { DiscoveryServer } from "./discovery-server.ts";
import { createPlaintextServer } from "./grpc-servers.ts";

test("a connection announces its limit of 100 concurrent streams", async () => {
  const server = createPlaintextServer({ discovery: {} as DiscoveryServer, clock: systemClock, log: silentLogger });
  const port = await server.listen("127.0.0.1", 0);
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    await once(session, "remoteSettings");
    assert.equal(session.remoteSettings.maxConcurrentStreams, 100);
  } finally {
    session.destroy();
    await server.stop(0);
  }
});

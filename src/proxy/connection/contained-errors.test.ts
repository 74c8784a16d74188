import assert from "node:assert/strict";
import { Agent } from "node:http";
import { test } from "node:test";
import { containErrors } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { connectTo, Http2Backend, sendRequest } from "../testing/http2-peers.ts";

// Each test makes a part of the proxy throw for some requests. Only these may fail.

/** A table whose routes throw for requests to `/fault`. */
const faultyTable = tableOf(
  route(forwardTo("app"), {
    matches: ({ path }) => {
      if (path === "/fault") throw new TypeError("a fault of a route");
      return true;
    },
  }),
);

test("HTTP/1: a request whose route throws gets a 500, and the proxy serves the next one", async () => {
  const reported: unknown[] = [];
  using _ = containErrors((error) => void reported.push(error));
  await using harness = await Harness.start({}, 1);
  const { port } = await harness.backend((_request, response) => response.end("fine"));
  harness.cluster("app", [port]);
  harness.table = faultyTable;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (const [path, status] of [
      ["/", 200],
      ["/fault", 500],
      ["/", 200],
    ] as const)
      assert.equal((await harness.get(path, { agent })).status, status);
  } finally {
    agent.destroy();
  }
  assert.deepEqual(
    harness.records.map(({ status, details }) => [status, details]),
    [
      [200, "via_upstream"],
      [500, "serin_internal_error"],
      [200, "via_upstream"],
    ],
  );
  assert.deepEqual(reported.map(String), ["TypeError: a fault of a route"]);
});

test("HTTP/2: a request whose route throws gets a 500, while another stream of the connection is open", async () => {
  using _ = containErrors(() => undefined);
  await using harness = await Harness.start({}, 1);
  const answer = Promise.withResolvers<undefined>();
  await using backend = await Http2Backend.start((stream) => {
    void answer.promise.then(() => {
      stream.respond({ ":status": 200 });
      stream.end("fine");
    });
  });
  harness.cluster("app", [backend.port], { upstreamProtocol: "http2" });
  harness.table = faultyTable;
  const session = await connectTo(harness.port);
  const open = sendRequest(session, { ":path": "/" });
  assert.equal((await sendRequest(session, { ":path": "/fault" })).headers[":status"], 500);
  answer.resolve(undefined);
  assert.equal((await open).body.toString(), "fine");
  session.close();
});

test("a response that cannot be sent ends only its exchange, and others on the upstream connection continue", async () => {
  using _ = containErrors(() => undefined);
  const peer = { readFromClient: true, writeToClient: true, labelNames: [] };
  await using harness = await Harness.start(
    { peerMetadata: { ...peer, readFromUpstream: false, writeToUpstream: false, inMeshOnly: false } },
    1,
    {
      ownMetadata: () => {
        throw new TypeError("a fault of the metadata");
      },
    },
  );
  const answer = Promise.withResolvers<undefined>();
  await using backend = await Http2Backend.start((stream, { ":path": path }) => {
    const respond = (): void => {
      stream.respond({ ":status": 200 });
      stream.end("fine");
    };
    if (path === "/open") void answer.promise.then(respond);
    else respond();
  });
  harness.cluster("app", [backend.port], { upstreamProtocol: "http2" });
  harness.table = faultyTable;
  const open = harness.get("/open");
  await until(() => backend.sessions.size === 1);
  await assert.rejects(harness.get("/", { headers: { "x-envoy-peer-metadata": "" } }));
  answer.resolve(undefined);
  assert.equal((await open).body, "fine");
  assert.equal(backend.connections, 1);
});

test("an exchange whose report throws ends its client's connection, and the listener forgets it", async () => {
  using _ = containErrors(() => undefined);
  await using harness = await Harness.start({}, 1, {
    observe: () => {
      throw new TypeError("a fault of the observer");
    },
  });
  const { port } = await harness.backend((_request, response) => response.end("fine"));
  harness.cluster("app", [port]);
  harness.table = faultyTable;
  await harness.get("/").catch(() => undefined);
  await until(() => harness.listener.connections === 0);
});

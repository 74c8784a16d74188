import assert from "node:assert/strict";
import { Agent } from "node:http";
import { test } from "node:test";
import { forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";
import { sendRequest, connectTo } from "../testing/http2-peers.ts";
import { encodePeerMetadata } from "../peers/peer-metadata.ts";

const own = (name: string) => ({
  id: name,
  value: encodePeerMetadata({
    workload: name,
    namespace: "a",
    canonicalName: name,
    canonicalRevision: "v1",
    cluster: "Kubernetes",
  }),
});
const server = {
  readFromClient: true,
  writeToClient: true,
  readFromUpstream: false,
  writeToUpstream: false,
  inMeshOnly: false,
  labelNames: [],
};
const client = {
  readFromClient: false,
  writeToClient: false,
  readFromUpstream: true,
  writeToUpstream: true,
  inMeshOnly: false,
  labelNames: [],
};

test("a peer proxy retries a request elsewhere if the other proxy could not reach its application, and other clients see no sign of this", async () => {
  await using gone = await Harness.start({ peerMetadata: server }, 1, { ownMetadata: () => own("gone") });
  const closed = await gone.backend(() => undefined);
  closed.server.close();
  gone.cluster("app", [closed.port]);
  gone.table = tableOf(route(forwardTo("app")));
  const plain = await gone.get("/");
  assert.deepEqual([plain.status, plain.headers["x-envoy-unreached"]], [503, undefined]);
  const toPeer = await gone.get("/", { headers: { "x-envoy-peer-metadata": own("client").value } });
  assert.deepEqual([toPeer.status, toPeer.headers["x-envoy-unreached"]], [503, "true"]);

  await using here = await Harness.start({ peerMetadata: client }, 1, { ownMetadata: () => own("client") });
  const { port } = await here.backend((_request, response) => response.end("served"));
  here.cluster("service", [gone.port, port]);
  here.table = tableOf(route(forwardTo("service", { retry: retryPolicy({ on: { connectFailure: true } }) })));
  const answers = await Promise.all(Array.from({ length: 8 }, () => here.get("/")));
  assert.deepEqual(
    answers.map(({ status, body }) => `${status} ${body}`),
    answers.map(() => "200 served"),
  );
  here.cluster("service", [gone.port]);
  here.table = tableOf(route(forwardTo("service")));
  const last = await here.get("/");
  assert.deepEqual([last.status, last.headers["x-envoy-unreached"]], [503, undefined]);
});

test("a request whose body still arrives, and a gRPC request, go elsewhere too if the other proxy could not reach its application", async () => {
  await using gone = await Harness.start({ peerMetadata: server }, 1, { ownMetadata: () => own("gone") });
  const closed = await gone.backend(() => undefined);
  closed.server.close();
  gone.cluster("app", [closed.port]);
  gone.table = tableOf(route(forwardTo("app")));
  await using here = await Harness.start({ peerMetadata: client }, 1, { ownMetadata: () => own("client") });
  let arrived = (): void => undefined;
  const { port } = await here.backend((request, response) => {
    arrived();
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => response.end(`served ${body}`));
  });
  here.table = tableOf(route(forwardTo("service", { retry: retryPolicy({ on: { connectFailure: true } }) })));
  here.cluster("service", [gone.port, port]);
  for (let index = 0; index < 2; index += 1) {
    const raw = here.client();
    const whenArrived = new Promise<void>((resolve) => (arrived = resolve));
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    await Promise.race([whenArrived, raw.until(/^HTTP/)]);
    raw.send("def");
    assert.match(await raw.until(/served|HTTP\/1.1 5/), /200 OK[^]*served abcdef$/);
  }
  const tried = gone.records.length;
  assert.ok(tried > 0);

  const session = await connectTo(here.port);
  for (let index = 0; index < 2; index += 1) {
    const answer = await sendRequest(
      session,
      { ":method": "POST", ":path": "/a.B/C", "content-type": "application/grpc" },
      "12345",
    );
    assert.deepEqual([answer.headers["grpc-status"], answer.body.toString()], [undefined, "served 12345"]);
  }
  assert.ok(gone.records.length > tried);
  session.close();
});

test("a proxy whose application has ended closes the client's connection after the answer, so that the next connection may lead elsewhere", async () => {
  await using gone = await Harness.start({ peerMetadata: server }, 1, { ownMetadata: () => own("gone") });
  const closed = await gone.backend(() => undefined);
  closed.server.close();
  gone.cluster("app", [closed.port]);
  gone.table = tableOf(route(forwardTo("app")));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const answer = await gone.get("/", { agent });
  assert.deepEqual([answer.status, answer.headers["connection"]], [503, "close"]);
  const session = await connectTo(gone.port);
  const leaving = new Promise<number>((resolve) => session.once("goaway", resolve));
  assert.equal((await sendRequest(session, { ":path": "/" })).headers[":status"], 503);
  assert.equal(await leaving, 0, "no error: what is under way may end");
  await new Promise<void>((resolve) => session.once("close", () => resolve()));

  const { port } = await gone.backend((_request, response) => response.writeHead(503).end("its own"));
  gone.cluster("app", [port]);
  gone.table = tableOf(route(forwardTo("app")));
  const served = await gone.get("/", { agent });
  assert.deepEqual([served.body, served.headers["connection"]], ["its own", undefined]);

  await using outbound = await Harness.start({ peerMetadata: client }, 1, { ownMetadata: () => own("client") });
  outbound.cluster("service", [closed.port]);
  outbound.table = tableOf(route(forwardTo("service")));
  const own503 = await outbound.get("/", { agent });
  assert.deepEqual(
    [own503.status, own503.headers["connection"]],
    [503, undefined],
    "an application keeps the connection to its own proxy",
  );
  agent.destroy();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";
import { encodePeerMetadata } from "./peer-metadata.ts";

const own = (name: string) => ({ id: name, value: encodePeerMetadata({ workload: name, namespace: "a", canonicalName: name, canonicalRevision: "v1", cluster: "Kubernetes" }) });
const server = { readFromClient: true, writeToClient: true, readFromUpstream: false, writeToUpstream: false, inMeshOnly: false };
const client = { readFromClient: false, writeToClient: false, readFromUpstream: true, writeToUpstream: true, inMeshOnly: false };

test("a request that a proxy could not hand to its application is asked of another endpoint by a peer proxy, and others are told nothing of it", async () => {
  await using gone = await Harness.start({ peerMetadata: server }, 1, { ownMetadata: own("gone") });
  const closed = await gone.backend(() => undefined);
  closed.server.close();
  gone.cluster("app", [closed.port]);
  gone.table = tableOf(route(forwardTo("app")));
  const plain = await gone.get("/");
  assert.deepEqual([plain.status, plain.headers["x-envoy-unreached"]], [503, undefined]);
  const toPeer = await gone.get("/", { headers: { "x-envoy-peer-metadata": own("client").value } });
  assert.deepEqual([toPeer.status, toPeer.headers["x-envoy-unreached"]], [503, "true"]);

  await using here = await Harness.start({ peerMetadata: client }, 1, { ownMetadata: own("client") });
  const { port } = await here.backend((_request, response) => response.end("served"));
  here.cluster("service", [gone.port, port]);
  here.table = tableOf(route(forwardTo("service", { retry: retryPolicy({ on: { connectFailure: true } }) })));
  const answers = await Promise.all(Array.from({ length: 8 }, () => here.get("/")));
  assert.deepEqual(answers.map(({ status, body }) => `${status} ${body}`), answers.map(() => "200 served"));
  here.cluster("service", [gone.port]);
  here.table = tableOf(route(forwardTo("service")));
  const last = await here.get("/");
  assert.deepEqual([last.status, last.headers["x-envoy-unreached"]], [503, undefined]);
});

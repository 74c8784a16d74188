import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { silentLogger, systemClock } from "../base/index.ts";
import { serveReadOnlyRelay } from "./read-only-relay.ts";

const seen: string[] = [];
const upstream = createServer((request, response) => {
  seen.push(`${request.method ?? ""} ${request.url ?? ""} ${request.headers.authorization ?? ""}`);
  response.writeHead(200, { "content-type": "application/json" });
  response.end('{"kind":"PodList"}');
});
await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
const server = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/prefix`;
const relay = await serveReadOnlyRelay(
  { server, context: "test", namespace: "default", token: { type: "literal", token: "secret" } },
  { clock: systemClock, log: silentLogger, hidden: ["envoyfilters"] },
);
after(() => {
  relay.close();
  upstream.close();
});
const config = JSON.parse(relay.kubeconfig) as { clusters: [{ cluster: { server: string } }]; users: [{ user: { token: string } }] };
const url = config.clusters[0].cluster.server;
const headers = { authorization: `Bearer ${config.users[0].user.token}` };

test("reads are passed on with the caller's own credentials, and its callers never hold them", async () => {
  const answer = await fetch(`${url}/api/v1/pods?limit=500`, { headers });
  assert.deepEqual([answer.status, await answer.text()], [200, '{"kind":"PodList"}']);
  assert.equal(seen.at(-1), "GET /prefix/api/v1/pods?limit=500 Bearer secret");
  assert.ok(!relay.kubeconfig.includes("secret"));
});

test("writes, and reads that do something in a pod, are refused and named", async () => {
  const count = seen.length;
  const asks = [
    ["POST", "/api/v1/namespaces/a/secrets"],
    ["PATCH", "/apis/apps/v1/namespaces/a/deployments/b"],
    ["DELETE", "/api/v1/namespaces/a"],
    ["GET", "/api/v1/namespaces/a/pods/b/exec"],
    ["GET", "/api/v1/namespaces/a/pods/b:80/proxy/quitquitquit"],
  ] as const;
  for (const [method, path] of asks) assert.equal((await fetch(`${url}${path}`, { method, headers })).status, 403, path);
  assert.equal(seen.length, count);
  assert.deepEqual(relay.refused, asks.map(([method, path]) => `${method} ${path}`));
  // A question whose answer is stored nowhere.
  assert.equal((await fetch(`${url}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews`, { method: "POST", headers, body: "{}" })).status, 200);
});

test("who does not hold its token gets nothing", async () => {
  assert.equal((await fetch(`${url}/api/v1/secrets`)).status, 401);
});

test("of a hidden resource there are none, and never will be", async () => {
  const path = `${url}/apis/networking.istio.io/v1alpha3/envoyfilters`;
  const list = (await (await fetch(path, { headers })).json()) as { items: unknown[] };
  assert.deepEqual(list.items, []);
  const ended = new AbortController();
  const watch = await fetch(`${path}?watch=true&resourceVersion=1`, { headers, signal: ended.signal });
  assert.equal(watch.status, 200);
  ended.abort();
});

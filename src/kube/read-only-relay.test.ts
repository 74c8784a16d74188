import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as sendRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import type { UntypedObject } from "../api/index.ts";
import { silentLogger, systemClock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { serveReadOnlyRelay } from "./read-only-relay.ts";
import type { OverlaidObject } from "./relayed-watches.ts";

const requests: string[] = [];
const upstream = createServer((request, response) => {
  requests.push(`${request.method ?? ""} ${request.url ?? ""} ${request.headers.authorization ?? ""}`);
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
const config = JSON.parse(relay.kubeconfig) as {
  clusters: [{ cluster: { server: string } }];
  users: [{ user: { token: string } }];
};
const url = config.clusters[0].cluster.server;
const headers = { authorization: `Bearer ${config.users[0].user.token}` };

test("reads are relayed with the caller's credentials, which the relay's users never get", async () => {
  const answer = await fetch(`${url}/api/v1/pods?limit=500`, { headers });
  assert.deepEqual([answer.status, await answer.text()], [200, '{"kind":"PodList"}']);
  assert.equal(requests.at(-1), "GET /prefix/api/v1/pods?limit=500 Bearer secret");
  assert.ok(!relay.kubeconfig.includes("secret"));
});

test("writes, and reads with side effects in a pod, are rejected, and the error names them", async () => {
  const count = requests.length;
  const refused = [
    ["POST", "/api/v1/namespaces/a/secrets"],
    ["PATCH", "/apis/apps/v1/namespaces/a/deployments/b"],
    ["DELETE", "/api/v1/namespaces/a"],
    ["GET", "/api/v1/namespaces/a/pods/b/exec"],
    ["GET", "/api/v1/namespaces/a/pods/b:80/proxy/quitquitquit"],
  ] as const;
  for (const [method, path] of refused)
    assert.equal((await fetch(`${url}${path}`, { method, headers })).status, 403, path);
  assert.equal(requests.length, count);
  assert.deepEqual(
    relay.refused,
    refused.map(([method, path]) => `${method} ${path}`),
  );
  // The relay passes a review on, because the server does not store it.
  assert.equal(
    (
      await fetch(`${url}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews`, {
        method: "POST",
        headers,
        body: "{}",
      })
    ).status,
    200,
  );
});

test("a path in another spelling reaches neither a pod nor a hidden resource", async () => {
  const count = requests.length;
  const statusOf = async (path: string): Promise<number> => {
    const { hostname, port } = new URL(url);
    // Use `node:http`, because fetch would normalise the path.
    const outgoing = sendRequest({ hostname, port, path, headers, agent: false }).end();
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    answer.resume();
    return answer.statusCode ?? 0;
  };
  const pod = "/api/v1/namespaces/a/pods";
  for (const path of [`${pod}/b/pr%6fxy/quitquitquit`, `${pod}//b/proxy/x`, `/api/v1/namespaces/a/p%6Fds/b/exec`])
    assert.equal(await statusOf(path), 403, path);
  for (const path of [`${pod}/../pods/b/proxy/x`, "/../other", `${pod}/%2e%2e/x`, "/api/%zz"])
    assert.equal(await statusOf(path), 400, path);
  assert.equal(await statusOf("/apis/networking.istio.io/v1/envoyf%69lters"), 200);
  assert.equal(requests.length, count);
  assert.equal(await statusOf("/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode"), 200);
  assert.match(requests.at(-1) ?? "", /^GET \/prefix\/apis\/.*\/system%3Anode /);
});

test("a request without the relay's token is refused", async () => {
  assert.equal((await fetch(`${url}/api/v1/secrets`)).status, 401);
});

test("a hidden resource is always empty", async () => {
  const path = `${url}/apis/networking.istio.io/v1alpha3/envoyfilters`;
  const list = (await (await fetch(path, { headers })).json()) as { items: unknown[] };
  assert.deepEqual(list.items, []);
  const ended = new AbortController();
  const watch = await fetch(`${path}?watch=true&resourceVersion=1`, { headers, signal: ended.signal });
  assert.equal(watch.status, 200);
  ended.abort();
  const named = await fetch(`${url}/apis/networking.istio.io/v1alpha3/namespaces/a/envoyfilters/one`, { headers });
  assert.deepEqual([named.status, ((await named.json()) as { reason: string }).reason], [404, "NotFound"]);
  const others = await fetch(`${url}/api/v1/namespaces/envoyfilters/pods`, { headers });
  assert.equal(await others.text(), '{"kind":"PodList"}', "a namespace may have the name of a hidden resource");
});

test("the body of a review has a limit, with and without a length", async () => {
  const count = requests.length;
  const path = `${url}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews`;
  const body = Buffer.alloc((1 << 20) + 1, " ");
  assert.equal((await fetch(path, { method: "POST", headers, body })).status, 413);
  const chunked = sendRequest(path, { method: "POST", headers: { ...headers, "transfer-encoding": "chunked" } });
  const outcome = new Promise<string>((resolve) => {
    chunked.on("response", (answer) => resolve(String(answer.statusCode)));
    chunked.on("error", () => resolve("closed"));
  });
  chunked.end(body);
  assert.match(await outcome, /^(?:413|closed)$/);
  assert.equal(requests.length, count);
});

interface RelayedEvent {
  readonly type: string;
  readonly object: {
    readonly metadata: { readonly name?: string; readonly resourceVersion: string };
    readonly spec?: { readonly owner: string };
  };
}

/** An API server with one kind, whose watch events the test sends. */
async function serveRoutes(): Promise<{
  readonly server: string;
  tell(...lines: readonly object[]): void;
  readonly routes: Map<string, object>;
  close(): void;
}> {
  const watches = new Set<ServerResponse>();
  const routes = new Map<string, object>();
  const routesServer = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://server");
    const name = pathname.split("/").at(-1) ?? "";
    if (searchParams.get("watch") === "true") {
      response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
      watches.add(response);
      return;
    }
    const known = routes.get(name);
    response.writeHead(known === undefined && name !== "virtualservices" ? 404 : 200, {
      "content-type": "application/json",
    });
    response.end(JSON.stringify(known ?? { metadata: { resourceVersion: "7" }, items: [...routes.values()] }));
  });
  await new Promise<void>((resolve) => routesServer.listen(0, "127.0.0.1", resolve));
  return {
    server: `http://127.0.0.1:${(routesServer.address() as AddressInfo).port}`,
    routes,
    // Send each line in pieces, because a line may arrive in several chunks.
    tell: (...lines) => {
      const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
      for (const watch of watches) {
        watch.write(text.slice(0, 9));
        setImmediate(() => watch.write(text.slice(9)));
      }
    },
    close: () => {
      routesServer.closeAllConnections();
      routesServer.close();
    },
  };
}

test("a watcher sees replacement objects, not the server's objects meanwhile, and then the server's current ones", async () => {
  const routes = await serveRoutes();
  const between = await serveReadOnlyRelay(
    { server: routes.server, context: "test", namespace: "default" },
    { clock: systemClock, log: silentLogger },
  );
  const relayed = JSON.parse(between.kubeconfig) as typeof config;
  const ended = new AbortController();
  const kind = {
    group: "networking.istio.io",
    versions: ["v1"],
    kind: "VirtualService",
    plural: "virtualservices",
  } as unknown as OverlaidObject["kind"];
  const route = (name: string, resourceVersion: string, owner: string): UntypedObject & { spec: object } => ({
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name, namespace: "shop", uid: name, resourceVersion },
    spec: { owner },
  });
  const events: RelayedEvent[] = [];
  try {
    await assert.rejects(between.overlay([{ kind, object: route("a", "1", "ours") }]), { code: "not-watched" });
    await between.overlay([]).catch(() => undefined);
    const watch = await fetch(
      `${relayed.clusters[0].cluster.server}/apis/networking.istio.io/v1/virtualservices?watch=true&resourceVersion=7`,
      { headers: { authorization: `Bearer ${relayed.users[0].user.token}` }, signal: ended.signal },
    );
    const reading = (async () => {
      let rest = "";
      for await (const chunk of watch.body ?? []) {
        const lines = `${rest}${Buffer.from(chunk).toString()}`.split("\n");
        rest = lines.pop() ?? "";
        events.push(...lines.map((line) => JSON.parse(line) as RelayedEvent));
      }
    })().catch(() => undefined);
    const nextEvents = async (count: number): Promise<string[]> => {
      await until(() => events.length >= count);
      return events
        .splice(0)
        .map(
          ({ type, object }) =>
            `${type} ${object.metadata.name ?? ""} ${object.spec?.owner ?? object.metadata.resourceVersion}`,
        );
    };
    routes.tell({ type: "ADDED", object: route("a", "8", "theirs") });
    routes.routes.set("a", route("a", "8", "theirs"));
    assert.deepEqual(await nextEvents(1), ["ADDED a theirs"]);
    const [a, b] = await between.overlay([
      { kind, object: route("a", "8", "ours") },
      { kind, object: route("b", "1", "ours") },
    ]);
    assert.deepEqual(
      [a?.name, b?.name, BigInt(b?.resourceVersion ?? 0) > BigInt(a?.resourceVersion ?? 0)],
      ["a", "b", true],
    );
    assert.deepEqual(await nextEvents(4), ["MODIFIED a ours", "BOOKMARK  8", "MODIFIED b ours", "BOOKMARK  8"]);
    routes.tell(
      { type: "MODIFIED", object: route("a", "9", "theirs, later") },
      { type: "ADDED", object: route("c", "10", "theirs") },
    );
    routes.routes.set("a", route("a", "9", "theirs, later"));
    assert.deepEqual(await nextEvents(2), ["BOOKMARK  9", "ADDED c theirs"]);
    const back = await between.overlay([]);
    assert.deepEqual(
      back.map(({ name }) => name),
      ["a", "b"],
    );
    assert.deepEqual((await nextEvents(4)).toSorted(), [
      "BOOKMARK  10",
      "BOOKMARK  10",
      "DELETED b ours",
      "MODIFIED a theirs, later",
    ]);
    routes.tell({ type: "MODIFIED", object: route("a", "11", "theirs, last") });
    assert.deepEqual(await nextEvents(1), ["MODIFIED a theirs, last"]);
    ended.abort();
    await reading;
  } finally {
    between.close();
    routes.close();
  }
});

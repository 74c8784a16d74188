import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import type { KubeClient } from "../../../kube/index.ts";
import { standingClock } from "../checks/testing/fake-mesh.ts";
import { answerOf, askPilot } from "../pilot-answers.ts";
import { SilentPods } from "../silent-pods.ts";
import { usualLimits } from "./debug-limits.ts";
import { PilotDebug } from "./pilot-debug.ts";
import { serveDebug } from "./testing/debug-server.ts";
import { cluster, debugOf, ownName, pilot, type Cluster } from "./testing/debug-world.ts";
import { expired, issued, issuedByIntermediate, type Material } from "./testing/pilot-certificates.ts";

test("a pilot gets a question with the token of its account over TLS, by either root that the cluster knows", async (context) => {
  const material = await issued("other", ownName);
  const { port } = await serveDebug(context, material, (name, headers) => `${name} ${headers.authorization ?? ""}`);
  const text = await debugOf(cluster({ published: material.certificate }), port).ask(pilot, "/debug/serin/a?b=c");
  assert.equal(text, "serin/a?b=c Bearer t");
  const unreadable = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const both = cluster({ published: unreadable, injector: material.certificate });
  assert.equal(await debugOf(both, port).ask(pilot, "/debug/syncz"), "syncz Bearer t");
});

test("a server gets no token unless its certificate proves the name of an istiod by a root of the control plane", async (context) => {
  const [own, workload] = [await issued(ownName), await issued("web.mesh.svc")];
  const named = await issued();
  let requestCount = 0;
  const page = (): string => String((requestCount += 1));
  const refused = async (material: Material, known: Partial<Cluster>, reason: RegExp): Promise<void> => {
    const given = cluster(known);
    const { port } = await serveDebug(context, material, page);
    await assert.rejects(debugOf(given, port).ask(pilot, "/debug/syncz"), (error: Error & { code: string }) => {
      assert.equal(error.code, "peer-identity");
      assert.match(error.message, reason);
      return true;
    });
    assert.equal(given.tokenRequests, 0);
  };
  await refused(own, { published: workload.certificate }, /does not prove .*self-signed certificate/);
  const ofName =
    /, and not for istiod-next\.mesh\.svc.* \(give its certificate the name of a Service of istiod in its namespace\)$/;
  await refused(workload, { published: workload.certificate }, ofName);
  await refused(workload, { published: workload.certificate }, /is for DNS:web\.mesh\.svc, and not for /);
  await refused(named, { published: named.certificate }, /is for no name, and not for /);
  const ofRoot =
    /\(its root must be in the ConfigMap istio-ca-root-cert of namespace mesh, or in the caBundle of its injection webhook\)$/;
  await refused(own, {}, /: no root of it is known \(/);
  await refused(own, {}, ofRoot);
  await refused(own, { published: workload.certificate }, ofRoot);
  const old = await expired(ownName);
  await refused(
    old,
    { published: old.certificate },
    /: certificate has expired \(renew the expired certificate of its chain, and compare the clocks of the two nodes\)$/,
  );
  assert.equal(requestCount, 0);
});

test("the published root may be an intermediate certificate, and may be in a ConfigMap of another name", async (context) => {
  const material = await issuedByIntermediate(ownName);
  const { port } = await serveDebug(context, material, (name) => name);
  const known = cluster({ published: material.intermediate, rootConfigMap: "mine" });
  const debug = debugOf(known, port);
  assert.equal(await debug.ask({ ...pilot, rootConfigMap: "mine" }, "/debug/syncz"), "syncz");
  await assert.rejects(debug.ask({ ...pilot, name: "other" }, "/debug/syncz"), { code: "peer-identity" });
});

test("a server without TLS gets no token", async (context) => {
  let received = "";
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      received += bytes.toString("latin1");
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
  }).listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  const known = cluster({ published: (await issued(ownName)).certificate });
  const debug = debugOf(known, (server.address() as AddressInfo).port);
  await assert.rejects(debug.ask(pilot, "/debug/syncz"), { code: "pod-unreachable" });
  assert.equal(known.tokenRequests, 0);
  assert.ok(received.length > 0 && !received.includes("Bearer"));
});

test("a reinstalled control plane is asked with a token of its new account", async (context) => {
  const material = await issued(ownName);
  const known = cluster({ published: material.certificate, token: "first" });
  let accepted = "first";
  const { port, connections } = await serveDebug(context, material, (_, { authorization }) =>
    authorization === `Bearer ${accepted}` ? "roots" : { grpcStatus: 16 },
  );
  const debug = debugOf(known, port);
  const ask = async (): Promise<unknown> => [await debug.ask(pilot, "/debug/serin/roots"), known.tokenRequests];
  assert.deepEqual(
    [await ask(), await ask()],
    [
      ["roots", 1],
      ["roots", 1],
    ],
  );
  const restart = (): void => connections.forEach((connection) => connection.destroy());
  [accepted, known.token] = ["second", "second"];
  restart();
  assert.deepEqual(
    [await ask(), await ask()],
    [
      ["roots", 2],
      ["roots", 2],
    ],
  );
  accepted = "third";
  restart();
  await assert.rejects(ask(), { code: "http-status", reason: "401" });
});

test("an unknown page has the status 404, and a refusal the pilot's own words", async (context) => {
  const material = await issued(ownName);
  const { port } = await serveDebug(context, material, (name) =>
    name === "syncz" ? "404 page not found\n" : { grpcStatus: name === "roots" ? 7 : 14 },
  );
  const debug = debugOf(cluster({ published: material.certificate }), port);
  await assert.rejects(debug.ask(pilot, "/debug/syncz"), { code: "http-status", reason: "404" });
  await assert.rejects(debug.ask(pilot, "/debug/roots"), /status 403: no entry$/);
  await assert.rejects(debug.ask(pilot, "/debug/other"), /gRPC status 14: no entry$/);
});

test("a pilot of Serin that does not serve its roots over TLS is asked for them in plain text, without a token", async (context) => {
  const material = await issued(ownName);
  const { port, asked: overTls } = await serveDebug(context, material, (name) =>
    name === "serin/proxies" ? "[]" : "404 page not found\n",
  );
  const asked: unknown[] = [];
  let isOpen = true;
  const getOpen = async (...request: unknown[]): Promise<string> => {
    asked.push(request);
    return await (isOpen ? Promise.resolve("roots") : Promise.reject(new Error("401")));
  };
  const debug = debugOf(cluster({ published: material.certificate }), port, { getOpen });
  assert.equal(await debug.ask(pilot, "/debug/serin/roots"), "roots");
  assert.deepEqual(asked, [["127.0.0.1", 8080, "/debug/serin/roots"]]);
  isOpen = false;
  const missing = { code: "http-status", reason: "404" };
  await assert.rejects(debug.ask(pilot, "/debug/serin/roots"), missing);
  await assert.rejects(debug.ask(pilot, "/debug/syncz"), missing);
  assert.equal(asked.length, 2, "other pages are asked for over TLS only");
  assert.deepEqual(overTls, ["serin/roots", "serin/proxies", "syncz"], "its release is found out once");
});

test("a pilot of upstream Istio is asked once for each of Serin's pages, and nothing in plain text decides for it", async (context) => {
  const material = await issued(ownName);
  const { port, asked } = await serveDebug(context, material, (name) =>
    name === "syncz" ? "[]" : "404 page not found\n",
  );
  const clock = standingClock();
  const getOpen = async (): Promise<string> => await Promise.reject(new assert.AssertionError({ message: "plain" }));
  const debug = debugOf(cluster({ published: material.certificate }), port, { getOpen, clock });
  const missing = { code: "http-status", reason: "404" };
  const askAll = async (): Promise<void> => {
    await assert.rejects(debug.ask(pilot, "/debug/serin/roots"), missing);
    await assert.rejects(debug.ask(pilot, "/debug/serin/proxies?gone=true"), missing);
    await assert.rejects(debug.ask(pilot, "/debug/serin/acknowledged?name=a"), missing);
    await assert.rejects(debug.ask(pilot, "/debug/serin/acknowledged?name=b"), missing);
    assert.equal(await debug.ask(pilot, "/debug/syncz"), "[]");
  };
  await askAll();
  await askAll();
  const first = ["serin/roots", "serin/proxies", "serin/acknowledged?name=a", "syncz"];
  assert.deepEqual(asked, [...first, "syncz"]);
  clock.nowAtMs += 300_000;
  await askAll();
  assert.equal(asked.length, 9, "its container may have another image now");
});

test("a page that a pilot is known to lack is no sign of life, so its silence goes on", async (context) => {
  const material = await issued(ownName);
  const { port, asked } = await serveDebug(context, material, (name) =>
    name === "syncz" ? { grpcStatus: 14 } : "404 page not found\n",
  );
  const clock = standingClock();
  const pilotDebug = debugOf(cluster({ published: material.certificate }), port, { clock });
  const view = { pilotDebug, silentPods: new SilentPods(clock) };
  const round = async (since: RegExp): Promise<void> => {
    for (const path of ["/debug/serin/proxies?gone=true", "/debug/serin/roots"])
      assert.equal(await answerOf(view, pilot, { path, about: "it" }), undefined);
    await assert.rejects(askPilot(view, pilot, { path: "/debug/syncz", about: "it" }), since);
  };
  await round(/ since 2023-11-14T22:13:20Z: /);
  clock.nowAtMs += 20_000;
  await round(/ since 2023-11-14T22:13:20Z: /);
  const known = asked.filter((name) => name !== "syncz");
  assert.deepEqual(known, ["serin/proxies?gone=true", "serin/roots"]);
  clock.nowAtMs += 280_000;
  await round(/ since 2023-11-14T22:18:20Z: /);
});

test("if the API server refuses the token, the error contains that reason and the server's message", async (context) => {
  const material = await issued(ownName);
  const { port } = await serveDebug(context, material, () => "");
  const debug = debugOf(cluster({ published: material.certificate, token: undefined }), port);
  await assert.rejects(debug.ask(pilot, "/debug/syncz"), {
    code: "token-refused",
    message: "create of a token of service account mesh/istiod-next: you may not create tokens",
    hint: "kubectl auth can-i create serviceaccounts --subresource=token -n mesh --as system:serviceaccount:serin-system:serin-rollout",
  });
});

test("questions share a connection, long answers pass whole, and another connection follows a change of the roots", async (context) => {
  const material = await issued(ownName);
  const known = cluster({ published: material.certificate });
  const long = "x".repeat(20 << 20);
  const { port, connections } = await serveDebug(context, material, (name) => (name === "long" ? long : "short"));
  const clock = standingClock();
  const client = {
    get: async () => await Promise.resolve({ metadata: {}, data: { "root-cert.pem": known.published } }),
    raw: async () => await Promise.resolve({ status: 201, text: JSON.stringify({ status: { token: "t" } }) }),
  } as unknown as KubeClient;
  const limits = { ...usualLimits, patienceMs: 60_000 };
  const debug = new PilotDebug(client, { clock, port, limits, injectors: () => [] });
  const pages = ["long", "short", "short"].map(async (page) => await debug.ask(pilot, `/debug/${page}`));
  assert.deepEqual(
    (await Promise.all(pages)).map(({ length }) => length),
    [20 << 20, 5, 5],
  );
  await debug.ask(pilot, "/debug/short");
  assert.equal(connections.size, 1);
  known.published = (await issued("another root", ownName)).certificate;
  clock.nowAtMs += 10_000;
  await assert.rejects(debug.ask(pilot, "/debug/short"), { code: "peer-identity" });
  known.published += material.certificate;
  assert.equal(await debug.ask(pilot, "/debug/short"), "short");
  assert.equal(connections.size, 2);
});

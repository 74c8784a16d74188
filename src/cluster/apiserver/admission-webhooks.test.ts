import assert from "node:assert/strict";
import { createServer as createHttpsServer } from "node:https";
import { after, before, test } from "node:test";
import { listenOnLoopback } from "../../../test/support/listen-on-loopback.ts";
import { createAuthority, issueCertificate } from "./certificate.ts";
import { ServerHarness, type Json } from "./testing/server-harness.ts";

let server: ServerHarness;
before(async () => {
  server = await new ServerHarness().start();
  await server.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
});
after(() => server.remove());

const api = "/apis/admissionregistration.k8s.io/v1";
const merge = { contentType: "application/merge-patch+json" };

function pod(name: string, spec: Json = {}): Json {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: { containers: [{ name: "main", image: "x" }], ...spec },
  };
}

test("a webhook's odd warnings, status and patch become an ordinary answer", async () => {
  const answers: Json[] = [
    { allowed: true, warnings: "text" },
    { allowed: true, warnings: [1, null, "seen", ...Array.from({ length: 200_000 }, () => "x")] },
    { allowed: false, status: { code: 99_999, message: "no" } },
    { allowed: false, status: { code: "403" } },
    { allowed: false, status: { message: { a: 1 }, reason: ["x"] } },
    { allowed: false, status: "no" },
    { allowed: true, patchType: "JSONPatch", patch: { length: 1e9 } },
  ];
  const hook = await startWebhook(() => answers.shift());
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "odd-hook", labels: { "odd-hook": "on" } } });
  const hooked = { name: "odd", hook, resource: "configmaps", matchLabels: { "odd-hook": "on" } };
  await register("validating", hooked);
  const create = async (): Promise<readonly unknown[]> => {
    const { status, headers, body } = await server.call("POST", "/api/v1/namespaces/odd-hook/configmaps?dryRun=All", {
      metadata: { name: "a" },
    });
    return status === 201 ? [status, headers["warning"]] : [status, body.reason, body.message];
  };
  assert.deepEqual(await create(), [201, undefined]);
  assert.deepEqual(await create(), [201, '299 - "seen", 299 - "x"']);
  const denied = 'admission webhook "odd.test.dev" denied the request';
  assert.deepEqual(await create(), [400, undefined, `${denied}: no`]);
  for (let count = 0; count < 3; count += 1)
    assert.deepEqual(await create(), [400, undefined, `${denied} without explanation`]);
  await unregister("validating", "odd");
  await register("mutating", hooked);
  const [status, , message] = await create();
  assert.equal(status, 500);
  assert.match(String(message), /"odd.test.dev" returned a patch that does not apply: the patch is no text/);
  await unregister("mutating", "odd");
  await hook.close();
});

test("webhooks mutate, then validate; a failing one follows its policy, and excluded namespaces skip them", async () => {
  const reviews: Json[] = [];
  const hook = await startWebhook((review) => {
    reviews.push(review.request);
    if (review.path === "/mutate")
      return {
        allowed: true,
        patchType: "JSONPatch",
        patch: Buffer.from('[{"op":"add","path":"/data","value":{"added":"yes"}}]').toString("base64"),
      };
    const bad = review.request.object.metadata.name === "bad";
    return bad
      ? { allowed: false, status: { code: 403, message: "bad name" } }
      : { allowed: true, warnings: ["looked at it"] };
  });
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "hooked", labels: { hooks: "on" } } });
  const webhook = (name: string, path: string, more: Json = {}): Json => ({
    name,
    clientConfig: { url: `https://127.0.0.1:${hook.port}${path}`, caBundle: Buffer.from(hook.ca).toString("base64") },
    rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["configmaps"] }],
    namespaceSelector: { matchLabels: { hooks: "on" } },
    admissionReviewVersions: ["v1"],
    sideEffects: "None",
    ...more,
  });
  const matchConditions = [{ name: "not-exempt", expression: "!object.metadata.name.startsWith('exempt')" }];
  await server.call("POST", `${api}/mutatingwebhookconfigurations`, {
    metadata: { name: "m" },
    webhooks: [webhook("m.test.dev", "/mutate", { matchConditions })],
  });
  const broken = webhook("broken.test.dev", "/none", {
    clientConfig: { url: "https://127.0.0.1:1/none" },
    failurePolicy: "Ignore",
  });
  await server.call("POST", `${api}/validatingwebhookconfigurations`, {
    metadata: { name: "v" },
    webhooks: [webhook("v.test.dev", "/validate"), broken],
  });
  const good = await server.call("POST", "/api/v1/namespaces/hooked/configmaps?dryRun=All", {
    metadata: { name: "good" },
  });
  assert.equal(good.body.data.added, "yes", good.text);
  assert.equal(good.headers["warning"], '299 - "looked at it"');
  assert.deepEqual(
    reviews.map((request) => [request.operation, request.dryRun, request.object.data?.added]),
    [
      ["CREATE", true, undefined],
      ["CREATE", true, "yes"],
    ],
  );
  const bad = await server.call("POST", "/api/v1/namespaces/hooked/configmaps", { metadata: { name: "bad" } });
  assert.deepEqual(
    [bad.status, bad.body.message],
    [403, 'admission webhook "v.test.dev" denied the request: bad name'],
  );
  assert.equal(
    (await server.call("POST", "/api/v1/namespaces/default/configmaps", { metadata: { name: "bad" } })).status,
    201,
  );
  const exempt = await server.call("POST", "/api/v1/namespaces/hooked/configmaps?dryRun=All", {
    metadata: { name: "exempt" },
  });
  assert.equal(exempt.body.data, undefined);
  const fatal = { ...broken, failurePolicy: "Fail" };
  await server.call("PATCH", `${api}/validatingwebhookconfigurations/v`, { webhooks: [fatal] }, merge);
  const failed = await server.call("POST", "/api/v1/namespaces/hooked/configmaps", { metadata: { name: "good" } });
  assert.match(
    failed.body.message,
    /^Internal error occurred: failed calling webhook "broken.test.dev": failed to call webhook: Post "https:\/\/127.0.0.1:1\/none/,
  );
  await hook.close();
});

test("a pod that a webhook changed can be labelled, because the webhook's values are stored in canonical form", async (context) => {
  const container = {
    name: "istio-proxy",
    image: "proxyv2",
    resources: { limits: { cpu: "2000m", memory: "1024Mi" }, requests: { cpu: "0.1" } },
    readinessProbe: { httpGet: { path: "/healthz/ready", port: 15021 } },
  };
  const patch = [
    { op: "add", path: "/spec/containers/-", value: container },
    { op: "add", path: "/spec/volumes/-", value: { name: "envoy", emptyDir: { sizeLimit: "2048Mi" } } },
  ];
  const hook = await startWebhook(() => ({
    allowed: true,
    patchType: "JSONPatch",
    patch: Buffer.from(JSON.stringify(patch)).toString("base64"),
  }));
  context.after(() => hook.close());
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "injected", labels: { inject: "on" } } });
  await register("mutating", { name: "injector", hook, resource: "pods", matchLabels: { inject: "on" } });
  await server.call("POST", "/api/v1/namespaces/injected/serviceaccounts", { metadata: { name: "default" } });
  const created = await server.call("POST", "/api/v1/namespaces/injected/pods", pod("web"));
  assert.equal(created.status, 201, created.text);
  assert.deepEqual(created.body.spec.containers[1].resources, {
    limits: { cpu: "2", memory: "1Gi" },
    requests: { cpu: "100m", memory: "1Gi" },
  });
  const labelled = await server.call(
    "PATCH",
    "/api/v1/namespaces/injected/pods/web",
    { metadata: { labels: { tier: "front" } } },
    merge,
  );
  assert.equal(labelled.status, 200, labelled.text);
  const replaced = await server.call("PUT", "/api/v1/namespaces/injected/pods/web", labelled.body);
  assert.equal(replaced.status, 200, replaced.text);
  await unregister("mutating", "injector");
});

test("a webhook completes a binding, whose annotations the pod gets", async (context) => {
  const reviews: Json[] = [];
  const patch = [{ op: "add", path: "/metadata/annotations", value: { zone: "a" } }];
  const hook = await startWebhook(({ request }) => {
    reviews.push(request);
    return { allowed: true, patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") };
  });
  context.after(() => hook.close());
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "bound" } });
  await server.call("POST", "/api/v1/namespaces/bound/serviceaccounts", { metadata: { name: "default" } });
  await server.call("POST", "/api/v1/namespaces/bound/pods", pod("web"));
  const matchLabels = { "kubernetes.io/metadata.name": "bound" };
  await register("mutating", { name: "binder", hook, resource: "pods/binding", matchLabels });
  const path = "/api/v1/namespaces/bound/pods/web";
  const bound = await server.call("POST", `${path}/binding`, { metadata: { name: "web" }, target: { name: "node-a" } });
  assert.equal(bound.status, 201, bound.text);
  const { metadata, spec } = (await server.call("GET", path)).body;
  assert.deepEqual([spec.nodeName, metadata.annotations], ["node-a", { zone: "a" }]);
  const [{ kind, resource, subResource, object }] = reviews as [Json];
  assert.deepEqual(
    [kind.kind, resource.resource, subResource, object.kind, object.target],
    ["Binding", "pods", "binding", "Binding", { name: "node-a" }],
  );
  await unregister("mutating", "binder");
});

test("a container that a webhook adds gets the defaults of the namespace's LimitRange too", async (context) => {
  const patch = [{ op: "add", path: "/spec/containers/-", value: { name: "added", image: "x" } }];
  const hook = await startWebhook(() => ({
    allowed: true,
    patchType: "JSONPatch",
    patch: Buffer.from(JSON.stringify(patch)).toString("base64"),
  }));
  context.after(() => hook.close());
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "ranged" } });
  await server.call("POST", "/api/v1/namespaces/ranged/serviceaccounts", { metadata: { name: "default" } });
  await server.call("POST", "/api/v1/namespaces/ranged/limitranges", {
    metadata: { name: "limits" },
    spec: { limits: [{ type: "Container", default: { memory: "64Mi" } }] },
  });
  const matchLabels = { "kubernetes.io/metadata.name": "ranged" };
  await register("mutating", { name: "adder", hook, resource: "pods", matchLabels });
  const { body, text } = await server.call("POST", "/api/v1/namespaces/ranged/pods", pod("web"));
  const resources = { limits: { memory: "64Mi" }, requests: { memory: "64Mi" } };
  assert.deepEqual(
    body.spec?.containers.map((container: Json) => [container.name, container.resources]),
    [
      ["main", resources],
      ["added", resources],
    ],
    text,
  );
  await unregister("mutating", "adder");
});

interface Hooked {
  readonly name: string;
  readonly hook: Webhook;
  /** The plural name of a resource of the core group. */
  readonly resource: string;
  /** The labels of the namespaces whose objects the webhook gets. */
  readonly matchLabels: Readonly<Record<string, string>>;
}

/** Registers a webhook as `NAME.test.dev`. The server calls it when such objects are created. */
async function register(kind: "validating" | "mutating", { name, hook, resource, matchLabels }: Hooked): Promise<void> {
  const webhook = {
    name: `${name}.test.dev`,
    clientConfig: { url: `https://127.0.0.1:${hook.port}/`, caBundle: Buffer.from(hook.ca).toString("base64") },
    rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: [resource] }],
    namespaceSelector: { matchLabels },
    admissionReviewVersions: ["v1"],
    sideEffects: "None",
  };
  await server.call("POST", `${api}/${kind}webhookconfigurations`, { metadata: { name }, webhooks: [webhook] });
}

async function unregister(kind: "validating" | "mutating", name: string): Promise<void> {
  await server.call("DELETE", `${api}/${kind}webhookconfigurations/${name}`);
}

interface Webhook {
  readonly port: number;
  readonly ca: string;
  readonly close: () => Promise<void>;
}

async function startWebhook(answer: (review: Json) => Json): Promise<Webhook> {
  const now = Date.now();
  const authority = createAuthority("webhooks", now - 1000, now + 600_000);
  const issued = issueCertificate(authority, {
    commonName: "webhook",
    subjectAltNames: ["127.0.0.1"],
    usages: ["server"],
    notBeforeMs: now - 1000,
    notAfterMs: now + 600_000,
  });
  const hook = createHttpsServer({ cert: issued.certificatePem, key: issued.keyPem }, (request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const review = JSON.parse(text);
      const result = answer({ ...review, path: new URL(request.url ?? "/", "https://x").pathname });
      response.end(
        JSON.stringify({
          apiVersion: "admission.k8s.io/v1",
          kind: "AdmissionReview",
          response: { uid: review.request.uid, ...result },
        }),
      );
    });
  });
  const port = await listenOnLoopback(hook);
  return {
    port,
    ca: authority.certificatePem,
    close: async () => {
      hook.closeAllConnections();
      await new Promise((resolve) => hook.close(resolve));
    },
  };
}

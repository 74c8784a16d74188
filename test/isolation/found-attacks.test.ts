import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject, UntypedObject } from "../../src/api/index.ts";
import { config } from "../../src/controlplane/testing/model-fixture.ts";
import { Range } from "./attack.ts";

let shared: Promise<Range> | undefined;

/** The tests share a mesh. A test that fails may have damaged it, so the next gets a new one. */
async function inRange(prove: (range: Range) => Promise<void>): Promise<void> {
  const range = await (shared ??= Range.open());
  try {
    await prove(range);
  } catch (error) {
    shared = undefined;
    throw error;
  }
}

/** A script for a service of the attacker, behind the shared waypoint. */
const script = (inlineCode: string): KubernetesObject => ({
  ...config("TrafficExtension", "evil-ambient/script", {
    lua: { inlineCode },
    targetRefs: [{ kind: "Service", group: "", name: "web" }],
  }),
  apiVersion: "extensions.istio.io/v1alpha1",
});

/** Endpoints of a service of the attacker that name a pod of a victim. */
const foreignSlice: UntypedObject = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: "web", namespace: "evil", labels: { "kubernetes.io/service-name": "web" } },
  addressType: "IPv4",
  endpoints: [{ addresses: ["10.244.1.61"], targetRef: { kind: "Pod", name: "web-1", namespace: "shop" } }],
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
};

/** A route of the attacker on the shared gateway that sets a header. */
const route = (value: string): KubernetesObject => ({
  ...config("HTTPRoute", "evil/header", {
    parentRefs: [{ name: "door", namespace: "edge" }],
    hostnames: ["evil.open.example.com"],
    rules: [
      {
        backendRefs: [{ name: "web", port: 80 }],
        filters: [
          {
            type: "ResponseHeaderModifier",
            responseHeaderModifier: { set: [{ name: "x-at", value }] },
          },
        ],
      },
    ],
  }),
  apiVersion: "gateway.networking.k8s.io/v1",
});

/** A route of the attacker on the shared gateway that was stored without the webhook. */
const storedRoute = (value: string): KubernetesObject =>
  config("VirtualService", "evil/header", {
    hosts: ["evil.open.example.com"],
    gateways: ["edge/public"],
    http: [{ headers: { request: { set: { "x-at": value } } }, route: [{ destination: { host: "web" } }] }],
  });

/** An entry of the attacker that is exported to all, with a Unix socket as its endpoint. */
const socket = (path: string): KubernetesObject =>
  config("ServiceEntry", "evil/socket", {
    hosts: ["socket.example.com"],
    resolution: "STATIC",
    ports: [{ number: 80, name: "http" }],
    endpoints: [{ address: `unix://${path}` }],
  });

/** Values that the webhook once admitted, and for which an Envoy rejects all routes of the port, or ends. */
const faultyFormats = [
  "%PROTOCOL:5%",
  "%REQ(a?b?c)%",
  "%FILTER_STATE(a:BAD)%",
  "%CEL(1 +)%",
  "%PATH(X)%",
  "%COALESCE(5)%",
];

/** Attacks that isolation.property.test.ts has found. */
const attacks: Readonly<Record<string, KubernetesObject | readonly KubernetesObject[]>> = {
  "a header with the time in an unknown format does not make a shared gateway refuse its routes":
    route("%START_TIME(%E9999f)%"),
  "a header with an unknown form of the gRPC status does not make a shared gateway refuse its routes":
    route("%GRPC_STATUS(X)%"),
  "Envoys accept the routes of a shared gateway with a retry that has no backoff": {
    ...config("HTTPRoute", "evil/retry", {
      parentRefs: [{ name: "door", namespace: "edge" }],
      hostnames: ["evil.open.example.com"],
      rules: [{ backendRefs: [{ name: "web", port: 80 }], retry: { attempts: 2, backoff: "0s", codes: [503] } }],
    }),
    apiVersion: "gateway.networking.k8s.io/v1",
  },
  "a port of an entry may have the name of a property of all objects": config("ServiceEntry", "evil-ambient/port", {
    hosts: ["dns.example.com"],
    resolution: "DNS",
    ports: [{ number: 443, name: "constructor" }],
  }),
  "an endpoint that is a Unix socket is not refused": socket("/var/run/a.sock"),
  "Envoys accept an endpoint that is an abstract Unix socket": socket("@a"),
  "a workload with a name is no endpoint of an entry that does not resolve names": [
    config("WorkloadEntry", "evil/named", { address: "name.example.com", labels: { app: "named" } }),
    config("ServiceEntry", "evil/named", {
      hosts: ["named.example.com"],
      resolution: "STATIC",
      ports: [{ number: 80, name: "http" }],
      workloadSelector: { labels: { app: "named" } },
    }),
  ],
  "a pod does not belong to a service whose EndpointSlice in another namespace names it": [
    { ...config("Service", "evil/web", { ports: [{ name: "http", port: 80 }] }), apiVersion: "v1" },
    foreignSlice,
  ],
  "a shared waypoint accepts its listener with a script that does not compile": script("constructor"),
  "a shared waypoint accepts its listener with a script that fails while it is loaded": script('error("x")'),
  "a shared waypoint accepts its listener with a script that never ends": script("while true do end"),
};

for (const [title, object] of Object.entries(attacks))
  test(title, async () => {
    await inRange(async (range) => assert.deepEqual(await range.faultsOf([object].flat()), []));
  });

test("a shared gateway sends a value of an HTTPRoute as text if an Envoy would reject its format", async () => {
  await inRange(async (range) => {
    for (const value of faultyFormats) assert.deepEqual(await range.faultsOf([route(value)]), []);
  });
});

test("a stored route that writes a line break into a path is left out, and named", async () => {
  const path = { type: "ReplacePrefixMatch", replacePrefixMatch: "/a\nb" };
  const rewrite = {
    ...config("HTTPRoute", "evil/rewrite", {
      parentRefs: [{ name: "door", namespace: "edge" }],
      hostnames: ["evil.open.example.com"],
      rules: [{ backendRefs: [{ name: "web", port: 80 }], filters: [{ type: "URLRewrite", urlRewrite: { path } }] }],
    }),
    apiVersion: "gateway.networking.k8s.io/v1",
  };
  await inRange(async (range) => {
    const [refused, ...others] = await range.faultsOf([rewrite]);
    assert.match(refused ?? "", /^refused evil\/rewrite: .*replacePrefixMatch: must not have control characters/);
    assert.deepEqual(others, []);
  });
});

/** A route of the attacker on the shared gateway, to a service that is balanced by this hash. */
const hashed = (consistentHash: object): readonly KubernetesObject[] => [
  publicRoute({}),
  config("DestinationRule", "evil/hash", {
    host: "web.evil.svc.cluster.local",
    exportTo: ["*"],
    trafficPolicy: { loadBalancer: { consistentHash } },
  }),
];

const publicRoute = (fields: object): KubernetesObject =>
  config("VirtualService", "evil/public", {
    hosts: ["evil.open.example.com"],
    gateways: ["edge/public"],
    http: [{ route: [{ destination: { host: "web" } }], ...fields }],
  });

const doorRoute = (match: object): KubernetesObject => ({
  ...config("HTTPRoute", "evil/match", {
    parentRefs: [{ name: "door", namespace: "edge" }],
    hostnames: ["evil.open.example.com"],
    rules: [{ backendRefs: [{ name: "web", port: 80 }], matches: [match] }],
  }),
  apiVersion: "gateway.networking.k8s.io/v1",
});

/** A policy of the attacker at the shared waypoint. */
const policy = (kind: string, spec: object): KubernetesObject => ({
  ...config(kind, "evil-ambient/policy", { targetRefs: [{ kind: "Service", group: "", name: "web" }], ...spec }),
  apiVersion: "security.istio.io/v1",
});
const tokens = (rule: object): KubernetesObject =>
  policy("RequestAuthentication", { jwtRules: [{ issuer: "i", jwks: '{"keys":[{"kty":"RSA"}]}', ...rule }] });
const condition = (key: string): KubernetesObject =>
  policy("AuthorizationPolicy", { action: "DENY", rules: [{ when: [{ key, values: ["x"] }] }] });

/** A plugin of the attacker at the shared waypoint. It has an environment variable of this name. */
const plugin = (name: string): KubernetesObject => ({
  ...config("WasmPlugin", "evil-ambient/plugin", {
    url: "oci://example.com/plugin:1",
    vmConfig: { env: [{ name, value: "a" }] },
    targetRefs: [{ kind: "Service", group: "", name: "web" }],
  }),
  apiVersion: "extensions.istio.io/v1alpha1",
});

const cookie = (name: string, attribute: object): object => ({
  httpCookie: { name, ttl: "1s", attributes: [{ name: "a", value: "b", ...attribute }] },
});
const tooLong = "2562047h47m16.854s";

/** Stored objects with texts that break a rule of Envoy's API, so that an Envoy rejects all routes or a listener. */
const brokenRules: Readonly<Record<string, readonly [RegExp, ...(readonly KubernetesObject[])]>> = {
  "a header for hashes": [/httpHeaderName: must be the name of a header/, ...hashed({ httpHeaderName: "a\nb" })],
  "the name of a cookie": [/httpCookie\.name: must not have/, ...hashed(cookie("a\nb", {}))],
  "the name of an attribute": [/attributes\[0\]\.name: must not have/, ...hashed(cookie("a", { name: "a\nb" }))],
  "the value of an attribute": [/attributes\[0\]\.value: must not have/, ...hashed(cookie("a", { value: "a\nb" }))],
  "a long attribute": [/attributes\[0\]\.value: must not have/, ...hashed(cookie("a", { value: "a".repeat(16_385) }))],
  "the header of a token": [
    /fromHeaders\[0\]\.name: must not have control/,
    tokens({ fromHeaders: [{ name: "x\ny" }] }),
  ],
  "the prefix of a token": [
    /fromHeaders\[0\]\.prefix: must not have control/,
    tokens({ fromHeaders: [{ name: "x", prefix: "a\n" }] }),
  ],
  "the header of a payload": [
    /outputPayloadToHeader: must not have control/,
    tokens({ outputPayloadToHeader: "x\ny" }),
  ],
  "a header in a condition": [/when\[0\]\.key: must have a name/, condition("request.headers[a\0b]")],
  "a condition with an empty header": [/when\[0\]\.key: must have a name/, condition("request.headers[]]")],
  "a condition with an empty claim": [/when\[0\]\.key: must have a name/, condition("request.auth.claims[a][]")],
  "a parameter with a long name": [
    /queryParams\.a+…?: must be the name of a parameter of at most 1024 bytes/,
    publicRoute({ match: [{ queryParams: { ["a".repeat(1025)]: { exact: "x" } } }] }),
  ],
  "a route's parameter with a long name": [
    /name: must be the name of a parameter of at most 1024 bytes/,
    doorRoute({ queryParams: [{ name: "a".repeat(1025), value: "x" }] }),
  ],
  "a prefix with a query": [/path\.value: must not contain "\?"/, doorRoute({ path: { value: "/a?b" } })],
  "a plugin's variable named by half of a surrogate pair": [/env\[0\]\.name: must not contain half/, plugin("\ud800")],
  "the longest timeout": [/timeout: must be at most/, publicRoute({ timeout: tooLong })],
  "the longest life of a cookie": [/ttl: must be at most/, ...hashed({ httpCookie: { name: "a", ttl: tooLong } })],
};

for (const [title, [message, ...objects]] of Object.entries(brokenRules))
  test(`Envoys accept what a stored object with ${title} adds, which is left out and named`, async () => {
    await inRange(async (range) => {
      const [refused, ...others] = await range.faultsOf(objects);
      assert.match(refused ?? "", /^refused evil(?:-ambient)?\//);
      assert.match(refused ?? "", message);
      assert.deepEqual(others, []);
    });
  });

test("a stored VirtualService with a value that an Envoy would reject is corrected, and named", async () => {
  const values = [...faultyFormats, "a".repeat(20_000)];
  await inRange(async (range) => {
    for (const value of values) {
      const [refused, ...others] = await range.faultsOf([storedRoute(value)]);
      assert.match(
        refused ?? "",
        /^refused evil\/header: spec\.http\[0\]\.headers\.request\.set\.x-at: (has %.*send the value as text$|must not have.*leave the header as it is$)/,
      );
      assert.deepEqual(others, []);
    }
  });
});

test("a workload of the attacker does not take the address of a victim's Service from ztunnels", async () => {
  await inRange(async (range) => {
    const machine = config("WorkloadEntry", "evil/machine", { address: "10.96.1.1", labels: { app: "machine" } });
    assert.deepEqual(await range.faultsOf([machine]), []);
  });
});

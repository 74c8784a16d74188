import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { sampled, wrongFields } from "../../base/testing/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext } from "../testing/fake-context.ts";

const stored = (kind: string, name: string, spec: unknown): KubernetesObject =>
  ({ kind, metadata: { name, namespace: "shop" }, spec }) as unknown as KubernetesObject;
const route = [{ destination: { host: "web", subset: "v1", port: { number: 80 } }, weight: 100 }];
const selector = { matchLabels: { app: "web" } };
const objects: Readonly<Record<string, readonly KubernetesObject[]>> = {
  Pod: [
    {
      kind: "Pod",
      metadata: { name: "web-1", namespace: "shop", labels: { app: "web", version: "v1" } },
      spec: {
        containers: [
          { name: "web", image: "web", ports: [{ containerPort: 80 }] },
          { name: "istio-proxy", image: "proxyv2" },
        ],
      },
      status: { phase: "Running" },
    } as KubernetesObject,
  ],
  Service: [stored("Service", "web", { selector: { app: "web" }, ports: [{ name: "http", port: 80 }] })],
  VirtualService: [
    stored("VirtualService", "web", {
      hosts: ["web"],
      gateways: ["front", "mesh"],
      http: [
        {
          match: [{ uri: { prefix: "/a" }, headers: { user: { exact: "b" } }, gateways: ["front"] }],
          route,
          fault: { abort: {} },
        },
      ],
      tls: [{ route }],
      tcp: [{ route }],
    }),
  ],
  DestinationRule: [
    stored("DestinationRule", "web", {
      host: "web",
      subsets: [{ name: "v1", labels: { version: "v1" } }],
      trafficPolicy: {
        tls: { mode: "ISTIO_MUTUAL" },
        loadBalancer: { simple: "RANDOM" },
        portLevelSettings: [{ port: { number: 80 }, tls: { mode: "DISABLE" } }],
      },
    }),
  ],
  Gateway: [
    stored("Gateway", "front", { selector: { app: "web" }, servers: [{ port: { number: 80, protocol: "HTTP" } }] }),
  ],
  PeerAuthentication: [
    stored("PeerAuthentication", "web", {
      selector,
      mtls: { mode: "STRICT" },
      portLevelMtls: { "80": { mode: "DISABLE" } },
    }),
  ],
  AuthorizationPolicy: [stored("AuthorizationPolicy", "web", { selector, action: "ALLOW" })],
  HTTPRoute: [
    stored("HTTPRoute", "web", {
      parentRefs: [{ kind: "Gateway", name: "front" }],
      rules: [{ matches: [{ path: { type: "PathPrefix", value: "/" } }], backendRefs: [{ name: "web", weight: 1 }] }],
    }),
  ],
};

async function describe(changed: typeof objects): Promise<string> {
  const context = new FakeContext({ objects: changed });
  await createProgram(context).parseAsync(["x", "describe", "pod", "web-1.shop"]);
  return context.output;
}

test("describe shows a pod although stored objects of Istio have fields of a wrong type", async () => {
  assert.match(await describe(objects), /VirtualService: web/);
  const changes = Object.entries(objects)
    .filter(([kind]) => kind !== "Pod" && kind !== "Service")
    .flatMap(([kind, [object]]) =>
      [...wrongFields({ spec: Reflect.get(object ?? {}, "spec") })].map((change) => ({
        title: `${kind}: ${change.title}`,
        changed: { ...objects, [kind]: [{ ...object, ...(change.object as object) } as KubernetesObject] },
      })),
    );
  for (const { title, changed } of sampled(changes, 400, 1)) await assert.doesNotReject(describe(changed), title);
});

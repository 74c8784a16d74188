import assert from "node:assert/strict";
import { test } from "node:test";
import { proxyLimits } from "../../api/istio/index.ts";
import { analyze } from "../analyze.ts";
import { formatMessage } from "../format.ts";
import { readManifest } from "../manifest/manifest.ts";

const gateway = (name: string, selector: string, servers: number): object => ({
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name, namespace: "shop" },
  spec: {
    selector: { istio: selector },
    servers: Array.from({ length: servers }, (_, index) => ({
      port: { number: 8_000 + index, name: `http-${index}`, protocol: "HTTP" },
      hosts: ["*"],
    })),
  },
});

const virtualService = (name: string, day: number, gateways: readonly string[]): object => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name, namespace: "shop", creationTimestamp: new Date(Date.UTC(2026, 0, day)).toISOString() },
  spec: { hosts: [`${name}.example`], gateways, http: [{ route: [{ destination: { host: "web" } }] }] },
});

test("VirtualServices of a namespace that have too many routes together at the servers of a gateway are reported", async (t) => {
  const { routes } = proxyLimits;
  t.after(() => (proxyLimits.routes = routes));
  proxyLimits.routes = 10;
  const objects = [
    gateway("public", "ingress", 4),
    gateway("more", "ingress", 2),
    gateway("inner", "inner", 6),
    virtualService("youngest", 3, ["public", "more"]),
    virtualService("oldest", 1, ["public", "more"]),
    virtualService("elsewhere", 2, ["inner"]),
  ];
  const text = objects.map((object) => JSON.stringify(object)).join("\n---\n");
  const { resources } = await readManifest("objects.yaml", text);
  const messages = analyze(resources, { scope: "files", istioNamespace: "istio-system", defaultNamespace: "default" })
    .filter(({ type }) => type.code === "SER0111")
    .map((message) => formatMessage(message, { colour: false }));
  assert.deepEqual(
    messages.map((message) => message.replace(/^.*?\(VirtualService (\S+) .*?\) (.*?):.*$/, "$1 $2")),
    ["shop/youngest the 1 routes have no effect at 2 servers of its Gateways, from port 8000 of shop/more on"],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../../kube/index.ts";
import { judgeValues } from "../../decide/checks/values.ts";
import { parseCanary, type CheckSpec } from "../../../api/serin/index.ts";
import { checkDestination, parseAllowedHosts } from "./allowed-destinations.ts";

const services: Readonly<Record<string, string>> = {
  "shop/gate": "ClusterIP",
  "shop/away": "ExternalName",
  "shop/pods": "ClusterIP",
  "shop/empty": "ClusterIP",
};
const slices = [
  { endpoints: [{ addresses: ["10.244.0.7"] }, { addresses: ["10.244.0.8"], conditions: { ready: false } }] },
  { endpoints: [{ addresses: ["gate.example"] }] },
];
const client = {
  list: (_kind: unknown, { namespace, labelSelector }: { namespace: string; labelSelector: string }) =>
    Promise.resolve({
      items: namespace === "shop" && labelSelector === "kubernetes.io/service-name=pods" ? slices : [],
    }),
  get: (_kind: unknown, name: string, namespace: string) => {
    const type = services[`${namespace}/${name}`];
    const [clusterIP] = ["pods", "empty"].includes(name) ? ["None"] : ["10.96.0.9"];
    return Promise.resolve(
      type === undefined ? undefined : { metadata: { name, namespace }, spec: { type, clusterIP } },
    );
  },
} as unknown as KubeClient;
const check = checkDestination(client, parseAllowedHosts("prometheus.istio-system, *.hooks.example,"));

test("a Canary may query only Services of its namespace and hosts that the operator allows", async () => {
  for (const url of [
    "http://gate.shop/",
    "http://gate.shop.svc:8080/x",
    "http://GATE.shop.svc.cluster.local./x",
    "http://prometheus.istio-system:9090/",
    "http://prometheus.istio-system.svc.cluster.local:9090/",
    "https://a.hooks.example/",
  ])
    await check(url, "shop");
  for (const url of [
    "http://gate/",
    "http://gate.other/",
    "http://gate.shop./",
    "http://gate.shop.svc./",
    "http://away.shop/",
    "http://missing.shop/",
    "http://kubernetes.default.svc/",
    "http://10.244.0.5:8080/",
    "http://[fd00::5]/",
    "http://169.254.169.254/",
    "http://hooks.example/",
    "http://evilhooks.example/",
    "http://gate.shop.evil.example/",
    "http://gate.shop@other.example/",
    "http://istiod.istio-system:8080/debug/syncz",
  ])
    await assert.rejects(check(url, "shop"), { code: "destination-not-allowed" }, url);
  await check("http://10.244.0.5/", undefined);
});

test("a Service is called by its own addresses, because DNS may still lead where an ExternalName led", async () => {
  assert.deepEqual(await check("http://gate.shop/", "shop"), ["10.96.0.9"]);
  assert.deepEqual(await check("http://pods.shop.svc:8080/", "shop"), ["10.244.0.7"]);
  await assert.rejects(check("http://empty.shop/", "shop"), /Service shop\/empty has no ready endpoint/);
  assert.equal(await check("http://prometheus.istio-system:9090/", "shop"), undefined, "the operator allows it");
});

test("only the intended members of a webhook's body are reported", () => {
  const reportOf = (result: unknown, more: Partial<CheckSpec> = {}): string =>
    JSON.stringify(
      judgeValues(
        { type: "webhook", ...more } as CheckSpec,
        { type: "mesh" } as never,
        {
          type: "values",
          result,
          status: 200,
          source: "GET http://gate.shop/, status 200",
          canary: undefined,
          stable: undefined,
        } as never,
      ),
    );
  for (const result of [{ token: "secret" }, "secret", ["secret"], { verdict: "secret" }, { evidence: "secret" }])
    assert.doesNotMatch(reportOf(result), /secret/, JSON.stringify(result));
  assert.doesNotMatch(reportOf({ token: "a secret" }, { passWhen: "result.token == 'x'" }), /a secret/);
  assert.match(reportOf({ verdict: "fail", evidence: "two of three smoke tests failed" }), /two of three/);
});

test("a webhook's headers can neither route nor frame a request, nor impersonate others", () => {
  const faults = (name: string): number =>
    parseCanary({
      metadata: { name: "web" },
      spec: {
        target: { deployment: { name: "web", service: "web" } },
        steps: [{ weight: 10 }],
        checks: [{ type: "webhook", webhook: { url: "http://gate.shop", headers: { [name]: "x" } } }],
      },
    }).errors.length;
  for (const name of ["Host", "transfer-encoding", "Content-Length", "Metadata-Flavor", "X-Forwarded-For"])
    assert.equal(faults(name), 1, name);
  for (const name of ["Authorization", "X-Team"]) assert.equal(faults(name), 0, name);
});

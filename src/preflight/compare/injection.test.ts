import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { compareInjection } from "./injection.ts";

const [from, to] = [
  { revision: "default", versions: ["1.0"] },
  { revision: "next", versions: ["1.1"] },
];

function injected(tag: string, config: object): UntypedObject {
  const env = [{ name: "PROXY_CONFIG", value: `${JSON.stringify(config)}\n` }];
  const initContainers = [{ name: "istio-proxy", image: `proxyv2:${tag}`, env }];
  return { kind: "Deployment", metadata: { name: "web", namespace: "shop" }, spec: { initContainers } };
}

test("the name of the new revision's control plane is no change of an injected pod", () => {
  const discoveryAddress = "istiod-next.istio-system.svc:15012";
  const proxyMetadata = { A: "b" };
  const groups = (before: object, after: object): unknown[] =>
    compareInjection([injected("1.0", before)], [injected("1.1", after)], from, to).map(({ changes }) => changes);
  // The variable `PROXY_CONFIG` omits the default address, which the default revision has.
  assert.deepEqual(groups({ proxyMetadata }, { discoveryAddress, proxyMetadata }), []);
  assert.deepEqual(groups({ proxyMetadata }, { proxyMetadata, discoveryAddress }), []);
  assert.deepEqual(groups({}, { discoveryAddress }), []);
  assert.equal(groups({ proxyMetadata }, { discoveryAddress: "elsewhere:15012", proxyMetadata }).length, 1);
  assert.equal(groups({ proxyMetadata }, { discoveryAddress }).length, 1);
});

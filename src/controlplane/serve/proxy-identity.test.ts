import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { test } from "node:test";
import { NodeSchema } from "../../wire/discovery/index.ts";
import { readProxyIdentity } from "./proxy-identity.ts";

function idOf(fullName: string, namespace?: string): string {
  const metadata = namespace === undefined ? {} : { NAMESPACE: namespace };
  return readProxyIdentity(create(NodeSchema, { id: `sidecar~10.0.0.1~${fullName}~x.svc.cluster.local`, metadata })).id;
}

test("a proxy's id ends with the namespace for which it is authorized, whatever its node claims", () => {
  assert.equal(idOf("web-1.shop"), "web-1.shop");
  assert.equal(idOf("web-1.shop", "shop"), "web-1.shop");
  assert.equal(idOf("web.1.shop", "shop"), "web.1.shop");
  assert.equal(idOf("istio-ingressgateway-1.istio-system", "shop"), "istio-ingressgateway-1.shop");
});

test("a proxy whose name would send control characters to a terminal is refused", () => {
  assert.throws(() => idOf("\u001B]0;x\u0007web.shop"), {
    message: "the node id contains a control character, which no name has",
  });
  assert.throws(() => idOf("web.shop", "shop\u009B2J"), {
    message: /^the metadata NAMESPACE contains a control character/,
  });
});

test("a node with a text that is longer than any name, or with more networks than a mesh has, is refused", () => {
  const read = (node: MessageInitShape<typeof NodeSchema>) =>
    readProxyIdentity(create(NodeSchema, { id: "sidecar~10.0.0.1~web-1.shop~x.svc.cluster.local", ...node }));
  const [longest, longer] = ["x".repeat(512), "x".repeat(513)];
  const names = ["NAMESPACE", "ISTIO_VERSION", "NODE_NAME", "CLUSTER_ID", "NETWORK", "SERVICE_ACCOUNT"];
  for (const field of [...names, "AUTO_REGISTER_GROUP", "WORKLOAD_ENTRY"]) {
    read({ metadata: { [field]: longest } });
    assert.throws(() => read({ metadata: { [field]: longer } }), {
      code: "bad-request",
      message: `the metadata ${field} has 513 characters, at most 512 are allowed`,
    });
  }
  for (const field of ["region", "zone", "subZone"])
    assert.throws(() => read({ locality: { [field]: longer } }), {
      message: `the locality's ${field} has 513 characters, at most 512 are allowed`,
    });
  assert.throws(() => read({ id: "x".repeat(2049) }), {
    message: "the node id has 2049 characters, at most 2048 are allowed",
  });
  assert.equal(read({ metadata: { REQUESTED_NETWORK_VIEW: "a,".repeat(1000) } }).networkView.length, 1000);
  assert.throws(() => read({ metadata: { REQUESTED_NETWORK_VIEW: "a,".repeat(1001) } }), {
    message: "the metadata REQUESTED_NETWORK_VIEW names 1001 networks, at most 1000 are allowed",
  });
});

import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
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

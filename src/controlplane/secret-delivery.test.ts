import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { silentLogger, systemClock } from "../base/index.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "../wire/discovery/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { SecretAccess } from "./ca/index.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";
import { config, namespace } from "./testing/model-fixture.ts";
import { createServedFixture } from "./testing/served-fixture.ts";

const account = { clusterId: "home", namespace: "edge", serviceAccount: "gateway" };

/** A gateway that requests its key before its account's permissions are known. */
async function gatewayOf(kube: FakeKubeClient) {
  const { mesh, change } = createServedFixture({
    secretAccess: new SecretAccess({ clientOf: () => kube, clock: systemClock, log: silentLogger }),
  });
  mesh.inputs.secrets.set("edge/key", {
    namespace: "edge",
    name: "key",
    exists: true,
    keyPair: { value: { certificateChain: "chain", privateKey: "key" } },
    authority: { fault: "none" },
  });
  const gateway = config("Gateway", "edge/web", {
    selector: { istio: "ingressgateway" },
    servers: [
      {
        hosts: ["*"],
        port: { number: 443, name: "https", protocol: "HTTPS" },
        tls: { mode: "SIMPLE", credentialName: "key" },
      },
    ],
  });
  change([namespace("edge"), { ...gateway, apiVersion: "networking.istio.io/v1" }]);
  const received: { readonly names: readonly string[]; readonly removed: readonly string[] }[] = [];
  const write = (parts: readonly Buffer[]): boolean => {
    const { typeUrl, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts));
    if (typeUrl === typeUrls.secret)
      received.push({ names: resources.map(({ name }) => name), removed: removedResources });
    return true;
  };
  const client = mesh.discovery.connect("delta", { write }, () => account);
  const subscribe = (typeUrl: string, names: readonly string[]): void => {
    client.receive(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, {
          typeUrl,
          resourceNamesSubscribe: [...names],
          node: {
            id: "router~10.244.1.6~gateway-1.edge~edge.svc.cluster.local",
            metadata: { LABELS: { istio: "ingressgateway" } },
          },
        }),
      ),
    );
  };
  subscribe(typeUrls.listener, []);
  subscribe(typeUrls.secret, ["kubernetes://key"]);
  for (let turn = 0; turn < 10; turn += 1) await setImmediate();
  client.close();
  return received;
}

test("a key is not reported absent while the gateway's permission is checked, and arrives once the permission is known", async () => {
  const kube = new FakeKubeClient();
  kube.secretReaders.add("system:serviceaccount:edge:gateway");
  // The mesh does not change while the gateway waits, so the answer about its permission must cause the response.
  assert.deepEqual(await gatewayOf(kube), [{ names: ["kubernetes://key"], removed: [] }]);
});

test("a gateway without permission for its key gets the answer that the key does not exist, as soon as the check is done", async () => {
  assert.deepEqual(await gatewayOf(new FakeKubeClient()), [{ names: [], removed: ["kubernetes://key"] }]);
});

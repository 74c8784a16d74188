import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { freePort } from "../../net/testing/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { edsCluster, plainEndpoints } from "../testing/ads-server.ts";
import { outboundTcp } from "../testing/mesh-config.ts";
import { TestProxy } from "../testing/test-proxy.ts";

test("listeners that clients reach are counted apart from internal ones", async () => {
  await using proxy = await TestProxy.start({
    name: "front",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const { address = null, ...tcp } = outboundTcp("127.0.0.1", await freePort(), "a") as JsonObject;
  const listeners = {
    main: { address, ...tcp, name: "main", bindToPort: true },
    inner: { ...tcp, name: "inner", internalListener: {} },
  };
  proxy.ads.push(typeUrls.cluster, { a: edsCluster("a") });
  proxy.ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [await freePort()]) });
  proxy.ads.push(typeUrls.listener, listeners);
  await proxy.ready();
  const value = async (name: string): Promise<number | undefined> => (await proxy.samples(name))[0]?.value;
  assert.equal(await value("serin_proxy_listeners"), 1);
  assert.equal(await value("envoy_listener_manager_total_listeners_active"), 2);
});

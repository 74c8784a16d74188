import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { freePort } from "../../net/testing/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { edsCluster, httpListener, plainEndpoints, weightedRoute } from "../testing/ads-server.ts";
import { fetchOnce, Harness } from "../testing/harness.ts";
import { TestProxy } from "../testing/test-proxy.ts";

const modulePath = join(import.meta.dirname, "../../../test/wasm/test-module.wasm");
const type = "type.googleapis.com";

function wasmFilter(filename: string, code: object = { local: { filename } }): object {
  return {
    name: "users.module",
    typedConfig: {
      "@type": `${type}/udpa.type.v1.TypedStruct`,
      typeUrl: `${type}/envoy.extensions.filters.http.wasm.v3.Wasm`,
      value: {
        config: {
          name: "test",
          root_id: "test",
          configuration: { "@type": `${type}/google.protobuf.StringValue`, value: "some text" },
          vm_config: { runtime: "envoy.wasm.runtime.v8", code },
        },
      },
    },
  };
}

const router = {
  name: "envoy.filters.http.router",
  typedConfig: { "@type": `${type}/envoy.extensions.filters.http.router.v3.Router` },
};

test("a proxy runs the module that its listener names, and exports its metrics and logs", async () => {
  const app = createServer((_request, response) => response.end("hello"));
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  await using _ = {
    [Symbol.asyncDispose]: async () => {
      app.closeAllConnections();
      await new Promise((resolve) => app.close(resolve));
    },
  };
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const { ads } = proxy;
  const port = await freePort();
  ads.push(typeUrls.cluster, { a: edsCluster("a", "a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [(app.address() as AddressInfo).port]) });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 100 }) });
  const listener = httpListener(port, "http.80", { httpFilters: [wasmFilter(modulePath), router] as never });
  ads.push(typeUrls.listener, { [`listener_${port}`]: listener });
  await proxy.ready();
  const answer = await fetchOnce(port, "/");
  assert.deepEqual([answer.status, answer.body, answer.headers["x-wasm"]], [200, "hello!", "response"]);
  assert.equal((await proxy.samples("test_requests"))[0]?.value, 1);
  assert.ok(proxy.log.some((line) => line.includes("module: starts")));
  const from = ads.acknowledgements.length;
  ads.push(typeUrls.listener, {
    [`listener_${port}`]: httpListener(port, "http.80", { httpFilters: [wasmFilter(""), router] as never }),
  });
  const { error } = await ads.acknowledged(typeUrls.listener, from);
  assert.match(String(error), /users\.module.*code must name a file/);
});

test("a listener serves without a newly added plugin until the plugin has started", async () => {
  await using backends = await Harness.start();
  const backend = await backends.backend((_, response) => response.end("hello"));
  const { promise: wanted, resolve: want } = Promise.withResolvers<void>();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const module = await readFile(modulePath);
  const store = await backends.backend((_, response) => {
    want();
    void released.then(() => response.end(module));
  });
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const { ads } = proxy;
  const port = await freePort();
  ads.push(typeUrls.cluster, { a: edsCluster("a", "a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [backend.port]) });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 100 }) });
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
  await proxy.ready();
  const uri = `http://127.0.0.1:${store.port}/module.wasm`;
  const code = { remote: { http_uri: { uri, cluster: "unused", timeout: "60s" } } };
  ads.push(typeUrls.listener, {
    [`listener_${port}`]: httpListener(port, "http.80", { httpFilters: [wasmFilter("", code), router] as never }),
  });
  await wanted;
  const before = await fetchOnce(port, "/");
  assert.deepEqual([before.body, before.headers["x-wasm"]], ["hello", undefined]);
  release();
  await until(async () => (await fetchOnce(port, "/")).headers["x-wasm"] === "response");
});

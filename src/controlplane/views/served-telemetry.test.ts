import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshConfig } from "../../api/istio/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { meshSettings } from "../mesh-settings.ts";
import { meshKey } from "../model/facts.ts";
import { createExtensionFixture, type TestProxy } from "../testing/extension-fixture.ts";
import { config, namespace, node, pod, service, slice, testMesh } from "../testing/model-fixture.ts";

const web: TestProxy = { pod: "shop/web-1", labels: { app: "web" } };

function withProviders(...extensionProviders: readonly object[]) {
  const fixture = createExtensionFixture();
  const settings = parseMeshConfig({ extensionProviders }).value;
  assert.ok(settings !== undefined);
  fixture.inputs.mesh.set(meshKey, meshSettings(settings, testMesh));
  const labels = { app: "web", "security.istio.io/tlsMode": "istio" };
  fixture.apply(
    namespace("shop"),
    namespace("istio-system"),
    node("node-1", "z1"),
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
    pod("shop/web-1", "10.244.1.5", { labels, account: "web", redirected: false }),
    slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.1.5", pod: "web-1" }]),
  );
  return fixture;
}

test("an access log whose filter no Envoy takes goes only to Serin's proxies", () => {
  const { apply, connect } = withProviders({ name: "logs", envoyFileAccessLog: { path: "/dev/stdout" } });
  const logsOf = (expression: string, envoy: boolean): boolean => {
    const accessLogging = [{ providers: [{ name: "logs" }], filter: { expression } }];
    apply(config("Telemetry", "shop/t", { accessLogging }));
    return JSON.stringify(connect({ ...web, envoy }).show(typeUrls.listener)).includes("/dev/stdout");
  };
  assert.equal(logsOf("response.code >= 500", true), true);
  assert.equal(logsOf("string(response.code) == '500'", false), true);
  assert.equal(logsOf("string(response.code) == '500'", true), false);
});

test("a tag of a span that not all proxies take is left out", () => {
  const { apply, connect } = withProviders({ name: "z", zipkin: { service: "web.shop.svc.cluster.local", port: 80 } });
  const customTags = {
    good: { formatter: { value: "%REQ(:PATH)%" } },
    unknown: { formatter: { value: "%NOTHING%" } },
    wrong: { header: { name: "a)%NOTHING%" } },
  };
  apply(config("Telemetry", "shop/t", { tracing: [{ providers: [{ name: "z" }], customTags }] }));
  const text = JSON.stringify(connect(web).show(typeUrls.listener));
  assert.match(text, /"tag":"good"/);
  assert.doesNotMatch(text, /"tag":"(?:unknown|wrong)"/);
});

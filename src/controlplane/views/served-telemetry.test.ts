import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type * as Cel from "@bufbuild/cel";
import { envoyCelFault, parseMeshConfig } from "../../api/istio/index.ts";
import { loadPackage } from "../../base/index.ts";
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

test("the expressions of a Telemetry are checked once, even if another namespace has more than the control plane keeps", () => {
  const cel = loadPackage<typeof Cel>("@bufbuild/cel");
  const { parse } = cel;
  const parsed: string[] = [];
  const fixture = withProviders(
    { name: "logs", envoyFileAccessLog: { path: "/dev/stdout" } },
    { name: "z", zipkin: { service: "web.shop.svc.cluster.local", port: 80 } },
  );
  fixture.apply(
    config("Telemetry", "shop/t", {
      accessLogging: [{ providers: [{ name: "logs" }], filter: { expression: "response.code >= 501" } }],
      tracing: [{ providers: [{ name: "z" }], customTags: { a: { formatter: { value: "%CEL(request.judged)%" } } } }],
    }),
  );
  const listenersOf = (name: string): string =>
    JSON.stringify(fixture.connect({ ...web, labels: { app: "web", name } }).show(typeUrls.listener));
  assert.match(listenersOf("first"), /501.*request\.judged|request\.judged.*501/);
  for (let index = 0; index < 5000; index += 1) envoyCelFault(`a${index}`);
  const getter = mock.getter(cel, "parse", () => (text: string) => {
    parsed.push(text);
    return parse(text);
  });
  fixture.apply(
    service("shop/more", "10.96.0.9", { app: "web" }, [
      { name: "http", port: 8000, targetPort: 8000 },
      { name: "tcp", port: 9000, targetPort: 9000 },
    ]),
  );
  const made = listenersOf("second");
  getter.mock.restore();
  assert.match(made, /10\.96\.0\.9_9000/);
  assert.deepEqual(parsed, []);
});

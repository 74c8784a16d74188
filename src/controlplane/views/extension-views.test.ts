import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyView, type ProxyIdentity } from "../serve/index.ts";
import { config, createModelFixture, pod } from "../testing/model-fixture.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import type { ExtensionPrograms } from "./extension-programs.ts";
import { ExtensionViews } from "./extension-views.ts";

/** Connected proxies by their names, and which of them the views examine after a change. */
function connected(types: Readonly<Record<string, ProxyIdentity["type"]>>) {
  const fixture = createModelFixture();
  fixture.apply(
    config("WasmPlugin", "istio-system/all", { url: "oci://registry.example/plugin" }),
    ...Object.keys(types).map((name) => pod(`shop/${name}`, "10.244.1.1")),
  );
  const asked: string[] = [];
  const read: string[] = [];
  const programs = { of: ({ id }: ProxyIdentity) => void asked.push(id) } as unknown as ExtensionPrograms;
  const views = new ExtensionViews(programs, fixture.inputs, []);
  for (const [id, type] of Object.entries(types)) {
    const proxy = {
      id,
      type,
      namespace: "shop",
      clusterId: "Kubernetes",
      get name() {
        read.push(id);
        return id;
      },
    } as unknown as ProxyIdentity;
    views.viewOf(proxy, typeUrls.listener, emptyView, () => emptyView).subscribe(() => undefined);
  }
  return {
    ...fixture,
    looksAt: (change: () => void) => {
      asked.length = 0;
      read.length = 0;
      change();
      return { asked: [...asked], read: [...read] };
    },
  };
}

test("a changed pod makes the views look at its own proxy only", () => {
  const { apply, looksAt } = connected({ "web-1": "sidecar", "web-2": "sidecar", "web-3": "sidecar" });
  const seen = looksAt(() => apply(pod("shop/web-2", "10.244.1.1", { labels: { app: "web" } })));
  assert.deepEqual(seen, { asked: ["web-2"], read: [] });
});

test("a changed ServiceEntry makes the views look at waypoints only", () => {
  const { apply, looksAt } = connected({ web: "sidecar", edge: "router", wp: "waypoint" });
  const entry = config("ServiceEntry", "shop/out", {
    hosts: ["out.example"],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "DNS",
  });
  assert.deepEqual(looksAt(() => apply(entry)).asked, ["wp"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../api/index.ts";
import { controlPlaneOf } from "./rendered-control-plane.ts";

function deployment(name: string, revision: string | undefined, image: string): UntypedObject {
  const labels = { app: "istiod", ...(revision === undefined ? {} : { "istio.io/rev": revision }) };
  const containers = [{ name: "discovery", image }];
  return {
    kind: "Deployment",
    metadata: { name, namespace: "mesh", labels },
    spec: { template: { spec: { containers } } },
  };
}

function configMap(name: string, namespace: string, data: object): UntypedObject {
  return { kind: "ConfigMap", metadata: { name, namespace }, data };
}

test("a revision's control plane has the configuration with its suffix, of its own namespace", () => {
  const objects = [
    deployment("istiod", undefined, "hub/pilot:1.2.3"),
    deployment("istiod-next", "next", "hub/pilot:1.3.0-distroless"),
    configMap("istio", "mesh", { mesh: "default's" }),
    configMap("istio-next", "elsewhere", { mesh: "another's" }),
    configMap("istio-next", "mesh", { mesh: "next's" }),
    configMap("istio-sidecar-injector-next", "mesh", { config: "c", values: "v" }),
  ];
  const { namespace, version, mesh, injector } = controlPlaneOf(objects, "next") ?? assert.fail();
  assert.deepEqual(
    { namespace, version, mesh, injector },
    { namespace: "mesh", version: "1.3.0", mesh: "next's", injector: { config: "c", values: "v" } },
  );
  assert.equal(controlPlaneOf(objects, "default")?.mesh, "default's");
  assert.equal(controlPlaneOf(objects, "other"), undefined);
});

test("an image without a tag gives no version", () => {
  assert.equal(controlPlaneOf([deployment("istiod", "a", "hub:5000/pilot")], "a")?.version, "");
});

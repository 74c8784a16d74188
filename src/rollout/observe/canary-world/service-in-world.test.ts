import assert from "node:assert/strict";
import { test } from "node:test";
import type { MovedRoute } from "../../plan/index.ts";
import { reference } from "../../plan/index.ts";
import { fakePod, sidecarPod } from "../checks/testing/fake-mesh.ts";
import type { CanarySources } from "./canary-sources.ts";
import { requireReaders } from "./service-in-world.ts";

const route = {
  object: reference("gateway.networking.k8s.io/v1", "HTTPRoute", "web", "shop"),
  field: "spec.target.httpRoute",
} as MovedRoute;

function sources(
  parent: object,
  labels: Readonly<Record<string, string>>,
  pods = [fakePod({ name: "a" })],
): CanarySources {
  return {
    client: {
      get: async () => await Promise.resolve({ metadata: { name: "web", namespace: "shop", labels } }),
      list: async () => await Promise.resolve({ items: [] }),
    },
    objects: { get: async () => await Promise.resolve({ metadata: {}, spec: { parentRefs: [parent] } }) },
    view: {
      pods: { list: () => pods },
      namespaces: { get: () => ({ metadata: { labels: { "istio.io/dataplane-mode": "ambient" } } }) },
    },
  } as unknown as CanarySources;
}

const service = { kind: "Service", group: "", name: "web" };

test("the error for a route of an ambient Service without a waypoint names it, because no proxy would apply its weights", async () => {
  await assert.rejects(requireReaders(sources(service, {}), route), {
    message:
      "spec.target.httpRoute: Service shop/web is in ambient and has no waypoint, so no proxy reads its requests and no weight has an effect; create one: serin waypoint apply -n shop --enroll-namespace",
  });
});

test("a waypoint, a client with a sidecar, or a gateway can read the route", async () => {
  await requireReaders(sources(service, { "istio.io/use-waypoint": "waypoint" }), route);
  await requireReaders(sources(service, {}, [sidecarPod("client", "default", "client")]), route);
  await requireReaders(sources({ name: "front" }, {}), route);
});

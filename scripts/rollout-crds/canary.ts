import { checks } from "./check.ts";
import { monthSeconds, name, orders, pause } from "./orders.ts";
import { flag, integer, list, object, oneOf, rules, stringMap, strings, text, type Schema } from "./schema.ts";

const port = integer(1, 65_535);
const namespace = text("The Canary's own when absent.", name);
const backend = object({ name: text("", name), namespace: text("", name), port }, ["name", "port"]);
const destination = object({ host: text("", name), subset: text("", name), port }, ["host"]);
const routes = oneOf(["VirtualService", "HTTPRoute"], "Which kind of route is made where there is none.");

const route = object(
  {
    name: text("", name),
    namespace,
    rule: integer(0, 15, "Index into the route's rules."),
    stable: backend,
    canary: backend,
  },
  ["name", "stable", "canary"],
);

const target: Schema = object(
  {
    httpRoute: route,
    grpcRoute: route,
    virtualService: object(
      {
        name: text("", name),
        namespace,
        protocol: oneOf(["http", "tcp", "tls"]),
        route: { description: "A route by its name, or its index.", "x-kubernetes-int-or-string": true },
        stable: destination,
        canary: destination,
      },
      ["name", "stable", "canary"],
    ),
    deployment: object(
      {
        name: text("", name),
        service: text("The Service that clients call.", name),
        port,
        routes,
        gateways: strings(16, "Gateways through which the route holds besides the mesh."),
        hosts: strings(
          16,
          "Hosts besides the Service's own for which the route holds, for callers that come by those gateways.",
        ),
        canaryMetadata: object({ labels: stringMap(), annotations: stringMap() }, [], {
          description: "What canary pods have besides the labels and annotations of the template.",
        }),
        previewService: text("A Service that is made for the canary alone.", name),
      },
      ["name", "service"],
    ),
    services: object(
      {
        service: text("The Service whose name clients use; stable by default.", name),
        stable: text("", name),
        canary: text("", name),
        port,
        routes,
      },
      ["stable", "canary", "port"],
      rules(["self.stable != self.canary", "stable and canary must be two Services"]),
    ),
    namespaces: object(
      {
        stable: text("", name),
        canary: text("", name),
        routes: list(
          object({ kind: oneOf(["HTTPRoute", "GRPCRoute", "VirtualService"]), name: text("", name), namespace }, [
            "kind",
            "name",
          ]),
          32,
          { minItems: 1 },
        ),
      },
      ["stable", "canary", "routes"],
      rules(["self.stable != self.canary", "stable and canary must be two namespaces"]),
    ),
  },
  [],
  rules([
    "[has(self.httpRoute), has(self.grpcRoute), has(self.virtualService), has(self.deployment), has(self.services), has(self.namespaces)].filter(said, said).size() == 1",
    "a target has exactly one of httpRoute, grpcRoute, virtualService, deployment, services and namespaces",
  ]),
);

const valueMatch = object(
  { name: text("", name), type: oneOf(["Exact", "Prefix", "Regex"]), value: text("", { maxLength: 4096 }) },
  ["name", "value"],
);

const match = object(
  {
    headers: list(valueMatch, 16),
    cookies: list(object({ name: text("", name), value: text("", { maxLength: 4096 }) }, ["name", "value"]), 3),
    queryParams: list(valueMatch, 16),
    paths: list(
      object({ type: oneOf(["Exact", "Prefix", "Regex"]), value: text("", { maxLength: 4096 }) }, ["value"]),
      16,
    ),
    sourceLabels: stringMap("Labels of the calling pod; only a VirtualService can tell."),
  },
  [],
  { description: "Requests that match go to the canary, whatever the weight.", minProperties: 1 },
);

const step = object(
  {
    name: text("", name),
    weight: integer(0, 100, "Percent of the traffic that goes to the canary."),
    match,
    mirror: object({ percent: integer(1, 100) }),
    scale: object({ replicas: integer(0, 1000), percent: integer(0, 100), matchWeight: flag() }, [], {
      ...rules([
        "[has(self.replicas), has(self.percent), has(self.matchWeight)].filter(said, said).size() == 1",
        "scale has exactly one of replicas, percent and matchWeight",
      ]),
    }),
    preview: flag("The canary runs in full and is reached by the preview Service alone."),
    experiment: object(
      { durationSeconds: integer(1, 86_400), replicas: integer(1, 1000), mirrorPercent: integer(0, 100) },
      ["durationSeconds"],
    ),
    iterations: object({ count: integer(1, 1000), intervalSeconds: integer(1, 86_400) }, ["count"]),
    pause,
    checks,
  },
  [],
  rules([
    "has(self.weight) || has(self.match) || has(self.mirror) || has(self.scale) || has(self.preview) || has(self.experiment) || has(self.pause) || has(self.checks)",
    "a step says what to do: weight, match, mirror, scale, preview, experiment, pause or checks",
  ]),
);

/** The spec of a Canary (`parseCanary`). */
export const canarySpec: Schema = object(
  {
    target,
    steps: list(step, 64, { minItems: 1 }),
    checks,
    sessionAffinity: object({ cookieName: text("", name), maxAgeSeconds: integer(1, monthSeconds) }),
    dynamicStableScale: flag("The stable version shrinks as the canary grows."),
    scaleDownDelaySeconds: integer(0, monthSeconds, "How long the old version is kept after the end."),
    ...orders,
  },
  ["target", "steps"],
  rules([
    "has(self.target.deployment) || !self.steps.exists(step, has(step.scale) || has(step.preview) || has(step.experiment))",
    "scale, preview and experiment need target.deployment",
  ]),
);

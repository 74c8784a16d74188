import { checks } from "./check.ts";
import { monthSeconds, name, orders, pause } from "./orders.ts";
import { flag, integer, list, object, oneOf, rules, stringMap, strings, text, type Schema } from "./schema.ts";

const namespace = (what: string): Schema =>
  text(`The namespace of the ${what}. Default: the Canary's namespace.`, name);
const servicePort = integer(1, 65_535, "The port of the Service (port, not targetPort).");
const routeKinds = ["VirtualService", "HTTPRoute"];

function backend(description: string): Schema {
  return object(
    { name: text("The name of the Service.", name), namespace: namespace("Service"), port: servicePort },
    ["name", "port"],
    { description },
  );
}

function destination(description: string): Schema {
  return object(
    {
      host: text("The host of the destination, as in an Istio Destination: a short name or a full DNS name.", name),
      subset: text("The name of a subset of the host's DestinationRule.", name),
      port: integer(1, 65_535, "The port of the destination. Needed only if the host has several ports."),
    },
    ["host"],
    { description },
  );
}

function route(kind: string): Schema {
  return object(
    {
      name: text(`The name of the ${kind}.`, name),
      namespace: namespace(kind),
      rule: {
        description:
          "The rule in spec.rules: its name, or its position, counted from 0 to at most 15. Use the name if the rule has one: a name still means the same rule when somebody inserts another one before it. Default: 0.",
        "x-kubernetes-int-or-string": true,
      },
      stable: backend("The backend with the current version. The rule must contain it."),
      canary: backend("The backend with the new version. It must differ from the stable backend."),
    },
    ["name", "stable", "canary"],
    { description: `One rule of your own ${kind}. The engine changes the weights of its two backends.` },
  );
}

const virtualService: Schema = object(
  {
    name: text("The name of the VirtualService.", name),
    namespace: namespace("VirtualService"),
    protocol: oneOf(
      ["http", "tcp", "tls"],
      "The list that contains the route: http means spec.http, tcp means spec.tcp, tls means spec.tls. Default: http.",
    ),
    route: {
      description:
        "The route in that list: its name (http only), or its position, counted from 0 to at most 1000. Use the name if the route has one: a name still means the same route when somebody inserts another one before it. Default: 0.",
      "x-kubernetes-int-or-string": true,
    },
    stable: destination("The destination with the current version. The route must contain it."),
    canary: destination(
      "The destination with the new version. It must differ from the stable one in its host, subset or port.",
    ),
  },
  ["name", "stable", "canary"],
  { description: "One route of your own VirtualService. The engine changes the weights of its two destinations." },
);

const deployment: Schema = object(
  {
    name: text(
      "The name of the Deployment. At most 235 characters, or 222 if a step has an experiment, because the engine adds a suffix such as -canary.",
      name,
    ),
    service: text(
      "The Service that clients call. It must select the pods of the Deployment, and no others. With routes: HTTPRoute at most 56 characters, or 43 if a step has an experiment, because the engine adds a suffix such as -canary.",
      name,
    ),
    port: integer(1, 65_535, "The port of the Service whose requests move. Default: all ports."),
    routes: oneOf(
      routeKinds,
      "The kind of route that the engine creates for the Service. VirtualService also creates subsets, HTTPRoute also creates the Services NAME-stable and NAME-canary. Default: VirtualService.",
    ),
    gateways: strings(
      16,
      "Gateways to which the route applies in addition to the mesh, as NAME or NAMESPACE/NAME. With routes: VirtualService these are Istio Gateways, with HTTPRoute they are Gateways of the Gateway API. Default: none.",
    ),
    hosts: strings(
      16,
      "Hosts of the route in addition to the Service's own, for requests that arrive through those gateways. Example: shop.example.com or *.example.com. Default: none.",
    ),
    canaryMetadata: object(
      {
        labels: stringMap(
          "Labels for canary pods. Allowed are keys without a prefix, keys with the prefix app.kubernetes.io, helm.sh or prometheus.io, and a few others that the error message lists. Example: {track: canary}.",
        ),
        annotations: stringMap("Annotations for canary pods. The same keys are allowed as for labels."),
      },
      [],
      {
        description:
          "Labels and annotations that only canary pods have, in addition to those of the pod template. They are removed when the new version becomes stable.",
      },
    ),
    previewService: text(
      "The name of a Service that the engine creates, and that selects only canary pods, for tests before clients get the new version. Required if a step has preview. At most 63 characters.",
      name,
    ),
  },
  ["name", "service"],
  {
    description:
      "A Deployment behind a Service. The engine holds the Deployment's rolling update (spec.paused) and creates a second Deployment for the new version, with the routes. It removes both at the end. A change of the pod template, for example by kubectl set image, starts a run.",
  },
);

const services: Schema = object(
  {
    service: text("The Service that clients call. Default: the Service in stable.", name),
    stable: text("The Service of the current version.", name),
    canary: text("The Service of the new version. It must differ from stable.", name),
    port: servicePort,
    routes: oneOf(routeKinds, "The kind of route that the engine creates. Default: VirtualService."),
  },
  ["stable", "canary", "port"],
  {
    description: "Two Services whose pods you run yourself. The engine creates the route between them.",
    ...rules(["self.stable != self.canary", "canary must differ from stable"]),
  },
);

const namespaces: Schema = object(
  {
    stable: text("The namespace with the current version.", name),
    canary: text("The namespace with the new version. It must differ from stable.", name),
    routes: list(
      object(
        {
          kind: oneOf(["HTTPRoute", "GRPCRoute", "VirtualService"], "The kind of the route."),
          name: text("The name of the route.", name),
          namespace: namespace("route"),
        },
        ["kind", "name"],
      ),
      32,
      {
        minItems: 1,
        description:
          "The routes that move together. In each of them, every backend in the stable namespace shares its traffic with the Service of the same name in the canary namespace.",
      },
    ),
  },
  ["stable", "canary", "routes"],
  {
    description: "Two namespaces with the same Services, such as an app that is installed twice.",
    ...rules(["self.stable != self.canary", "canary must differ from stable"]),
  },
);

const target: Schema = object(
  {
    httpRoute: route("HTTPRoute"),
    grpcRoute: route("GRPCRoute"),
    virtualService,
    deployment,
    services,
    namespaces,
  },
  [],
  {
    description: "The objects whose traffic the Canary moves. Exactly one of the fields is required.",
    ...rules([
      "[has(self.httpRoute), has(self.grpcRoute), has(self.virtualService), has(self.deployment), has(self.services), has(self.namespaces)].filter(said, said).size() == 1",
      "must have exactly one of httpRoute, grpcRoute, virtualService, deployment, services and namespaces",
    ]),
  },
);

const matchTypes = ["Exact", "Prefix", "Regex"];
const matchValue = (what: string): Schema => text(`The ${what} to compare with.`, { maxLength: 4096 });

function valueMatches(what: string, description: string): Schema {
  return list(
    object(
      {
        name: text(`The name of the ${what}.`, name),
        type: oneOf(
          matchTypes,
          "How the value is compared. Regex is a regular expression for the whole value. Default: Exact.",
        ),
        value: matchValue("value"),
      },
      ["name", "value"],
    ),
    16,
    { description },
  );
}

const match = object(
  {
    headers: valueMatches(
      "header",
      "Request headers. All of them must match. Example: [{name: x-group, value: beta}].",
    ),
    cookies: list(
      object({ name: text("The name of the cookie.", name), value: matchValue("value of the cookie") }, [
        "name",
        "value",
      ]),
      3,
      {
        description:
          "Cookies. All of them must match exactly. They cannot be combined with a match of the header cookie.",
      },
    ),
    queryParams: valueMatches(
      "query parameter",
      "Query parameters. All of them must match. Not for a grpcRoute target.",
    ),
    paths: list(
      object(
        {
          type: oneOf(
            matchTypes,
            "How the path is compared. Regex is a regular expression for the whole path. Default: Prefix.",
          ),
          value: text("The path to compare with. It begins with / unless the type is Regex.", { maxLength: 4096 }),
        },
        ["value"],
      ),
      16,
      { description: "Paths. At least one of them must match. Not for a grpcRoute target. Example: [{value: /cart}]." },
    ),
    sourceLabels: stringMap(
      "Labels of the client's pod. All of them must match. Only for routes that are VirtualServices, also for tcp and tls routes. Waypoints do not know these labels, and leave such a match out. Example: {app: tester}.",
    ),
  },
  [],
  {
    description:
      "Sends the requests that match to the canary, whatever the weight is. All fields that are set must match, and at least one is required. Later steps keep the match until a step has weight 100. For tcp and tls routes only sourceLabels.",
    minProperties: 1,
  },
);

const scale = object(
  {
    replicas: integer(0, 1000, "The number of canary pods."),
    percent: integer(0, 100, "The number of canary pods in percent of the Deployment's replicas, rounded up."),
    matchWeight: flag(
      "true: the number of canary pods follows the weight again, after a step with replicas or percent.",
    ),
  },
  [],
  {
    description:
      "The number of canary pods from this step on. Exactly one of the fields is required. Without scale, the number follows the weight, with at least one pod. Only for a deployment target.",
    ...rules([
      "[has(self.replicas), has(self.percent), has(self.matchWeight)].filter(said, said).size() == 1",
      "must have exactly one of replicas, percent and matchWeight",
    ]),
  },
);

const experiment = object(
  {
    durationSeconds: integer(1, 86_400, "How long the copies run, in seconds."),
    replicas: integer(1, 1000, "The number of pods of each of the two copies. Default: 1."),
    mirrorPercent: integer(
      0,
      100,
      "The percentage of the stable version's requests that each copy also gets. Clients never see the responses. Default: 0.",
    ),
  },
  ["durationSeconds"],
  {
    description:
      "Runs a new copy of the stable version (the baseline) and a new copy of the canary side by side. The copies answer no client's request. The engine removes them at the end of the step. Only for a deployment target.",
  },
);

const step = object(
  {
    name: text("A title for people, which replaces the generated one in the status. Example: ten percent.", name),
    weight: integer(
      0,
      100,
      "The percentage of requests that go to the canary. It must not be lower than in an earlier step. Default: the weight of the step before, and 0 at first.",
    ),
    match,
    mirror: object({ percent: integer(1, 100, "The percentage of requests that are copied. Default: 100.") }, [], {
      description:
        "Copies requests to the canary in this step. Clients never see the responses to the copies. Not for tcp and tls routes.",
    }),
    scale,
    preview: flag(
      "true: the canary runs with as many pods as the Deployment, and only the Service in previewService leads to it. Only for a deployment target.",
    ),
    experiment,
    iterations: object(
      {
        count: integer(1, 1000, "How many times in a row each check must pass."),
        intervalSeconds: integer(1, 86_400, "The time between two measurements of a check, in seconds. Default: 60."),
      },
      ["count"],
      {
        description:
          "Repeats the checks of this step, for example for an A/B test. It replaces count and intervalSeconds of the checks.",
      },
    ),
    pause,
    checks: checks("Checks of this step, in addition to those in spec.checks."),
  },
  [],
  rules([
    "has(self.weight) || has(self.match) || has(self.mirror) || has(self.scale) || has(self.preview) || has(self.experiment) || has(self.pause) || has(self.checks)",
    "must have at least one of weight, match, mirror, scale, preview, experiment, pause or checks",
  ]),
);

/** The schema of a Canary's spec, which `parseCanary` parses. */
export const canarySpec: Schema = object(
  {
    target,
    steps: list(step, 64, {
      minItems: 1,
      description:
        "The steps in their order. Each needs at least one of weight, match, mirror, scale, preview, experiment, pause and checks. Example: [{weight: 10}, {weight: 50, pause: {untilApproved: true}}, {weight: 100}].",
    }),
    checks: checks(
      "Checks for every step that sends or copies requests to the canary. Default: request-success-rate, request-duration and request-share, or tcp-connect-failures for a tcp or tls route.",
    ),
    sessionAffinity: object(
      {
        cookieName: text("The name of the cookie. Default: serin-canary.", name),
        maxAgeSeconds: integer(1, monthSeconds, "How long a client keeps the cookie, in seconds. Default: 86400."),
      },
      [],
      {
        description:
          "Keeps a client on the canary by a cookie while the weight is between 0 and 100. {} sets the defaults. Not for a grpcRoute target, and not for tcp and tls routes.",
      },
    ),
    dynamicStableScale: flag(
      "true: the stable version has fewer pods as the weight of the canary rises, with at least one pod. Only for a deployment target without an autoscaler. Default: false.",
    ),
    scaleDownDelaySeconds: integer(
      0,
      monthSeconds,
      "How long the pods of the old version stay after the canary has all requests, in seconds, so that an undo is immediate. Only for a deployment target. Default: 0.",
    ),
    ...orders,
  },
  ["target", "steps"],
  {
    description: "What the Canary moves, in which steps, and which checks each step must pass.",
    ...rules([
      "has(self.target.deployment) || !self.steps.exists(step, has(step.scale) || has(step.preview) || has(step.experiment))",
      "scale, preview and experiment need target.deployment",
    ]),
  },
);

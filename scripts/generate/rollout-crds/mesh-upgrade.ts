import { checks } from "./check.ts";
import { monthSeconds, name, orders, pause } from "./orders.ts";
import {
  anyObject,
  flag,
  integer,
  list,
  object,
  oneOf,
  rules,
  stringMap,
  strings,
  text,
  type Schema,
} from "./schema.ts";

const revision = (what: string): Schema =>
  text(
    `The name of the ${what} revision, as in the label istio.io/rev: letters, digits, dashes and dots. default is the revision without a name. Example: 1-18-1.`,
    { minLength: 1, maxLength: 63 },
  );
const weights = (description: string): Schema => list(integer(1, 100), 32, { description });

const wave = object({
  name: text(
    "The name of the wave. It must be unique, and the ids of the wave's steps begin with it. Default: wave-1 for the first wave, wave-2 for the second, and so on.",
    name,
  ),
  namespaces: strings(1024, "Namespaces of the wave by name, in addition to those with namespaceLabels."),
  namespaceLabels: stringMap(
    "Namespaces of the wave by their labels, all of which must match. Without namespaces and namespaceLabels, the wave has all namespaces that no earlier wave has. Example: {tier: shop}.",
  ),
  workloadLabels: stringMap(
    "Limits the wave to the workloads whose pods have all of these labels. The other workloads of the namespaces stay for later waves. Example: {app: reviews}. Default: all workloads.",
  ),
  mode: oneOf(
    ["Restart", "ScaleFirst"],
    "How workloads with sidecars restart. Restart: by their own update strategy. ScaleFirst: a Deployment starts all its new pods before it stops an old one. Default: Restart.",
  ),
  maxUnavailable: integer(
    1,
    1000,
    "The number of workloads, such as Deployments, of a namespace that restart at the same time. Default: 1.",
  ),
  soakSeconds: integer(
    0,
    monthSeconds,
    "How long the wave's checks continue after all of it has moved, before the next wave begins, in seconds. Default: 0.",
  ),
  pause,
  checks: checks(
    "Checks of this wave, in addition to those in spec.checks. A check here replaces a check of the same name there, and a built-in one of the same type. The default name is the type. Type request-share has no effect here, and of tcp-connect-failures and mtls-probe-matrix only the first.",
  ),
});

/** The schema of a MeshUpgrade's spec, which `parseMeshUpgrade` parses. */
export const meshUpgradeSpec: Schema = object(
  {
    from: object({ revision: revision("old") }, ["revision"], { description: "The revision that runs the mesh now." }),
    to: object(
      {
        revision: revision("new"),
        install: list(anyObject(), 8, {
          description:
            "The specs of IstioOperators that the engine installs in this order, beside the old revision. Their revision must be that of the upgrade. Example: [{profile: ambient, revision: 1-18-1, tag: 1.18.1}]. Default: the new revision is already installed.",
        }),
        cni: anyObject(
          "The spec of an IstioOperator for the CNI agent that replaces the running one, node by node. Only its CNI component counts. What it does not state of profile, hub, values.global and values.cni is that of the first spec in install. Example: {tag: 1.18.1}. Default: the CNI agent stays.",
        ),
        root: object(
          { secretName: text("The name of the Secret, in the namespace of the control plane.", name) },
          ["secretName"],
          {
            description:
              "Replaces the root certificate of the mesh's CA by that of a Secret in the form of cacerts. All proxies first trust both roots, then get certificates of the new one, and finally trust only the new one. Default: the root stays.",
          },
        ),
      },
      ["revision"],
      { description: "The revision that takes over." },
    ),
    scope: object(
      {
        ztunnel: flag("Whether pods in ambient move to the ztunnel of the new revision. Default: true."),
        cni: flag("Whether the CNI agent in to.cni is installed. Default: true."),
        waypoints: flag("Whether waypoints move. Default: true."),
        gateways: flag("Whether gateways move. Default: true."),
        namespaces: flag("Whether namespaces and workloads with sidecars move. Default: true."),
        tags: flag(
          "Whether the revision tags of the old revision move, with the tag default and the validation webhook. Default: true.",
        ),
      },
      [],
      { description: "The parts that move. By default, every part moves." },
    ),
    waves: list(wave, 64, {
      description:
        "Groups of namespaces and workloads, in the order in which they move. A namespace that several waves name moves with the first of them. One that no wave names does not move. Default: one wave with everything.",
    }),
    ztunnel: object(
      {
        by: oneOf(
          ["Pod", "Namespace", "Node"],
          "What moves as a whole: single pods, a namespace, or all pods of a node. Pod and Namespace move with their wave, Node after all waves. Default: Pod.",
        ),
        maxConcurrent: integer(
          1,
          1000,
          "The number of pods, namespaces or nodes that move at the same time. Default: 1.",
        ),
      },
      [],
      { description: "How pods in ambient move to the ztunnel of the new revision." },
    ),
    gateways: object(
      {
        weights: weights(
          "The percentages of a gateway's replicas with the new revision, step by step. Each must be higher than the one before. 100 is added if it is not the last. Default: 50, 100.",
        ),
        afterWave: integer(
          0,
          64,
          "The number of the wave after which gateways and waypoints move, counted from 1. 0 means before the first wave. It must not exceed the number of waves. Default: 1.",
        ),
      },
      [],
      { description: "How gateways move to the new revision." },
    ),
    waypoints: object(
      {
        weights: weights(
          "The percentages of a waypoint's new connections for the new revision, step by step. Each must be higher than the one before. 100 is added if it is not the last. Default: 10, 50, 100.",
        ),
      },
      [],
      { description: "How waypoints move to the new revision." },
    ),
    checks: checks(
      "Checks of the steps that move namespaces, gateways and waypoints. They are added to the built-in ones, such as xds-nacks and mtls-probe-matrix, and replace a built-in one of the same type. Type request-share has no effect here, and of tcp-connect-failures and mtls-probe-matrix only the first.",
    ),
    soakSeconds: integer(
      0,
      monthSeconds,
      "How long the new revision is watched before the old one is removed, in seconds. serin upgrade complete NAME ends this time early. Default: 0.",
    ),
    retire: oneOf(
      ["Automatic", "Manual"],
      "When the old revision is removed. Automatic: as soon as nothing depends on it. Manual: after a person has also approved the step dependents. Default: Automatic.",
    ),
    ...orders,
  },
  ["from", "to"],
  {
    description: "From which revision the mesh moves to which, in which order, and which checks each step must pass.",
    ...rules([
      "self.from.revision != self.to.revision || has(self.to.root) || has(self.to.cni)",
      "to.revision must differ from from.revision, unless to.root or to.cni is set",
    ]),
  },
);

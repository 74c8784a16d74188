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

const revision = text("", { minLength: 1, maxLength: 63 });
const weights = list(integer(1, 100), 32, { description: "Percentages that rise." });

const wave = object({
  name: text("", name),
  namespaces: strings(1024),
  namespaceLabels: stringMap("Namespaces by their labels; with neither these nor names all that are left."),
  workloadLabels: stringMap("Only workloads whose pods have these labels."),
  mode: oneOf(["Restart", "ScaleFirst"], "ScaleFirst: all new pods are ready before an old one goes."),
  maxUnavailable: integer(1, 1000, "Workloads that restart at once."),
  soakSeconds: integer(0, monthSeconds),
  pause,
  checks,
});

/** The spec of a MeshUpgrade (`parseMeshUpgrade`). */
export const meshUpgradeSpec: Schema = object(
  {
    from: object({ revision }, ["revision"]),
    to: object(
      {
        revision,
        install: list(anyObject(), 8, {
          description: "Specs of IstioOperators, installed in this order. None: the revision is there already.",
        }),
        cni: anyObject("The spec of the IstioOperator whose CNI agent replaces the one that runs, node by node."),
        root: object({ secretName: text("A Secret in the form of cacerts.", name) }, ["secretName"]),
      },
      ["revision"],
    ),
    scope: object(
      { ztunnel: flag(), cni: flag(), waypoints: flag(), gateways: flag(), namespaces: flag(), tags: flag() },
      [],
      { description: "What is moved; every part is unless it is said otherwise." },
    ),
    waves: list(wave, 64),
    ztunnel: object({ by: oneOf(["Pod", "Namespace", "Node"]), maxConcurrent: integer(1, 1000) }),
    gateways: object({ weights, afterWave: integer(0, 64) }),
    waypoints: object({ weights }),
    checks,
    soakSeconds: integer(0, monthSeconds),
    retire: oneOf(["Automatic", "Manual"]),
    ...orders,
  },
  ["from", "to"],
  rules([
    "self.from.revision != self.to.revision || has(self.to.root) || has(self.to.cni)",
    "to.revision must be another revision than from.revision",
  ]),
);

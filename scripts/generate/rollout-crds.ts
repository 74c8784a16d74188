// Writes manifests/crds/rollout.yaml, the CRDs of the rollout engine's kinds, from the schemas in the folder beside it.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  canaryKind,
  checkKind,
  freezeKind,
  meshUpgradeKind,
  rolloutGroup,
  rolloutJournalKind,
  rolloutVersion,
} from "../../src/api/serin/index.ts";
import type { KindDefinition, KubernetesObject } from "../../src/api/index.ts";
import { canarySpec } from "./rollout-crds/canary.ts";
import { check } from "./rollout-crds/check.ts";
import { freezeSpec } from "./rollout-crds/freeze.ts";
import { journalEntries, journalDecisions } from "./rollout-crds/journal.ts";
import { withLimits } from "./rollout-crds/limits.ts";
import { meshUpgradeSpec } from "./rollout-crds/mesh-upgrade.ts";
import { status } from "./rollout-crds/status.ts";
import { integer, object, type Schema } from "./rollout-crds/schema.ts";
import { writeKnownRules } from "./known-rules.ts";

interface Column {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly priority?: number;
}

interface Definition {
  readonly kind: KindDefinition<KubernetesObject>;
  readonly description: string;
  readonly shortNames: readonly string[];
  readonly properties: Readonly<Record<string, Schema>>;
  readonly required: readonly string[];
  readonly columns: readonly Column[];
}

const age: Column = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };
const column = (name: string, jsonPath: string, type = "string", priority = 0): Column => ({
  name,
  type,
  jsonPath,
  ...(priority === 0 ? {} : { priority }),
});
const progress = [column("Phase", ".status.phase"), column("Progress", ".status.progress")];
const message = [
  column("Step", ".status.step.title"),
  column("Message", ".status.message", "string", 1),
  column("Cause", ".status.cause", "string", 1),
];

const definitions: readonly Definition[] = [
  {
    kind: canaryKind,
    description:
      "Moves the traffic of an app to its new version step by step. Each step must pass its checks. If a check fails, the engine undoes all changes.",
    shortNames: ["can"],
    properties: { spec: canarySpec, status },
    required: ["spec"],
    columns: [
      column("Weight", ".status.weight", "integer"),
      ...progress,
      ...message,
      column("Run", ".status.run", "integer", 1),
      age,
    ],
  },
  {
    kind: meshUpgradeKind,
    description:
      "Moves the mesh from one revision of its control plane to another, step by step. Each step must pass its checks. If a check fails, the engine undoes all changes. Cluster-scoped.",
    shortNames: ["mup"],
    properties: { spec: meshUpgradeSpec, status },
    required: ["spec"],
    columns: [column("From", ".spec.from.revision"), column("To", ".spec.to.revision"), ...progress, ...message, age],
  },
  {
    kind: checkKind,
    description: "A check that Canaries and MeshUpgrades can share. They name it by ref: NAME in their checks.",
    shortNames: [],
    properties: { spec: check },
    required: ["spec"],
    columns: [column("Type", ".spec.type"), age],
  },
  {
    kind: freezeKind,
    description: "Times in which no rollout begins a step. It never delays a rollback. Cluster-scoped.",
    shortNames: [],
    properties: { spec: freezeSpec },
    required: ["spec"],
    columns: [column("Reason", ".spec.reason"), column("Zone", ".spec.timeZone"), age],
  },
  {
    kind: rolloutJournalKind,
    description:
      "What a rollout has changed, and what it has decided. Its name is canary.NAMESPACE.NAME or meshupgrade.NAME. The engine writes it, and keeps it after the rollout's end and deletion, so that the changes can be undone and the history remains. Cluster-scoped.",
    shortNames: [],
    properties: {
      formatVersion: integer(
        1,
        1_000_000,
        "The version of the format of the entries. An engine stops at a version that it does not know.",
      ),
      entries: journalEntries,
      decisions: journalDecisions,
    },
    required: [],
    columns: [column("Format", ".formatVersion", "integer"), age],
  },
];

/** Returns the text of the file, so that a test can check that it is up to date. */
export function rolloutDefinitions(): string {
  const head =
    "# The kinds of the rollout engine (rollout.serin.dev), written by scripts/generate/rollout-crds.ts; their types and parsers are in src/api/serin.\n";
  // Each document is one line of JSON, which is also YAML. Reading the file as YAML took a quarter of the time of
  // `serin install`.
  return head + definitions.map((definition) => `---\n${JSON.stringify(crd(definition))}\n`).join("");
}

function crd({ kind, description, shortNames, properties, required, columns }: Definition): unknown {
  const common = {
    apiVersion: {
      type: "string",
      description: `The group and version of this kind: ${rolloutGroup}/${rolloutVersion}.`,
    },
    kind: { type: "string", description: `The name of this kind: ${kind.kind}.` },
    metadata: { type: "object" },
  };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${kind.plural}.${rolloutGroup}`, labels: { "app.kubernetes.io/part-of": "istio" } },
    spec: {
      group: rolloutGroup,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.kind.toLowerCase(),
        ...(shortNames.length === 0 ? {} : { shortNames }),
        categories: ["serin"],
      },
      scope: kind.namespaced ? "Namespaced" : "Cluster",
      versions: [
        {
          name: rolloutVersion,
          served: true,
          storage: true,
          ...("status" in properties ? { subresources: { status: {} } } : {}),
          schema: {
            openAPIV3Schema: object({ ...common, ...withLimits(properties) }, required, { description }),
          },
          additionalPrinterColumns: columns,
        },
      ],
    },
  };
}

const path = join(import.meta.dirname, "../../manifests/crds/rollout.yaml");

if (process.argv[1] === import.meta.filename) {
  writeFileSync(path, rolloutDefinitions());
  await writeKnownRules();
}

export function storedDefinitions(): string {
  return readFileSync(path, "utf8");
}

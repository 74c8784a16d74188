import knownValues from "#generated/install/known-values.json" with { type: "json" };
import { isTree, nearestName, ownField } from "../base/index.ts";
import type { FieldIssue } from "../api/index.ts";

/**
 * What is known about a key of `spec.values`. An object lists the keys below it, and a number allows any value below
 * it. The number, or the entry "" of an object, is the last minor release that had the key: 27 means 1.27, and 1 means
 * that the key is current. The entry "*" allows unknown keys.
 */
type KnownKey = number | { readonly [key: string]: KnownKey };

/** Kubernetes defines the keys of resources. Istio's defaults list only some of them. */
const resources: KnownKey = { limits: 1, requests: 1 };

/** Keys of Serin, and keys that Istio reads although neither its schema nor its defaults list them. */
const ownKeys: Readonly<Record<string, KnownKey>> = {
  base: { rolloutRoles: 1, validationFailurePolicy: 1 },
  cni: { updateStrategy: { rollingUpdate: 1 } },
  gateways: { "istio-ingressgateway": { resources } },
  ztunnel: { nodeSelector: 1, affinity: 1, podAnnotations: 1, resources, updateStrategy: { rollingUpdate: 1 }, "*": 1 },
  pilot: { terminationGracePeriodSeconds: 1, terminationMessagePolicy: 1, trafficDistribution: 1 },
  pdb: { maxUnavailable: 1 },
  global: { defaultResources: resources, proxy: { capNetBindService: 1, variant: 1 }, trustDomain: 1 },
  // The parser of the mesh config checks the keys below.
  meshConfig: 1,
};

const newestMinor = 1;

/**
 * Checks the keys of `spec.values`. A key that no release had is an error. A key that only earlier releases had is a
 * warning.
 */
export function checkKeys(values: Readonly<Record<string, unknown>>): {
  readonly errors: readonly FieldIssue[];
  readonly warnings: readonly FieldIssue[];
} {
  const found = { errors: [] as FieldIssue[], warnings: [] as FieldIssue[] };
  check(values, [knownValues, ownKeys], "spec.values", found);
  return found;
}

function check(
  values: Readonly<Record<string, unknown>>,
  trees: readonly KnownKey[],
  path: string,
  found: { readonly errors: FieldIssue[]; readonly warnings: FieldIssue[] },
): void {
  const objects = trees.filter((tree) => typeof tree === "object");
  if (objects.length === 0) return;
  const isOpen = objects.some((tree) => tree["*"] !== undefined) || objects.length < trees.length;
  for (const [key, value] of Object.entries(values)) {
    const below = objects.map((tree) => ownField(tree, key)).filter((tree) => tree !== undefined);
    const keyPath = `${path}.${key}`;
    if (below.length === 0) {
      if (!isOpen)
        found.errors.push({
          path: keyPath,
          message: `is not a key of any release from 1.6 to 1.31${suggestion(key, objects, path)}`,
        });
      continue;
    }
    const until = Math.max(...below.map((tree) => (typeof tree === "number" ? tree : lastRelease(tree))));
    const isDead = below.every((tree) => (typeof tree === "number" ? tree : lastRelease(tree)) !== newestMinor);
    if (isDead)
      found.warnings.push({
        path: keyPath,
        message: `has no effect: Istio 1.${until} was the last release that read it`,
      });
    else if (isTree(value) && !below.includes(newestMinor)) check(value, below, keyPath, found);
  }
}

function lastRelease(tree: { readonly [key: string]: KnownKey }): number {
  const until = tree[""];
  return typeof until === "number" ? until : newestMinor;
}

function suggestion(key: string, trees: readonly { readonly [key: string]: KnownKey }[], path: string): string {
  const near = nearestName(
    key,
    trees.flatMap((tree) => Object.keys(tree)).filter((name) => name !== "" && name !== "*"),
  );
  return near === undefined ? "" : `; did you mean ${path}.${near}?`;
}

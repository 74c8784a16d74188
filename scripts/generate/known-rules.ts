// Compiles the CEL expressions of the CRDs in manifests/crds and lists them, so that the API server need not compile
// them again when it accepts the CRDs.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadCel } from "../../src/cluster/schema/crd/cel/library.ts";
import { objectsInManifest } from "../../src/kube/index.ts";

const crds = join(import.meta.dirname, "../../manifests/crds");
const folder = join(import.meta.dirname, "../../generated/cel");

/** Returns the digests of all expressions in the release's CRDs, as in `generated/cel/known-rules.json`. */
export async function knownRules(): Promise<string[]> {
  const expressions = new Set<string>();
  for (const file of readdirSync(crds).filter((name) => name.endsWith(".yaml")))
    for await (const definition of objectsInManifest(readFileSync(join(crds, file), "utf8")))
      for (const expression of expressionsIn(definition)) expressions.add(expression);
  const { compile } = loadCel();
  for (const expression of expressions) compile(expression);
  return [...expressions].map((text) => createHash("sha256").update(text).digest("hex").slice(0, 16)).sort();
}

/** Returns the rules and the message expressions of all `x-kubernetes-validations` in a value. */
function expressionsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(expressionsIn);
  if (value === null || typeof value !== "object") return [];
  const { "x-kubernetes-validations": rules = [] } = value as {
    "x-kubernetes-validations"?: readonly { readonly rule: string; readonly messageExpression?: string }[];
  };
  const own = rules.flatMap(({ rule, messageExpression }) => [rule, messageExpression ?? rule]);
  return [...own, ...Object.values(value).flatMap(expressionsIn)];
}

export async function writeKnownRules(): Promise<void> {
  const digests = await knownRules();
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "known-rules.json"), `${JSON.stringify(digests)}\n`);
  console.log(`known-rules: ${digests.length} expressions`);
}

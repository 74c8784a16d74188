// Readers copy the manifests of the documents and the samples. These tests check that the API server's schemas, the
// parser of each kind and the rollout engine's admission accept all of them without a warning.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isMap, parseAllDocuments } from "yaml";
import { formatIssues, type FieldIssue, type KindDefinition, type UntypedObject } from "../../src/api/index.ts";
import { gatewayApiKinds } from "../../src/api/gateway/index.ts";
import { istioKinds, parseIstioOperator } from "../../src/api/istio/index.ts";
import { rolloutKinds } from "../../src/api/serin/index.ts";
import { createSchemaRegistry } from "../../src/cluster/schema/index.ts";
import { objectsInManifest } from "../../src/kube/index.ts";
import { reviewRollout } from "../../src/rollout/admission/review.ts";
import { blocksOf, readDocument, userDocuments, type Block } from "./document-blocks.ts";

const root = join(import.meta.dirname, "../..");
const crds = join(root, "manifests/crds");
/** Kinds of other projects, whose schemas are not in this repository. */
const foreignKinds = /^(k8s\.cni\.cncf\.io|monitoring\.coreos\.com|kind\.x-k8s\.io|kustomize\.config\.k8s\.io)\//;

/** Expected faults of samples, each with the reason. */
const known: Readonly<Record<string, string>> = {
  "samples/bookinfo/networking/fault-injection-details-v1.yaml: VirtualService details: spec.http[1]: is never used: http[0] has no match and gets all requests":
    "Istio's sample, which sends every request into its fault",
  "samples/gitops/argocd-cm.yaml: a part of an object": "a patch that users merge into Argo CD's own ConfigMap",
};

interface Manifest {
  readonly at: string;
  readonly object: UntypedObject;
}

const registry = createSchemaRegistry();
for (const file of globSync("*.yaml", { cwd: crds }))
  for await (const definition of objectsInManifest(readFileSync(join(crds, file), "utf8")))
    if (definition.kind === "CustomResourceDefinition") registry.addCustomResourceDefinition(definition);

const parsers = new Map<string, Pick<KindDefinition, "parse">>([
  ...[...istioKinds, ...gatewayApiKinds, ...rolloutKinds].map((kind) => [`${kind.group}/${kind.kind}`, kind] as const),
  ["install.istio.io/IstioOperator", { parse: parseIstioOperator }],
]);

test("every manifest in the documents is accepted without a warning", async () => {
  const manifests = userDocuments().flatMap((document) => manifestsOf(document, readDocument(document)));
  assert.ok(manifests.length > 10, `${manifests.length} manifests`);
  assert.deepEqual(await faultsOf(manifests), []);
});

test("every sample is accepted without a warning", async () => {
  const samples = globSync("samples/**/*.yaml", { cwd: root }).toSorted();
  const manifests = samples.flatMap((file) =>
    readObjects(readFileSync(join(root, file), "utf8")).map((object) => ({ at: file, object })),
  );
  assert.ok(manifests.length > 100, `${manifests.length} manifests`);
  assert.deepEqual(await faultsOf(manifests), Object.keys(known));
});

test("a wrong field, a wrong value and a faulty rollout are reported with their place", async () => {
  const text = [
    "```yaml",
    "apiVersion: networking.k8s.io/v1",
    "kind: NetworkPolicy",
    "metadata: { name: a }",
    "spec: { podSelectors: {} }",
    "```",
    "",
    "```sh",
    "kubectl apply -f - <<EOF",
    "apiVersion: rollout.serin.dev/v1alpha1",
    "kind: Freeze",
    "metadata: {name: a}",
    "spec: {}",
    "EOF",
    "```",
  ].join("\n");
  const faults = await faultsOf(manifestsOf("a.md", text));
  assert.match(faults.join("\n"), /^a\.md:2: NetworkPolicy a: .*podSelectors[^]*a\.md:10: Freeze a: .*spec/);
});

function readObjects(text: string): UntypedObject[] {
  return parseAllDocuments(text, { version: "1.1", merge: true }).flatMap((document) => {
    assert.deepEqual(document.errors, []);
    return isMap(document.contents) ? [document.toJS() as UntypedObject] : [];
  });
}

/** Returns the objects in YAML blocks and here-documents. */
function manifestsOf(document: string, text: string): Manifest[] {
  return blocksOf(document, text).flatMap((block) =>
    yamlOf(block).flatMap(({ line, yaml }) =>
      readObjects(yaml).map((object) => ({ at: `${document}:${line}`, object: completed(document, object) })),
    ),
  );
}

function yamlOf({ language, line, text }: Block): { readonly line: number; readonly yaml: string }[] {
  if (language === "yaml") return [{ line, yaml: text }];
  return [...text.matchAll(/<<'?EOF'?\n([^]*?)^EOF$/gm)].map((match) => ({
    line: line + text.slice(0, match.index).split("\n").length,
    yaml: match[1] ?? "",
  }));
}

/**
 * Completes a part of an object. A page may show only the `checks` of a Canary. It may also show only a `spec`, which
 * must be equal to that of a sample that the page names.
 */
function completed(document: string, part: UntypedObject): UntypedObject {
  if (part.apiVersion !== undefined) return part;
  const { checks, spec } = part as { readonly checks?: unknown; readonly spec?: unknown };
  if (checks !== undefined) return { ...firstCanary(), spec: { ...(firstCanary().spec as object), checks } };
  const named = [...new Set(readDocument(document).match(/samples\/[\w./-]+\.yaml/g) ?? [])];
  const samples = named.flatMap((file) => readObjects(readFileSync(join(root, file), "utf8")));
  const whole = samples.find((sample) => JSON.stringify(sample.spec) === JSON.stringify(spec));
  assert.ok(whole, `${document}: no sample that the page names has the spec ${JSON.stringify(spec)}`);
  return whole;
}

function firstCanary(): UntypedObject {
  const [canary] = readObjects(readFileSync(join(root, "samples/canary/deployment-canary.yaml"), "utf8"));
  assert.ok(canary);
  return canary;
}

async function faultsOf(manifests: readonly Manifest[]): Promise<string[]> {
  const faults: string[] = [];
  for (const { at, object } of manifests)
    if (object.kind === undefined) faults.push(`${at}: a part of an object`);
    else
      for (const fault of await faultsOfObject(structuredClone(object)))
        faults.push(`${at}: ${object.kind} ${object.metadata.name ?? ""}: ${fault}`);
  return faults;
}

async function faultsOfObject(object: UntypedObject): Promise<string[]> {
  const { apiVersion = "", kind = "" } = object;
  if (foreignKinds.test(apiVersion)) return [];
  if (kind === "List") return (await Promise.all(itemsOf(object).map(faultsOfObject))).flat();
  const [version = "", group = ""] = apiVersion.split("/").toReversed();
  const parsed = parsers.get(`${group}/${kind}`)?.parse?.(structuredClone(object));
  const issues: readonly FieldIssue[] = [...(parsed?.errors ?? []), ...(parsed?.warnings ?? [])];
  const type = registry.resourceOfKind(group, version, kind);
  if (type === undefined) return [`there is no kind ${apiVersion} ${kind}`];
  const refused = group === "rollout.serin.dev" ? await refusalOf(object) : [];
  if (type.namespaced) object.metadata.namespace ??= "default";
  const dropped = registry.dropUnknownFields(type, object);
  registry.applyDefaults(type, object);
  const errors = registry.validate(type, object, undefined);
  return [
    ...issues.map((issue) => formatIssues([issue])),
    ...dropped.map((field) => `unknown field ${field}`),
    ...errors.map(({ field, message }) => `${field}: ${message}`),
    ...refused,
  ];
}

function itemsOf(object: UntypedObject): readonly UntypedObject[] {
  return (object as { readonly items?: readonly UntypedObject[] }).items ?? [];
}

async function refusalOf(object: UntypedObject): Promise<string[]> {
  const { kind = "", metadata } = object;
  const { name = "", namespace = "default" } = metadata;
  const request = {
    uid: "1",
    name,
    namespace,
    kind: { group: "rollout.serin.dev", kind },
    operation: "CREATE",
    object,
  };
  const { response } = await reviewRollout({ request });
  return [...(response.warnings ?? []), ...(response.allowed ? [] : [response.status?.message ?? "refused"])];
}

// Generates manifests/crds/ from published Go modules by `go mod download`.
//   node scripts/generate/manifests.ts
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { writeKnownRules } from "./known-rules.ts";
import { moduleFolder } from "./module-folder.ts";

const gatewayApi = { module: "sigs.k8s.io/gateway-api", version: "v1.6.0" };
const istioApi = { module: "istio.io/api", version: "v1.31.1" };
const metallb = { module: "go.universe.tf/metallb", version: "v0.15.2" };
const target = join(import.meta.dirname, "../../manifests/crds");

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

function object(value: Json | undefined): JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

function list(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

function definitionsIn(files: readonly string[]): JsonObject[] {
  return files
    .flatMap((file) => parseAllDocuments(readFileSync(file, "utf8")))
    .map((document) => object(document.toJS() as Json))
    .filter((document) => document.kind === "CustomResourceDefinition");
}

function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".yaml"))
    .sort()
    .map((file) => join(folder, file));
}

function write(
  name: string,
  source: { module: string; version: string },
  definitions: readonly JsonObject[],
  note = "",
): void {
  const head = `# Written by scripts/generate/manifests.ts from the Go module ${source.module} ${source.version} (Apache License 2.0).${note}\n`;
  // Write each document as one line of JSON, which is also YAML. A reader that tries JSON.parse first is a hundred
  // times faster.
  const documents = definitions.map((definition) => `---\n${JSON.stringify(definition)}\n`);
  writeFileSync(join(target, `${name}.yaml`), head + documents.join(""));
  console.log(`${name}: ${definitions.length} definitions, ${head.length + documents.join("").length} bytes`);
}

/** The default listener of a Gateway v1alpha2. */
const meshListener: JsonObject = { name: "mesh", port: 15008, protocol: "HBONE" };

/** Adds Gateway v1alpha2 to the versions, for manifests from before 2023, in which listeners may be absent. */
function withOldGatewayVersion(definition: JsonObject): JsonObject {
  const spec = object(definition.spec);
  if (object(spec.names).kind !== "Gateway") return definition;
  const versions = list(spec.versions).map(object);
  const base = versions.find((version) => version.name === "v1beta1");
  if (base === undefined) throw new Error("the Gateway CRD has no v1beta1");
  const old = structuredClone(base);
  const schema = object(object(old.schema).openAPIV3Schema);
  const gatewaySpec = object(object(schema.properties).spec);
  object(object(gatewaySpec.properties).listeners).default = [meshListener];
  gatewaySpec.required = list(gatewaySpec.required).filter((field) => field !== "listeners");
  const rest: JsonObject = {
    ...old,
    name: "v1alpha2",
    served: true,
    storage: false,
    deprecated: true,
    deprecationWarning: "The v1alpha2 version of Gateway has been deprecated: use v1.",
  };
  return { ...definition, spec: { ...spec, versions: [...versions, rest] } };
}

mkdirSync(target, { recursive: true });
const gatewayFolder = join(moduleFolder(gatewayApi.module, gatewayApi.version), "config/crd");
const experimental = definitionsIn(filesIn(join(gatewayFolder, "experimental")));
write("gateway-api", gatewayApi, experimental, " Experimental channel.");
write(
  "gateway-api-standard",
  gatewayApi,
  definitionsIn(filesIn(join(gatewayFolder, "standard"))),
  " Standard channel.",
);
write(
  "gateway-api-lab",
  gatewayApi,
  experimental.map(withOldGatewayVersion),
  " Experimental channel; Gateway also as v1alpha2.",
);
const istio = definitionsIn([
  join(moduleFolder(istioApi.module, istioApi.version), "kubernetes/customresourcedefinitions.gen.yaml"),
]);
write("istio", istioApi, istio);
const pools = definitionsIn(filesIn(join(moduleFolder(metallb.module, metallb.version), "config/crd/bases")));
write("metallb", metallb, pools);
await writeKnownRules();

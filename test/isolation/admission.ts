import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { UntypedObject } from "../../src/api/index.ts";
import type { StructuralSchema } from "../../src/cluster/schema/crd/structural-schema.ts";
import { createSchemaRegistry, type SchemaRegistry } from "../../src/cluster/schema/index.ts";
import { validate } from "../../src/controlplane/webhooks/admission.ts";
import { referencedKinds } from "./attacker-secrets.ts";
import { builtInKinds, multiClusterKinds, type AttackerKind } from "./built-in-kinds.ts";

interface Definition extends UntypedObject {
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly storage: boolean;
      readonly schema: { readonly openAPIV3Schema: StructuralSchema };
    }[];
  };
}

const crds = join(import.meta.dirname, "../../manifests/crds");
/** Kinds that have no namespace, or that the control plane does not read. */
const unreadKinds: ReadonlySet<string> = new Set([
  "GatewayClass",
  "WorkloadGroup",
  "XBackend",
  "XBackendTrafficPolicy",
  "XMesh",
]);

/** The API server's schemas and the webhook: they decide what an attacker can create. */
export class Admission {
  readonly kinds: readonly AttackerKind[];
  /** Valid objects by `group/kind`. */
  readonly examples: ReadonlyMap<string, readonly UntypedObject[]>;
  readonly #registry: SchemaRegistry = createSchemaRegistry();

  constructor() {
    const definitions = ["istio", "gateway-api-lab"].flatMap(definitionsIn);
    for (const definition of [...definitions, ...multiClusterKinds.map(definitionOf)])
      this.#registry.addCustomResourceDefinition(definition);
    const custom = definitions.flatMap(({ spec }) => {
      const version = spec.versions.find(({ storage }) => storage);
      return version === undefined || unreadKinds.has(spec.names.kind)
        ? []
        : {
            group: spec.group,
            version: version.name,
            kind: spec.names.kind,
            schema: version.schema.openAPIV3Schema,
          };
    });
    this.kinds = [...custom, ...multiClusterKinds, ...builtInKinds, ...referencedKinds];
    this.examples = Map.groupBy(
      readExamples(),
      ({ apiVersion = "", kind = "" }) => `${apiVersion.includes("/") ? apiVersion.split("/")[0] : ""}/${kind}`,
    );
  }

  /**
   * Returns the object with its defaults and without unknown fields. If it is refused, returns the paths of its faults.
   */
  admit(given: UntypedObject): { readonly object: UntypedObject } | { readonly faults: readonly string[] } {
    const object = structuredClone(given);
    const [version = "", group = ""] = (object.apiVersion ?? "").split("/").toReversed();
    const kind = object.kind ?? "";
    const type = this.#registry.resourceOfKind(group, version, kind);
    if (type === undefined) throw new Error(`there is no kind ${object.apiVersion ?? ""} ${kind}`);
    try {
      this.#registry.dropUnknownFields(type, object);
    } catch (error) {
      return { faults: [/field \w+\.([\w.]+) of type/.exec(String(error))?.[1] ?? "spec"] };
    }
    this.#registry.applyDefaults(type, object);
    const errors = this.#registry.validate(type, object, undefined);
    if (errors.length > 0) return { faults: errors.map(({ field }) => field) };
    const { name = "", namespace = "" } = object.metadata;
    const { response } = validate({
      request: { uid: "1", name, namespace, kind: { group, version, kind }, operation: "CREATE", object },
    });
    if (response.allowed) return { object };
    const lines = (response.status?.message ?? "").split("\n").slice(1);
    return { faults: lines.map((line) => /^(\S+): /.exec(line)?.[1] ?? "spec") };
  }
}

function definitionOf({ group, version, kind, schema }: AttackerKind): Definition {
  const plural = `${kind.toLowerCase()}s`;
  const names = { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` };
  const versions = [{ name: version, storage: true, served: true, schema: { openAPIV3Schema: schema } }];
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: { group, names, versions, scope: "Namespaced" },
  };
}

function definitionsIn(name: string): readonly Definition[] {
  return readFileSync(join(crds, `${name}.yaml`), "utf8")
    .split(/^---$/m)
    .filter((part) => part.trimStart().startsWith("{"))
    .map((part) => JSON.parse(part) as Definition);
}

/** Reads the configurations of the tests with a real Envoy. */
function readExamples(): readonly UntypedObject[] {
  const corpus = join(import.meta.dirname, "../interop/envoy/corpus");
  return globSync("*/*.yaml", { cwd: corpus })
    .toSorted()
    .flatMap((file) => parseAllDocuments(readFileSync(join(corpus, file), "utf8")))
    .flatMap((document) => (document.toJS() as UntypedObject | null) ?? []);
}

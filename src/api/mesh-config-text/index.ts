// Reads the YAML of mesh configs and mesh networks, as istiod reads it.
import type * as Yaml from "yaml";
import { loadPackage, messageOf, SerinError, userError } from "../../base/index.ts";
import { valueForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { yamlNestingFault } from "../../base/yaml-bounds/index.ts";
import { parseMeshConfig, withJsonNames, type MeshConfig } from "../istio/index.ts";
import { formatIssues, type FieldIssue, type Parsed } from "../parsed.ts";

/** The kind of configuration in a text, and its parser. */
export interface MeshText<Config> {
  readonly noun: string;
  readonly parse: (raw: unknown) => Parsed<Config>;
}

/** The fields of a mesh config as they are written. `where` names the text in errors, which are user errors. */
export function meshTextTree(text: string, where: string): unknown {
  const tooDeep = yamlNestingFault(text);
  if (tooDeep !== undefined) throw userError("bad-mesh-config", `${where} ${tooDeep}`);
  try {
    return withJsonNames(valueForKubernetes(loadPackage<typeof Yaml>("yaml"), text));
  } catch (error) {
    // The first line names the fault. The other lines only quote the text around it.
    const [fault = ""] = messageOf(error).split("\n");
    throw userError("bad-mesh-config", `${where} is not valid YAML: ${fault.replace(/:$/, "")}`);
  }
}

/** The configuration with its defaults. Throws a user error with all invalid fields. An empty text has all defaults. */
export function parseMeshText<Config>(
  text: string,
  where: string,
  { noun, parse }: MeshText<Config>,
): { readonly config: Config; readonly warnings: readonly FieldIssue[] } {
  const parsed = parse(meshTextTree(text, where));
  if (parsed.value === undefined)
    throw userError("bad-mesh-config", `${where} is not a valid ${noun}:\n${formatIssues(parsed.errors)}`);
  return { config: parsed.value, warnings: parsed.warnings };
}

export function readMeshConfig(text: string, where: string): MeshConfig {
  return parseMeshText(text, where, { noun: "mesh config", parse: parseMeshConfig }).config;
}

/** The mesh config of a cluster, which may contain anything. Undefined if it is absent or not valid. */
export function validMeshConfig(text: string | undefined): MeshConfig | undefined {
  try {
    return text === undefined ? undefined : readMeshConfig(text, "the mesh config");
  } catch (error) {
    if (error instanceof SerinError && error.kind === "user") return undefined;
    throw error;
  }
}

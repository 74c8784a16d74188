import type * as Yaml from "yaml";
import { meansNoEffect } from "../../api/index.ts";
import { parseMeshConfig } from "../../api/istio/index.ts";
import { loadPackage } from "../../base/index.ts";
import { readForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import type { Analyzer } from "../analyzer.ts";
import { readPlainYaml } from "../manifest/plain-yaml.ts";
import { messageTypes } from "../message-types.ts";

const configMap = { group: "", kind: "ConfigMap" };
/** `istio`, or `istio-<revision>` with a revision. */
const namePattern = /^istio(-[a-z0-9-]+)?$/;

/** Reports what the control plane reports when it loads its mesh config. */
export const meshConfigAnalyzer: Analyzer = {
  name: "serin.meshconfig.FieldAnalyzer",
  description: "fields of the mesh config have valid values, and an effect",
  analyze(inventory, report) {
    for (const resource of inventory.raw(configMap)) {
      const { metadata } = resource.object;
      const text = (resource.object["data"] as Readonly<Record<string, unknown>> | undefined)?.["mesh"];
      if (
        metadata.namespace !== inventory.options.istioNamespace ||
        !namePattern.test(metadata.name ?? "") ||
        typeof text !== "string"
      )
        continue;
      const parsed = parseMeshConfig(valueOf(text));
      for (const { path, message } of parsed.errors)
        report(messageTypes.schemaValidationError, resource, "data.mesh", `mesh: ${path} ${message}`);
      for (const issue of parsed.warnings)
        report(
          meansNoEffect(issue) ? messageTypes.fieldWithoutEffect : messageTypes.schemaWarning,
          resource,
          "data.mesh",
          `mesh: ${issue.path} ${issue.message}`,
        );
    }
  },
};

/** Returns the text itself if it is not valid YAML. A text is never a valid mesh config. */
function valueOf(text: string): unknown {
  const plain = readPlainYaml(text);
  if (plain !== undefined) return plain[0]?.value;
  try {
    return loadPackage<typeof Yaml>("yaml").parse(text, readForKubernetes) as unknown;
  } catch {
    return text;
  }
}

import { textAt, valueAt } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { chartLabels, componentLabels, object } from "../render-context.ts";
import { type InstallSettings } from "../settings.ts";
import { defaultValidator } from "./webhooks.ts";

/**
 * The objects that all revisions share: CustomResourceDefinitions, the reader's account, and, on request, the validator
 * of objects that name no revision.
 */
export function renderBase(settings: InstallSettings, customResources: readonly UntypedObject[]): UntypedObject[] {
  const { namespace, values } = settings;
  const validated = textAt(values, "defaultRevision");
  const wantsDefinitions = valueAt(values, "base", "enableIstioConfigCRDs") !== false;
  const excluded = valueAt(values, "base", "excludedCRDs");
  const isWanted = ({ metadata }: UntypedObject): boolean =>
    !(Array.isArray(excluded) && excluded.includes(metadata.name));
  return [
    ...(wantsDefinitions ? customResources.filter(isWanted).map((definition) => labelled(definition, settings)) : []),
    object(
      {
        apiVersion: "v1",
        kind: "ServiceAccount",
        name: "istio-reader-service-account",
        namespace,
        labels: { ...componentLabels("Base", settings, "shared"), app: "istio-reader" },
      },
      {},
    ),
    ...(validated === undefined ? [] : [defaultValidator(validated, settings)]),
  ];
}

function labelled(definition: UntypedObject, settings: InstallSettings): UntypedObject {
  const { "app.kubernetes.io/name": _name, ...labels } = chartLabels("Base", settings);
  const { metadata } = definition;
  return {
    ...definition,
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, ...labels },
      annotations: { ...metadata.annotations, "helm.sh/resource-policy": "keep" },
    },
  };
}

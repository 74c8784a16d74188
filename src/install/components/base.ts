import { textAt, valueAt } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { chartLabels, componentLabels, object } from "../render-context.ts";
import { type InstallSettings } from "../settings.ts";
import { readerAccount } from "./reader-account.ts";
import { defaultValidator } from "./webhooks.ts";

/**
 * The annotation with the release of Serin that wrote a CRD of Istio's kinds. The label `app.kubernetes.io/version` is
 * not enough, because Istio's own installer also sets it, to a release of Istio.
 */
export const definitionReleaseAnnotation = "serin.dev/release";

/**
 * The objects that all revisions share: CRDs, the reader's account, and the default validator if `defaultRevision` is
 * set.
 */
export function renderBase(settings: InstallSettings, customResources: readonly UntypedObject[]): UntypedObject[] {
  const { values } = settings;
  const validated = textAt(values, "defaultRevision");
  const wantsDefinitions = valueAt(values, "base", "enableIstioConfigCRDs") !== false;
  const excluded = valueAt(values, "base", "excludedCRDs");
  const isWanted = ({ metadata }: UntypedObject): boolean =>
    !(Array.isArray(excluded) && excluded.includes(metadata.name));
  return [
    ...(wantsDefinitions ? customResources.filter(isWanted).map((definition) => labelled(definition, settings)) : []),
    ...ownReader(settings),
    ...(validated === undefined ? [] : [defaultValidator(validated, settings)]),
  ];
}

function ownReader(settings: InstallSettings): UntypedObject[] {
  const account = readerAccount(settings);
  if (account === undefined || account.isGiven) return [];
  const labels = { ...componentLabels("Base", settings, "shared"), app: "istio-reader" };
  return [
    object({ apiVersion: "v1", kind: "ServiceAccount", name: account.name, namespace: account.namespace, labels }, {}),
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
      annotations: {
        ...metadata.annotations,
        "helm.sh/resource-policy": "keep",
        [definitionReleaseAnnotation]: labels["app.kubernetes.io/version"] ?? "",
      },
    },
  };
}

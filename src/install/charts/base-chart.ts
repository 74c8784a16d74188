import type { Tree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { definitionReleaseAnnotation, renderBase } from "../components/base.ts";
import { ownReaderAccount } from "../components/reader-account.ts";
import { engineNamespace, renderRolloutEngine } from "../components/rollout-engine.ts";
import { isRolloutRole } from "../components/rollout-roles.ts";
import { defaultStableChannel } from "../components/stable-channel.ts";
import { defaultValidator } from "../components/webhooks.ts";
import { labelValue } from "../render-context.ts";
import {
  globalMarks,
  globals,
  hasReader,
  keyWithoutMarks,
  markedSettings,
  ofRelease,
  readerName,
  selectorAt,
  stableChannelConditions,
  tolerationsAt,
  validationMarks,
  wantsNetworkPolicy,
  writesUnlessTaken,
  type ChartOptions,
} from "./chart-settings.ts";
import { assembleChart, defaultsKey, dict, resourcesAt, valuesHeader, valuesHelper, type Chart } from "./chart.ts";
import { platformFiles, profileFiles } from "./profile-files.ts";
import { nearEngine, refusedRemoval, removalCheck } from "./removal-check.ts";
import { TemplateMarks } from "./template-marks.ts";
import { valuesSchema } from "./values-schema.ts";
import { valueTypes, type ValueTypes } from "../value-types.ts";
import { templateOfVariants } from "./variants.ts";

const writesNamespace = "serin.rollout.namespace";

/**
 * Makes the installation fail early while an earlier installation's engine namespace is being deleted. Otherwise the
 * API server would refuse the objects in it, and Helm would record a failed release. In `helm template`, `lookup` finds
 * nothing.
 */
const refusedWhileEnding = [
  `{{- with lookup "v1" "Namespace" "" "${engineNamespace}" }}`,
  "{{- if .metadata.deletionTimestamp }}",
  `{{- fail "the namespace ${engineNamespace} is being deleted, and takes no new objects until it is gone. Wait, and install again: kubectl wait --for=delete namespace/${engineNamespace} --timeout=120s" }}`,
  "{{- end }}",
  "{{- end }}",
].join("\n");

/** Users may have created the namespace themselves, for example to store an image pull Secret. */
const namespaceHelper = writesUnlessTaken(writesNamespace, `"v1" "Namespace" "" "${engineNamespace}"`);

const engineDefaults = {
  enabled: true,
  force: false,
  resources: { requests: { cpu: "20m", memory: "128Mi" } },
  nodeSelector: {},
  tolerations: [],
  affinity: {},
};

const engineTypes: ValueTypes = {
  enabled: "boolean",
  force: "boolean",
  resources: "map",
  nodeSelector: "map",
  tolerations: "list",
  affinity: "map",
};

export function baseChart(options: ChartOptions): Chart {
  const marks = new TemplateMarks();
  const render = (states: readonly boolean[]): UntypedObject[] => {
    const settings = markedSettings(marks, false, { base: validationMarks(marks) });
    const validated =
      states[0] === true
        ? [
            defaultValidator("⟦default⟧", { ...settings, namespace: marks.text("$v.global.istioNamespace") }),
            ...defaultStableChannel("⟦default⟧", settings),
          ]
        : [];
    return [
      ...renderBase({ ...settings, values: { ...settings.values, base: { enableIstioConfigCRDs: false } } }, []),
      ...validated.map((object) => withDefaultService(object, marks)),
    ].map((object) => ofRelease(object, marks));
  };
  const main = templateOfVariants({
    marks,
    switches: [{ condition: '(ne ($v.defaultRevision | default "") "")' }],
    render,
    keyOf: keyWithoutMarks,
    conditions: {
      [`ServiceAccount/${ownReaderAccount}`]: `and ${hasReader} (not ${readerName})`,
      ...stableChannelConditions("stable-channel-default-policy"),
    },
  });
  const engine = engineTemplate(marks);
  return assembleChart({
    name: "base",
    upstream: "base",
    version: options.version,
    appVersion: options.version,
    description: "Definitions of Istio's kinds, and what all revisions of a control plane share",
    values: {
      [defaultsKey]: {
        global: { ...globals(options), istioNamespace: "istio-system" },
        base: { enableIstioConfigCRDs: true, rolloutRoles: true, validationFailurePolicy: "" },
        experimental: { stableValidationPolicy: false },
        defaultRevision: "default",
        rollout: engineDefaults,
      },
    },
    templates: {
      "_helpers.tpl": `${valuesHelper([])}\n${namespaceHelper}`,
      crds: `${valuesHeader}\n{{- if $v.base.enableIstioConfigCRDs }}\n{{ .Files.Get "files/crds.yaml" }}\n{{- end }}`,
      base: `${valuesHeader}\n${main}`,
      rollout: `${valuesHeader}\n{{- if $v.rollout.enabled }}\n${refusedWhileEnding}\n${engine}\n{{ .Files.Get "files/rollout-crds.yaml" }}\n{{- else }}\n${refusedRemoval}\n{{- end }}`,
    },
    files: {
      ...profileFiles(["global", "base", "experimental"]),
      ...platformFiles([]),
      "files/crds.yaml": definitionsText(options.customResources.istio, options.version),
      "files/rollout-crds.yaml": definitionsText(options.customResources.rollout, options.version),
    },
    notes: "Istio's kinds are defined. Next: install the chart istiod of this release in {{ .Release.Namespace }}.\n",
    schema: valuesSchema({ ...valueTypes, rollout: engineTypes }, { defaultRevision: "string", profile: "string" }),
  });
}

/** The template of the rollout engine's objects, and of the Job that Helm runs before it removes them. */
function engineTemplate(marks: TemplateMarks): string {
  const settings = markedSettings(marks, false, { global: globalMarks(marks) });
  const affinity = "$v.rollout.affinity";
  const k8s = {
    resources: marks.map(resourcesAt("$v.rollout.resources")),
    nodeSelector: marks.map(selectorAt("$v.rollout.nodeSelector")) as Record<string, string>,
    tolerations: marks.list(tolerationsAt("$v.rollout.tolerations")) as Tree[],
    affinity: marks.map(affinity),
  };
  const objects = renderRolloutEngine({ ...settings, base: { ...settings.base, k8s } }, []);
  const affinityOfCheck = marks.map(`${affinity} | default ${dict(nearEngine)}`);
  const conditionOf = (object: UntypedObject): string | undefined => {
    if (isRolloutRole(object)) return "$v.base.rolloutRoles";
    if (object.kind === "NetworkPolicy") return wantsNetworkPolicy;
    return object.kind === "Namespace" ? `include "${writesNamespace}" .` : undefined;
  };
  return [...objects, removalCheck(objects, affinityOfCheck)]
    .map((object) => {
      const text = `---\n${marks.templateOf(object)}`;
      const condition = conditionOf(object);
      return condition === undefined ? text : `{{- if ${condition} }}\n${text}\n{{- end }}`;
    })
    .join("\n");
}

/** Inserts the chosen default revision and the name of its Service, `istiod` or `istiod-<revision>`. */
function withDefaultService(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  const service = marks.text(
    'ternary "istiod" (printf "istiod-%s" $v.defaultRevision) (eq $v.defaultRevision "default")',
  );
  const revision = marks.text("$v.defaultRevision");
  return JSON.parse(
    JSON.stringify(object).replaceAll("istiod-⟦default⟧", service).replaceAll("⟦default⟧", revision),
  ) as UntypedObject;
}

/**
 * Writes each CRD as one line of JSON. An annotation makes Helm keep the CRDs when the chart is removed. Labels show
 * which release wrote them.
 */
function definitionsText(definitions: readonly UntypedObject[], version: string): string {
  const release = labelValue(version);
  const labels = { "app.kubernetes.io/part-of": "istio", "app.kubernetes.io/version": release };
  const annotations = { "helm.sh/resource-policy": "keep", [definitionReleaseAnnotation]: release };
  return definitions
    .map((definition) => ({
      ...definition,
      metadata: {
        ...definition.metadata,
        labels: { ...definition.metadata.labels, ...labels },
        annotations: { ...definition.metadata.annotations, ...annotations },
      },
    }))
    .map((definition) => `---\n${JSON.stringify(definition)}\n`)
    .join("");
}

import { isTree, type Tree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { affinityOfDaemons } from "../daemonless-nodes.ts";
import { nodePlatformChoices, unchainedPlatforms } from "../platform.ts";
import { renderCni } from "../components/cni.ts";
import {
  constrainedPlatform,
  constraintConditions,
  globalMarks,
  globals,
  keyWithoutMarks,
  markedSettings,
  ofRelease,
  quotaDefaults,
  quotaMarks,
  wantsQuota,
  workloadMarks,
  type ChartOptions,
} from "./chart-settings.ts";
import { assembleChart, defaultsKey, valuesHeader, valuesHelper, type Chart } from "./chart.ts";
import { platformFiles, profileFiles } from "./profile-files.ts";
import { TemplateMarks } from "./template-marks.ts";
import { typesBelow, valuesSchema } from "./values-schema.ts";
import { templateOfVariants } from "./variants.ts";

/** The expression of a path that depends on the platform unless the user sets it. */
function platformChoice(field: Parameters<typeof nodePlatformChoices>[0]): string {
  const { usual, differing } = nodePlatformChoices(field);
  const byPlatform = differing.reduce(
    (otherwise, [platform, value]) =>
      `(ternary "${value}" ${otherwise} (eq ($v.global.platform | default "") "${platform}"))`,
    `"${usual}"`,
  );
  return `$v.${field} | default ${byPlatform}`;
}

/** The default is in the older value, so that users can set either of the two. */
const maxUnavailable = "$v.updateStrategy.rollingUpdate.maxUnavailable | default $v.rollingMaxUnavailable";

function agentMarks(marks: TemplateMarks): Tree {
  return {
    ...workloadMarks(marks),
    resourceQuotas: quotaMarks(marks),
    env: marks.map("$v.env"),
    logLevel: marks.text("$v.logLevel"),
    logging: { level: marks.text("$v.logging.level") },
    image: marks.text("$v.image"),
    hub: marks.text("$v.hub | default $v.global.hub"),
    tag: marks.text("$v.tag | default $v.global.tag"),
    excludeNamespaces: [marks.text('join "," $v.excludeNamespaces')],
    updateStrategy: {
      type: marks.text("$v.updateStrategy.type"),
      rollingUpdate: { maxUnavailable: marks.number(`toPrettyJson (${maxUnavailable})`) },
    },
    daemonSetLabels: marks.map("$v.daemonSetLabels"),
    pullPolicy: marks.optional("$v.pullPolicy | default $v.global.imagePullPolicy"),
    terminationGracePeriodSeconds: marks.number("int ($v.terminationGracePeriodSeconds | default 30)"),
    ambient: {},
    repair: {},
    cniBinDir: marks.text(platformChoice("cniBinDir")),
    cniConfDir: marks.text(platformChoice("cniConfDir")),
    cniNetnsDir: marks.text(platformChoice("cniNetnsDir")),
    cniConfFileName: marks.text(platformChoice("cniConfFileName")),
    seLinuxOptions: {
      type: marks.text('get ($v.seLinuxOptions | default dict) "type" | default "spc_t"'),
      ...marks.map('omit ($v.seLinuxOptions | default dict) "type"'),
    },
    seccompProfile: marks.map('$v.seccompProfile | default (dict "type" "RuntimeDefault")'),
  };
}

function agentDefaults(options: ChartOptions): Tree {
  return {
    global: globals(options),
    hub: "",
    tag: "",
    image: "install-cni",
    revision: "",
    logLevel: "info",
    logging: { level: "info" },
    excludeNamespaces: ["istio-system", "kube-system"],
    ambient: { enabled: true, dnsCapture: true, ipv6: true },
    repair: { enabled: true },
    chained: true,
    cniBinDir: "",
    cniConfDir: "",
    cniNetnsDir: "",
    cniConfFileName: "",
    env: {},
    resources: { requests: { cpu: "20m", memory: "96Mi" } },
    rollingMaxUnavailable: 1,
    updateStrategy: { type: "RollingUpdate", rollingUpdate: {} },
    nodeSelector: {},
    tolerations: [{ operator: "Exists" }],
    affinity: affinityOfDaemons,
    podAnnotations: {},
    podLabels: {},
    volumes: [],
    volumeMounts: [],
    resourceQuotas: quotaDefaults,
  };
}

export function cniChart(options: ChartOptions): Chart {
  const marks = new TemplateMarks();
  const own = agentMarks(marks);
  const render = (): UntypedObject[] =>
    renderCni(
      markedSettings(marks, false, {
        global: { ...globalMarks(marks), platform: constrainedPlatform },
        cni: own,
      }),
    ).map((object) => ofRelease(agentConfig(object, marks), marks));
  return assembleChart({
    name: "cni",
    upstream: "cni",
    version: options.version,
    appVersion: options.version,
    description: "The node agent: enrols a node's pods",
    values: { [defaultsKey]: agentDefaults(options) },
    templates: {
      "_helpers.tpl": valuesHelper(["cni"]),
      cni: `${valuesHeader}\n${templateOfVariants({
        marks,
        switches: [],
        render,
        keyOf: keyWithoutMarks,
        conditions: {
          "ResourceQuota/istio-cni-resource-quota": wantsQuota,
          ...constraintConditions("istio-cni"),
        },
      })}`,
    },
    files: { ...profileFiles(["global", "cni"]), ...platformFiles(["cni"]) },
    notes: '"{{ .Release.Name }}" is installed: pods of labelled namespaces are enrolled as they start.\n',
    schema: valuesSchema(
      { ...typesBelow("cni"), global: typesBelow("global") },
      { logLevel: "string", profile: "string" },
    ),
  });
}

const agentSwitches = {
  AMBIENT_ENABLED: "ambient.enabled",
  AMBIENT_DNS_CAPTURE: "ambient.dnsCapture",
  AMBIENT_IPV6: "ambient.ipv6",
  REPAIR_ENABLED: "repair.enabled",
} as const;

function agentConfig(object: UntypedObject, marks: TemplateMarks): UntypedObject {
  if (object.kind !== "ConfigMap" || !isTree(object["data"])) return object;
  const switched = Object.fromEntries(
    Object.entries(agentSwitches).map(([name, path]) => [name, marks.text(`toString $v.${path}`)]),
  );
  const byName = unchainedPlatforms.map((platform) => `(ne ($v.global.platform | default "") "${platform}")`).join(" ");
  switched["CHAINED_CNI_PLUGIN"] = marks.text(`toString (and $v.chained ${byName})`);
  return { ...object, data: { ...object["data"], ...switched } };
}

import { nearestName, userError } from "../../base/index.ts";
import {
  daemonSetKind,
  deploymentKind,
  jobKind,
  podKind,
  replicaSetKind,
  serviceKind,
  statefulSetKind,
  type Pod,
} from "../../api/kubernetes/index.ts";
import type { KindDefinition, KubernetesObject, LabelSelector } from "../../api/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { namespaceOf, type CommonFlags } from "../flags.ts";

type Selecting = KubernetesObject & {
  readonly spec?: { readonly selector?: LabelSelector | Readonly<Record<string, string>> };
};

/** The kinds whose pods a name may select, with the words that kubectl accepts before the slash. */
const selectingKinds: readonly { readonly words: readonly string[]; readonly kind: KindDefinition }[] = [
  { words: ["deployment", "deployments", "deploy"], kind: deploymentKind },
  { words: ["daemonset", "daemonsets", "ds"], kind: daemonSetKind },
  { words: ["statefulset", "statefulsets", "sts"], kind: statefulSetKind },
  { words: ["replicaset", "replicasets", "rs"], kind: replicaSetKind },
  { words: ["job", "jobs"], kind: jobKind },
  { words: ["service", "services", "svc"], kind: serviceKind },
];
const podWords = ["pod", "pods", "po"];

/**
 * A resource written as `[<type>/]<name>[.<namespace>]`. Without a namespace, that of the flags applies, else that of
 * the kubeconfig's context.
 */
export interface NamedResource {
  readonly type: string;
  readonly name: string;
  readonly namespace: string;
}

export async function parseResourceName(text: string, flags: CommonFlags, context: CliContext): Promise<NamedResource> {
  const [, type = "pod", rest = ""] = /^(?:([^/]*)\/)?(.*)$/.exec(text) ?? [];
  const dot = rest.lastIndexOf(".");
  const name = dot === -1 ? rest : rest.slice(0, dot);
  const namespace = dot === -1 ? await namespaceOf(flags, context) : rest.slice(dot + 1);
  if (name === "" || namespace === "")
    throw userError("argument-invalid", `"${text}" is not a pod's name: expected [<type>/]<name>[.<namespace>]`);
  return { type, name, namespace };
}

/** The pods that the text names, running ones first. Throws a user error with similar names if there are none. */
export async function findPods(
  client: KubeClient,
  text: string,
  flags: CommonFlags,
  context: CliContext,
): Promise<readonly Pod[]> {
  const { type, name, namespace } = await parseResourceName(text, flags, context);
  if (podWords.includes(type))
    return [(await client.get(podKind, name, namespace)) ?? (await refuseUnknown(client, podKind, name, namespace))];
  const selecting = selectingKinds.find(({ words }) => words.includes(type));
  if (selecting === undefined) {
    const near = nearestName(type, [...podWords, ...selectingKinds.flatMap(({ words }) => words)]);
    throw userError(
      "argument-invalid",
      `"${type}" is not a type of resource that has pods${near === undefined ? "" : `; did you mean ${near}?`}`,
      {
        hint: `known types: pod, ${selectingKinds.map(({ words }) => words[0]).join(", ")}`,
      },
    );
  }
  const { kind } = selecting;
  const found: Selecting =
    (await client.get(kind, name, namespace)) ?? (await refuseUnknown(client, kind, name, namespace));
  const pods = await podsOfSelector(client, selectorText(found.spec?.selector), namespace);
  if (pods.length === 0)
    throw userError("object-missing", `${kind.kind} ${name} in namespace ${namespace} has no pods`, {
      hint: `kubectl -n ${namespace} describe ${kind.kind.toLowerCase()} ${name}`,
    });
  return pods;
}

export async function findPodsByLabel(
  client: KubeClient,
  selector: string,
  flags: CommonFlags,
  context: CliContext,
): Promise<readonly Pod[]> {
  const namespace = await namespaceOf(flags, context);
  const pods = await podsOfSelector(client, selector, namespace);
  if (pods.length === 0)
    throw userError("object-missing", `no pod in namespace ${namespace} has the labels ${selector}`, {
      hint: "use -n for another namespace",
    });
  return pods;
}

async function podsOfSelector(client: KubeClient, labelSelector: string, namespace: string): Promise<readonly Pod[]> {
  if (labelSelector === "") return [];
  const { items } = await client.list(podKind, { namespace, labelSelector });
  return items.toSorted(
    (a, b) =>
      Number(isRunning(b)) - Number(isRunning(a)) || ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1),
  );
}

export function isRunning({ metadata, status }: Pod): boolean {
  return status?.phase === "Running" && metadata.deletionTimestamp === undefined;
}

const operators: Readonly<Record<string, (key: string, values: readonly string[]) => string>> = {
  In: (key, values) => `${key} in (${values.join(",")})`,
  NotIn: (key, values) => `${key} notin (${values.join(",")})`,
  Exists: (key) => key,
  DoesNotExist: (key) => `!${key}`,
};

function selectorText(selector: LabelSelector | Readonly<Record<string, string>> | undefined): string {
  if (selector === undefined) return "";
  const { matchLabels, matchExpressions = [] } = selector as LabelSelector;
  const isLabelSelector = matchLabels !== undefined || matchExpressions.length > 0;
  const equal = Object.entries(
    isLabelSelector ? (matchLabels ?? {}) : (selector as Readonly<Record<string, string>>),
  ).map(([key, value]) => `${key}=${value}`);
  return [
    ...equal,
    ...matchExpressions.map(({ key, operator, values = [] }) => operators[operator]?.(key, values) ?? ""),
  ]
    .filter((part) => part !== "")
    .join(",");
}

const maxListed = 5;

async function refuseUnknown(
  client: KubeClient,
  kind: KindDefinition,
  name: string,
  namespace: string,
): Promise<never> {
  const { items } = await client.list(kind, { namespace });
  const names = items.map(({ metadata }) => metadata.name ?? "");
  const stem = name.split("-")[0] ?? name;
  const near = nearestName(name, names);
  const like = [
    ...new Set([...(near === undefined ? [] : [near]), ...names.filter((candidate) => candidate.startsWith(stem))]),
  ].slice(0, maxListed);
  const hint =
    like.length > 0
      ? `did you mean ${like.join(", ")}?`
      : names.length === 0
        ? `namespace ${namespace} has none; name another namespace with -n, or as ${name}.<namespace>`
        : `kubectl -n ${namespace} get ${kind.plural}`;
  throw userError("object-missing", `there is no ${kind.kind.toLowerCase()} "${name}" in namespace ${namespace}`, {
    hint,
  });
}

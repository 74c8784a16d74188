import { isDnsLabel, userError } from "../../base/index.ts";
import { workloadOfPod, type Pod } from "../../api/kubernetes/index.ts";

/**
 * The pods that one `--include` or `--exclude` selects: those that match at least one entry of every part that is not
 * empty. Names and the values of labels and annotations may contain `*`.
 */
export interface PodSelection {
  readonly namespaces: readonly string[];
  /** Names of Deployments, StatefulSets, DaemonSets or Jobs, or of pods without such an owner. */
  readonly workloads: readonly string[];
  readonly pods: readonly string[];
  readonly labels: readonly KeyValue[];
  readonly annotations: readonly KeyValue[];
  readonly containers: readonly string[];
}

type KeyValue = readonly [key: string, value: string];

const selectionForm = "namespaces/workloads/pods/labels/annotations/containers";

/** Parses `ns1,ns2/workloads/pods/labels/annotations/containers`, where later parts may be left out. */
export function parseSelection(text: string): PodSelection {
  const parts = text.split("/");
  // Keys of labels often contain a slash. The text would be split at it.
  if (parts.length > 6)
    throw userError("argument-invalid", `expected at most six parts, got ${parts.length}`, {
      hint: `the form is ${selectionForm}; keys with a slash cannot be selected`,
    });
  const [namespaces = "", workloads = "", pods = "", labels = "", annotations = "", containers = ""] = parts;
  return {
    namespaces: namespacesOf(namespaces),
    workloads: entriesOf(workloads),
    pods: entriesOf(pods),
    labels: pairsOf(labels),
    annotations: pairsOf(annotations),
    containers: entriesOf(containers),
  };
}

/** Whether a selection matches a pod. Ignores the selection's containers. */
export function selectsPod(selection: PodSelection, pod: Pod): boolean {
  const { name = "", namespace = "", labels = {}, annotations = {} } = pod.metadata;
  return (
    isAnyOf(selection.namespaces, namespace) &&
    isAnyOf(selection.workloads, workloadOfPod(pod).name) &&
    isAnyOf(selection.pods, name) &&
    hasAll(selection.labels, labels) &&
    hasAll(selection.annotations, annotations)
  );
}

export function selectsContainer({ containers }: PodSelection, name: string): boolean {
  return isAnyOf(containers, name);
}

function entriesOf(part: string): string[] {
  const entries = part
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  return entries.includes("*") ? [] : entries;
}

function namespacesOf(part: string): string[] {
  const entries = entriesOf(part);
  const wrong = entries.find((entry) => !isDnsLabel(entry.replaceAll("*", "x")));
  if (wrong === undefined) return entries;
  throw userError(
    "argument-invalid",
    `"${wrong}" cannot be the name of a namespace: expected lower-case letters, digits and "-"`,
  );
}

function pairsOf(part: string): KeyValue[] {
  return entriesOf(part).map((entry) => {
    const [key = "", value, ...rest] = entry.split("=");
    if (key === "" || key.includes("*") || value === undefined || rest.length > 0)
      throw userError("argument-invalid", `"${entry}" must be key=value, without * in the key`, {
        hint: `the form is ${selectionForm}`,
      });
    return [key, value];
  });
}

function isAnyOf(patterns: readonly string[], text: string): boolean {
  return patterns.length === 0 || patterns.some((pattern) => isLike(pattern, text));
}

function hasAll(pairs: readonly KeyValue[], values: Readonly<Record<string, string>>): boolean {
  return pairs.every(([key, pattern]) => {
    const value = values[key];
    return value !== undefined && isLike(pattern, value);
  });
}

function isLike(pattern: string, text: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return pattern === text;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.length >= at + last.length && text.endsWith(last);
}

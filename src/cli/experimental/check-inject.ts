import { matchesLabelSelector, type LabelSelector, type Labels } from "../../api/index.ts";
import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import {
  mutatingWebhookConfigurationKind,
  namespaceKind,
  type Pod,
  type WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import { messageOf, userError } from "../../base/index.ts";
import { injectionDecision, readInjectionSettings, type InjectionSettings } from "../../inject/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { paint } from "../terminal/colour.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf, namespaceOf, type CommonFlags } from "../flags.ts";
import { placesInCluster, readInjectionTexts } from "../user-manifests/injection-source.ts";
import { findPods } from "../proxies/pods.ts";
import { fittedTable } from "../terminal/fitted-table.ts";

export interface CheckInjectFlags extends CommonFlags {
  readonly labels?: string;
}

interface Verdict {
  readonly injected: boolean;
  readonly reason: string;
}

/** Reads the settings of a revision's injector. Undefined if they cannot be read. */
type SettingsReader = (revision: string) => Promise<InjectionSettings | undefined>;

/** Shows for each webhook whether it would inject the pod, or a pod with the given labels, and why. */
export async function checkInject(
  name: string | undefined,
  flags: CheckInjectFlags,
  context: CliContext,
): Promise<void> {
  if ((name === undefined) === (flags.labels === undefined)) {
    throw userError(
      "argument-missing",
      "check-inject requires only [<resource-type>/]<resource-name>[.<namespace>], or specify labels flag",
      { hint: `${context.programName} experimental check-inject deployment/web -n shop, or -l app=web -n shop` },
    );
  }
  const client = await context.connect(flags);
  const pod = await podToCheck(client, name, flags, context);
  const namespace = await client.get(namespaceKind, pod.metadata.namespace ?? "");
  const { items } = await client.list(mutatingWebhookConfigurationKind);
  const hooks = items
    .filter(({ webhooks = [] }) => webhooks.some((hook) => hook.name.endsWith("istio.io")))
    .toSorted((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1));
  if (hooks.length === 0) return context.out("ERROR: no Istio injection hooks present.\n");
  const labels = namespace?.metadata.labels ?? {};
  // Webhooks of the same revision, such as those of its tags, share the settings.
  const read = new Map<string, ReturnType<typeof settingsOf>>();
  const settings: SettingsReader = async (revision) => {
    const reading = read.get(revision) ?? settingsOf(client, revision, flags, context);
    read.set(revision, reading);
    return await reading;
  };
  const verdicts = await Promise.all(
    hooks.map(async (hook) => ({
      hook,
      verdict: await verdictOf(hook, { pod, namespaceLabels: labels }, settings),
    })),
  );
  const rows = verdicts.map(({ hook, verdict }) => [
    hook.metadata.name ?? "",
    hook.metadata.labels?.[istioLabels.revision] ?? "",
    verdict.injected ? "✔" : "✘",
    verdict.reason,
  ]);
  context.out(
    fittedTable(["WEBHOOK", "REVISION", "INJECTED", "REASON"], rows, {
      columns: context.columns(),
      style: (cell) =>
        cell === "✔" ? paint(context, "green", cell) : cell === "✘" ? paint(context, "red", cell) : cell,
    }),
  );
  if (verdicts.filter(({ verdict }) => verdict.injected).length > 1)
    context.out("ERROR: multiple webhooks will inject, which can lead to errors\n");
}

async function podToCheck(
  client: KubeClient,
  name: string | undefined,
  flags: CheckInjectFlags,
  context: CliContext,
): Promise<Pod> {
  if (name !== undefined) {
    const [pod] = await findPods(client, name, flags, context);
    if (pod !== undefined) return asBeforeInjection(pod);
  }
  const labels = Object.fromEntries(
    (flags.labels ?? "")
      .split(",")
      .filter((pair) => pair !== "")
      .map((pair) => [pair.split("=")[0] ?? "", pair.split("=").slice(1).join("=")]),
  );
  return { metadata: { namespace: await namespaceOf(flags, context), labels }, spec: { containers: [] } };
}

/**
 * The pod without the traces of injection. A webhook would skip a pod that is injected already, but the command is
 * about the next pod of the same template.
 */
function asBeforeInjection(pod: Pod): Pod {
  const {
    [istioAnnotations.sidecarStatus]: _status,
    [istioAnnotations.ambientRedirection]: _redirection,
    ...annotations
  } = pod.metadata.annotations ?? {};
  return { ...pod, metadata: { ...pod.metadata, annotations } };
}

async function verdictOf(
  hook: WebhookConfiguration,
  { pod, namespaceLabels }: { readonly pod: Pod; readonly namespaceLabels: Labels },
  settingsOfRevision: SettingsReader,
): Promise<Verdict> {
  const met = matchWebhooks(hook, namespaceLabels, pod.metadata.labels ?? {});
  if (!met.injected) return met;
  // A tag's webhook calls the control plane of its revision, so that revision's configuration decides.
  const settings = await settingsOfRevision(hook.metadata.labels?.[istioLabels.revision] ?? "default");
  const decision =
    settings === undefined
      ? undefined
      : injectionDecision(pod, pod.metadata.namespace ?? "", namespaceLabels, settings);
  if (decision?.inject === false) return { injected: false, reason: `${met.reason}, but ${decision.reason}` };
  return hook.metadata.labels?.[istioLabels.tag] === undefined
    ? met
    : { injected: true, reason: `${met.reason} (tag ${hook.metadata.labels[istioLabels.tag]})` };
}

async function settingsOf(
  client: KubeClient,
  revision: string,
  flags: CheckInjectFlags,
  { version, err }: CliContext,
): Promise<InjectionSettings | undefined> {
  const namespace = istioNamespaceOf(flags);
  const texts = await readInjectionTexts(client, revision, namespace).catch((error: unknown) => {
    err(
      `! cannot read the injector's settings of revision "${revision}", so its own rules are not checked: ${messageOf(error)}\n`,
    );
    return undefined;
  });
  if (texts === undefined) return undefined;
  return readInjectionSettings(
    { config: texts.config, values: texts.values, places: placesInCluster(revision, namespace) },
    { hub: "", tag: version, istioNamespace: namespace, revision, clusterName: "", network: "" },
  );
}

function matchWebhooks({ webhooks = [] }: WebhookConfiguration, namespaceLabels: Labels, podLabels: Labels): Verdict {
  if (webhooks.every(({ namespaceSelector, objectSelector }) => isNever(namespaceSelector) && isNever(objectSelector)))
    return { injected: false, reason: "The injection webhook is deactivated, and will never match labels." };
  for (const { namespaceSelector, objectSelector } of webhooks) {
    if (!matches(namespaceSelector, namespaceLabels) || !matches(objectSelector, podLabels)) continue;
    const [ofNamespace, ofPod] = [labelMet(namespaceSelector, namespaceLabels), labelMet(objectSelector, podLabels)];
    const parts = [
      ofNamespace === undefined ? [] : [`namespace label ${ofNamespace} matches`],
      ofPod === undefined ? [] : [`pod label ${ofPod} matches`],
    ].flat();
    const everywhere =
      ofNamespace?.startsWith("kubernetes.io/metadata.name") === true
        ? " (Automatic injection is enabled in all namespaces)."
        : "";
    return {
      injected: true,
      reason: `${capitalized(parts.length === 0 ? "all labels match" : parts.join(", and "))}${everywhere}`,
    };
  }
  return { injected: false, reason: preventing(webhooks, namespaceLabels, podLabels) ?? missing(webhooks) };
}

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function matches(selector: LabelSelector | undefined, labels: Labels): boolean {
  return selector === undefined || matchesLabelSelector(selector, labels);
}

/** Whether a webhook is deactivated: its selector then requires a label that nothing has. */
function isNever(selector: LabelSelector | undefined): boolean {
  return selector?.matchLabels?.["istio.io/deactivated"] === "never-match";
}

function labelMet(selector: LabelSelector | undefined, labels: Labels): string | undefined {
  const met = (selector?.matchExpressions ?? []).find(
    ({ key, operator }) => (operator === "In" || operator === "NotIn") && labels[key] !== undefined,
  );
  return met === undefined ? undefined : `${met.key}=${labels[met.key] ?? ""}`;
}

type Webhooks = NonNullable<WebhookConfiguration["webhooks"]>;

/** The label of the pod or of its namespace that prevents injection by a webhook whose other selector matches. */
function preventing(webhooks: Webhooks, namespaceLabels: Labels, podLabels: Labels): string | undefined {
  for (const { namespaceSelector, objectSelector } of webhooks) {
    if (matches(namespaceSelector, namespaceLabels)) {
      const unwanted = unwantedLabel(objectSelector, podLabels);
      if (unwanted !== undefined) return `Pod has ${unwanted} label, preventing injection`;
    } else if (matches(objectSelector, podLabels)) {
      const injection = namespaceLabels[istioLabels.injection];
      if (injection !== undefined && injection !== "enabled")
        return `Namespace has istio-injection=${injection} label, preventing injection`;
    }
  }
  return undefined;
}

function unwantedLabel(selector: LabelSelector | undefined, labels: Labels): string | undefined {
  const found = (selector?.matchExpressions ?? []).find(
    ({ key, operator, values = [] }) =>
      labels[key] !== undefined &&
      (operator === "DoesNotExist" || (operator === "NotIn" && values.includes(labels[key]))),
  );
  return found === undefined ? undefined : `${found.key}=${labels[found.key] ?? ""}`;
}

function missing(webhooks: Webhooks): string {
  const wanted = (selectors: readonly (LabelSelector | undefined)[]): string =>
    [
      ...new Set(
        selectors.flatMap((selector) =>
          (selector?.matchExpressions ?? [])
            .filter(({ operator }) => operator === "In")
            .flatMap(({ key, values = [] }) => values.map((value) => `${key}=${value}`)),
        ),
      ),
    ].join(", ");
  return `No matching namespace labels (${wanted(webhooks.map((hook) => hook.namespaceSelector))}) or pod labels (${wanted(webhooks.map((hook) => hook.objectSelector))})`;
}

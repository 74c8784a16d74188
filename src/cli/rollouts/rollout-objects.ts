import * as yaml from "yaml";
import { formatIssues, formatIssuesOf, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import {
  authorAnnotation,
  storedRollout,
  type Canary,
  type MeshUpgrade,
  type RolloutKind,
} from "../../api/serin/index.ts";
import { firstNames, userError } from "../../base/index.ts";
import { documentsForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { CliContext, ConnectionFlags } from "../context.ts";
import { sourceName } from "../user-file.ts";
import { refuseSyntaxErrors, yamlValue } from "../yaml-value.ts";

export type Rollout = Canary | MeshUpgrade;

const namesShown = 5;

export interface RolloutFlags extends ConnectionFlags {
  readonly namespace?: string;
}

/** Reads one object of the kind from a file, or from standard input for `-`. Errors name the wrong field. */
export async function readObject<Value extends KubernetesObject>(
  kind: KindDefinition<Value>,
  file: string,
  context: CliContext,
): Promise<Value> {
  const raw = parseOneObject(file, await context.readFile(file));
  const source = sourceName(file);
  const givenKind = (raw as { kind?: unknown } | null)?.kind;
  if (givenKind !== kind.kind)
    throw userError(
      "rollout-invalid",
      `${source}: kind: must be ${kind.kind}, ${givenKind === undefined ? "and is missing" : `got ${JSON.stringify(givenKind)}`}`,
    );
  const versions = kind.versions.map((version) => `${kind.group}/${version}`);
  const { apiVersion } = raw as { readonly apiVersion?: unknown };
  if (!versions.some((version) => version === apiVersion))
    throw userError(
      "rollout-invalid",
      `${source}: apiVersion: must be ${versions.join(" or ")}, ${apiVersion === undefined ? "and is missing" : `got ${JSON.stringify(apiVersion)}`}`,
    );
  const parsed = kind.parse?.(raw);
  if (parsed !== undefined && parsed.value === undefined)
    throw userError("rollout-invalid", formatIssuesOf(source, parsed.errors));
  for (const warning of parsed?.warnings ?? []) context.err(`warning: ${source}: ${formatIssues([warning])}\n`);
  // A copy of a stored object has this annotation. The server sets it, and refuses it from clients.
  delete (raw as Value).metadata.annotations?.[authorAnnotation];
  return raw as Value;
}

/** The only object in a file. The user error for a file with several objects says how to apply it. */
export function parseOneObject(file: string, text: string): unknown {
  const source = sourceName(file);
  const documents = documentsForKubernetes(yaml, text);
  for (const document of documents) refuseSyntaxErrors(source, document);
  const objects = documents.map((document) => yamlValue(source, document)).filter((value) => (value ?? null) !== null);
  if (objects.length > 1)
    throw userError("rollout-invalid", `${source}: must contain one object, got ${objects.length}`, {
      hint: `apply several objects with kubectl apply -f ${file}`,
    });
  return objects[0] ?? null;
}

export interface FoundRollout<Value extends Rollout> {
  readonly client: KubeClient;
  /** Fields with a value of a wrong type are left out. */
  readonly object: Value;
  /** The object with all its fields. */
  readonly stored: Value;
}

/** Finds the rollout by its name in the given namespace, or else in all namespaces. */
export async function findRollout<Value extends Rollout>(
  kind: KindDefinition<Value>,
  name: string,
  flags: RolloutFlags,
  context: CliContext,
): Promise<FoundRollout<Value>> {
  const client = await context.connect(flags);
  const { items } = await client.list(
    kind,
    kind.namespaced && flags.namespace !== undefined ? { namespace: flags.namespace } : {},
  );
  const found = items.filter((item) => item.metadata.name === name);
  const [stored] = found;
  if (found.length > 1) {
    const where = found.map(({ metadata }) => metadata.namespace ?? "").join(", ");
    throw userError("ambiguous", `${found.length} namespaces have a ${kind.kind} "${name}": ${where}`, {
      hint: "choose one with -n",
    });
  }
  if (stored !== undefined) return { client, object: storedRollout(rolloutKindOf(kind), stored), stored };
  const others = items.map(({ metadata }) => metadata.name ?? "").toSorted();
  throw userError(
    "not-found",
    `there is no ${kind.kind} "${name}"${flags.namespace === undefined ? "" : ` in namespace ${flags.namespace}`}`,
    {
      hint:
        others.length === 0
          ? kind.namespaced
            ? `no namespace has one: kubectl get ${kind.plural} -A`
            : `there is none at all: kubectl get ${kind.plural}`
          : `existing ones: ${firstNames(others, namesShown)}`,
    },
  );
}

/**
 * Finds the rollout for an order. Like kubectl, looks only in the given namespace or in that of the kubeconfig's
 * context.
 */
export async function rolloutToOrder<Value extends Rollout>(
  kind: KindDefinition<Value>,
  name: string,
  flags: RolloutFlags,
  context: CliContext,
): Promise<FoundRollout<Value>> {
  if (!kind.namespaced || flags.namespace !== undefined) return await findRollout(kind, name, flags, context);
  const namespace = await context.defaultNamespace(flags);
  const client = await context.connect(flags);
  const stored = await client.get(kind, name, namespace);
  if (stored !== undefined) return { client, object: storedRollout(rolloutKindOf(kind), stored), stored };
  const { object: other } = await findRollout(kind, name, flags, context);
  throw userError("not-found", `there is no ${kind.kind} "${name}" in namespace ${namespace}`, {
    hint: `namespace ${other.metadata.namespace ?? ""} has one: use -n ${other.metadata.namespace ?? ""}`,
  });
}

export async function whoAmI(client: KubeClient): Promise<string> {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const { status, text } = await client.raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {
    body: review,
  });
  const name =
    status < 300
      ? (JSON.parse(text) as { status?: { userInfo?: { username?: string } } }).status?.userInfo?.username
      : undefined;
  if (name === undefined || name === "")
    throw userError("unknown-user", `the API server did not identify you (status ${status})`, {
      hint: "an approval records your user name: see kubectl auth whoami",
    });
  return name;
}

/** For example `shop/shop` or `to-1-31`. */
export function nameOf({ metadata }: Rollout): string {
  return metadata.namespace === undefined ? (metadata.name ?? "") : `${metadata.namespace}/${metadata.name ?? ""}`;
}

export function rolloutKindOf({ kind }: KindDefinition): RolloutKind {
  return kind === "Canary" ? "Canary" : "MeshUpgrade";
}

/** The word before the kind's verbs on the command line. */
export function nounOf(kind: RolloutKind): "canary" | "upgrade" {
  return kind === "Canary" ? "canary" : "upgrade";
}

/**
 * The command that shows the rollout's state: `serin canary status shop -n shop`, or `serin upgrade status to-1-31`.
 */
export function statusCommand(kind: RolloutKind, { metadata: { name = "", namespace } }: Rollout): string {
  return `serin ${nounOf(kind)} status ${name}${namespace === undefined ? "" : ` -n ${namespace}`}`;
}

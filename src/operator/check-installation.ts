import { userError } from "../base/index.ts";
import { formatLabelSelector, keyOf, type KindDefinition, type UntypedObject } from "../api/index.ts";
import { askSelfAccess } from "../kube/access/index.ts";
import { controllerOf, type KubeClient } from "../kube/index.ts";
import { installedKindOf, installVerbs, type InstallSettings } from "../install/index.ts";
import type { ClusterState } from "./cluster-state.ts";
import { lostSelector } from "./kept-selector.ts";

/**
 * Checks for faults, other than missing rights, that would make the installation fail after its first write. Throws a
 * user error at the first check that fails.
 */
export async function checkInstallation(
  client: KubeClient,
  settings: InstallSettings,
  objects: readonly UntypedObject[],
  state: ClusterState,
): Promise<void> {
  checkNames(settings, state);
  checkDefinitions(settings, objects, state);
  const present = await presentObjects(client, objects);
  checkOwners(present);
  checkSelectors(present);
}

function checkNames({ revision, namespace, pilot, values }: InstallSettings, { tags, revisions }: ClusterState): void {
  if (pilot.enabled !== true) return;
  const wanted = Array.isArray(values["revisionTags"]) ? values["revisionTags"].map(String) : [];
  const clash = wanted.find((tag) => tag !== "default" && revisions.some((other) => other.revision === tag));
  if (clash !== undefined) {
    throw userError("name-taken", `the tag "${clash}" cannot be created: a revision of that name is installed`, {
      hint: "choose another name in spec.values.revisionTags",
    });
  }
  if (revision === "") return;
  const tag = tags.find((existing) => existing.tag === revision);
  if (tag !== undefined) {
    throw userError(
      "name-taken",
      `revision "${revision}" cannot be installed: a tag of that name refers to revision "${tag.revision}"`,
      {
        hint: `choose another name, or remove the tag: serin tag remove ${revision}`,
      },
    );
  }
  const elsewhere = revisions.find((other) => other.revision === revision && other.namespace !== namespace);
  if (elsewhere !== undefined) {
    throw userError(
      "name-taken",
      `revision "${revision}" is already installed in namespace ${elsewhere.namespace}, and cannot be in ${namespace} too`,
      {
        hint: "choose another name: webhooks find a revision by its name alone",
      },
    );
  }
}

function checkDefinitions(
  { pilot }: InstallSettings,
  objects: readonly UntypedObject[],
  { hasDefinitions }: ClusterState,
): void {
  if (pilot.enabled !== true || hasDefinitions || objects.some(({ kind }) => kind === "CustomResourceDefinition"))
    return;
  throw userError(
    "definitions-missing",
    "the definitions of Istio's kinds (virtualservices.networking.istio.io, …) are not in the cluster, and this installation does not include them",
    {
      hint: "enable components.base, or install it first: serin install --set profile=empty --set components.base.enabled=true",
    },
  );
}

/**
 * Throws a user error that lists the rights that the installation needs and the user lacks. Call this before the other
 * checks, because these need rights too.
 */
export async function checkRights(client: KubeClient, objects: readonly UntypedObject[]): Promise<void> {
  if (await mayDo(client, { group: "*", plural: "*" }, "*", undefined)) return;
  const wanted = new Map<string, { readonly kind: KindDefinition; readonly namespace: string | undefined }>();
  for (const object of objects) {
    const kind = installedKindOf(object);
    wanted.set(`${kind.plural}/${object.metadata.namespace ?? ""}`, { kind, namespace: object.metadata.namespace });
  }
  const missing: string[] = [];
  await Promise.all(
    [...wanted.values()].map(async ({ kind, namespace }) => {
      const denied: string[] = [];
      for (const verb of installVerbs(kind.kind)) if (!(await mayDo(client, kind, verb, namespace))) denied.push(verb);
      if (denied.length > 0)
        missing.push(
          `${denied.join(", ")} ${kind.plural}${kind.group === "" ? "" : `.${kind.group}`}${namespace === undefined ? "" : ` in ${namespace}`}`,
        );
    }),
  );
  if (missing.length === 0) return;
  throw userError(
    "rights-missing",
    `nothing was written, because you lack rights that this installation needs:\n${missing
      .toSorted()
      .map((line) => `  ${line}`)
      .join("\n")}`,
    {
      hint: "use the kubeconfig of a cluster administrator, or ask one for these rights",
    },
  );
}

async function mayDo(
  client: KubeClient,
  { group, plural }: Pick<KindDefinition, "group" | "plural">,
  verb: string,
  namespace: string | undefined,
): Promise<boolean> {
  const { allowed, httpStatus } = await askSelfAccess(client, {
    group,
    resource: plural,
    verb,
    ...(namespace === undefined ? {} : { namespace }),
  });
  // A server without this API cannot answer. It will refuse the write itself if a right is missing.
  return allowed || httpStatus >= 300;
}

const ownedKinds = new Set(["Deployment", "DaemonSet", "Service", "ConfigMap"]);

interface PresentObject {
  readonly object: UntypedObject;
  readonly found: UntypedObject;
}

async function presentObjects(client: KubeClient, objects: readonly UntypedObject[]): Promise<PresentObject[]> {
  const read = await Promise.all(
    objects
      .filter(({ kind }) => ownedKinds.has(kind ?? ""))
      .map(async (object): Promise<PresentObject[]> => {
        const { name = "", namespace } = object.metadata;
        const found = await client.get(installedKindOf(object), name, namespace);
        return found === undefined ? [] : [{ object, found }];
      }),
  );
  return read.flat();
}

/** Throws if another controller owns objects with these names, because it would revert the installer's writes. */
function checkOwners(present: readonly PresentObject[]): void {
  const lines = present.flatMap(({ object, found }) => {
    const owner = controllerOf(found);
    return owner === undefined || owner.uid === controllerOf(object)?.uid
      ? []
      : [`${object.kind ?? ""} ${keyOf(object)} belongs to ${owner.kind} ${owner.name}`];
  });
  if (lines.length === 0) return;
  throw userError(
    "name-taken",
    `nothing was written, because other owners manage objects of these names:\n${lines.map((line) => `  ${line}`).join("\n")}`,
    {
      hint: "install under another revision (--revision), or delete their owner first",
    },
  );
}

/** Throws if existing workloads with these names do not select the new pods, because selectors are immutable. */
function checkSelectors(present: readonly PresentObject[]): void {
  const lines = present.flatMap(({ object, found }) => {
    const selector = lostSelector(object, found);
    return selector === undefined
      ? []
      : [`${object.kind ?? ""} ${keyOf(object)} selects ${formatLabelSelector(selector)}`];
  });
  if (lines.length === 0) return;
  throw userError(
    "name-taken",
    `nothing was written, because workloads of these names select other pods than this installation's, and a selector cannot be changed:\n${lines.map((line) => `  ${line}`).join("\n")}`,
    {
      hint: "install under another revision (--revision), or delete these workloads first; istio-cni-node and gateways have one name for all revisions: delete those",
    },
  );
}
